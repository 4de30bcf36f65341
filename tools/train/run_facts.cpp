#include "tools/train/run_facts.h"

#include <sys/stat.h>

#include <algorithm>

#include "tensor/file.h"
#include "tools/base/hash64.h"
#include "tools/train/recipe_model.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// The content of a data source is hashed up to this size.
constexpr int64_t kMostHashedBytes = int64_t{1} << 20;

std::string hash_of(const std::string& bytes) {
    return hash_text(hash64(bytes.data(), static_cast<int64_t>(bytes.size())));
}

// The files of a source: a file, or those in a directory.
std::vector<fs::path> files_of(const fs::path& path) {
    if (!fs::is_directory(path)) return {path};
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path))
        if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

Json source_facts(const fs::path& path) {
    const std::vector<fs::path> files = files_of(path);
    int64_t bytes = 0, modified = 0;  // seconds since 1970
    for (const fs::path& file : files) {
        struct stat status = {};
        VILA_CHECK(::stat(file.c_str(), &status) == 0, file.string(), ": cannot read its size");
        bytes += static_cast<int64_t>(status.st_size);
        modified = std::max(modified, static_cast<int64_t>(status.st_mtime));
    }
    Json facts = {{"bytes", bytes}, {"modified", modified}};
    if (bytes > kMostHashedBytes) return facts;
    std::string contents;
    for (const fs::path& file : files) contents += hash_of(read_file(file));
    facts["hash"] = hash_of(contents);
    return facts;
}

void check_source(const std::string& name, const Json& before, const Json& now) {
    const std::string source = "data source " + name;
    constexpr const char* kAdvice = "; resume with the same data or choose another --out";
    VILA_CHECK(before.at("bytes") == now.at("bytes"), source, " had ", before.at("bytes").dump(),
               " bytes when the run began and has ", now.at("bytes").dump(), kAdvice);
    if (before.contains("hash") && now.contains("hash"))
        VILA_CHECK(before.at("hash") == now.at("hash"), source,
                   " has other content than when the run began", kAdvice);
    else
        VILA_CHECK(before.at("modified") == now.at("modified"), source,
                   " was modified since the run began", kAdvice,
                   "; if its content is the same, give it its old time: touch -d @",
                   before.at("modified").dump());
}

std::string shown_value(const Json& table, const std::string& key) {
    const auto found = table.find(key);
    return found == table.end() || found->is_null() ? "not set" : toml_text(*found);
}

void check_recipe(const Json& before, const Json& now, const std::string& where) {
    std::string list;
    const auto add = [&](const std::string& key) {
        list +=
            str("; ", key, " was ", shown_value(before, key), " and is ", shown_value(now, key));
    };
    // A key that the checkpoint lacks is newer than it.
    for (const auto& [key, value] : before.items())
        if (now.contains(key) ? now.at(key) != value : !value.is_null()) add(key);
    VILA_CHECK(list.empty(), where, " is of another recipe", list,
               "; resume with the old values or choose another --out");
}

}  // namespace

Json run_facts(const Recipe& recipe, const Datasets& datasets, const fs::path& tokenizer,
               uint64_t frozen_weights) {
    Json facts = {{"records", Json::object()},
                  {"sources", Json::object()},
                  {"frozen_weights", hash_text(frozen_weights)},
                  {"recipe", lasting_values(recipe)}};
    for (size_t i = 0; i < datasets.size(); ++i) {
        const SourceRecipe& source = recipe.data.sources[i];
        facts["records"][source.name] = datasets[i]->size();
        facts["sources"][source.name] = source_facts(source.path);
    }
    std::string files;
    for (const models::ExtraFile& file : tokenizer_files(tokenizer, ""))
        files += file.name + "\n" + hash_of(file.bytes) + "\n";
    facts["tokenizer"] = hash_of(files);
    return facts;
}

Json shared_facts(Json facts) {
    for (Json& source : facts.at("sources")) source.erase("modified");
    return facts;
}

void check_recipe_fact(const Json& before, const Recipe& recipe, const std::string& where) {
    if (before.contains("recipe")) check_recipe(before.at("recipe"), lasting_values(recipe), where);
}

void check_facts(const Json& before, const Json& now, const std::string& where) {
    if (before.contains("recipe")) check_recipe(before.at("recipe"), now.at("recipe"), where);
    VILA_CHECK(before.at("frozen_weights") == now.at("frozen_weights"),
               "the frozen weights are not those the run began with; was model.init replaced?");
    for (const auto& [name, records] : now.at("records").items())
        VILA_CHECK(before.at("records").value(name, int64_t{-1}) == records, "data source ", name,
                   " had ", before.at("records").value(name, int64_t{-1}),
                   " records when the run began and has ", records,
                   "; resume with the same data or choose another --out");
    if (before.contains("sources"))
        for (const auto& [name, facts] : now.at("sources").items())
            check_source(name, before.at("sources").at(name), facts);
    VILA_CHECK(!before.contains("tokenizer") || before.at("tokenizer") == now.at("tokenizer"),
               "the tokenizer's files are not those the run began with; put the old ones back or "
               "choose another --out");
}

}  // namespace vila::tools
