#include "tools/train/run_directory.h"

#include <algorithm>
#include <cstdio>

#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/path_kind.h"
#include "tools/base/hash64.h"
#include "tools/base/message_line.h"
#include "tools/base/model_template.h"
#include "tools/base/output_guard.h"
#include "tools/train/checkpoint_format.h"
#include "tools/train/finished_model.h"
#include "tools/train/recipe_model.h"
#include "tools/train/run_facts.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr WorkFolder::Kind kRun = {
    .title = "vila train", .what = "a training run", .busy = "another process is training there"};
// Names in .lock.
constexpr const char* kTokenizer = "tokenizer";
constexpr const char* kModel = "model";
constexpr const char* kCheckpoints = "checkpoints";
constexpr const char* kMade = "made";
constexpr const char* kModelFiles = "model-files";

// Returns a hash of the names and contents of all files in a folder.
std::string hash_of_files(const fs::path& folder) {
    std::vector<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        const std::string name = entry.path().lexically_relative(folder).string();
        std::string hash;
        if (entry.is_regular_file()) {
            const std::string bytes = read_file(entry.path());
            hash = hash_text(hash64(bytes.data(), static_cast<int64_t>(bytes.size())));
        }
        lines.push_back(str(name, "\n", hash, "\n"));
    }
    std::sort(lines.begin(), lines.end());
    std::string text;
    for (const std::string& line : lines) text += line;
    return hash_text(hash64(text.data(), static_cast<int64_t>(text.size())));
}

}  // namespace

RunDirectory::RunDirectory(const fs::path& root, bool owner) : root_(fs::absolute(root)) {
    if (!owner) return;
    // A run of an earlier version, or a copy without its hidden files.
    const bool is_older_run = fs::exists(recipe()) && has_checkpoint();
    try {
        folder_.emplace(root_, kRun, is_older_run);
    } catch (const Error& error) {
        throw Error(str("--out ", error.what()));
    }
    if (folder_->is_new() && fs::exists(model() / "config.json")) record_model();
    folder_->remove_leftovers({root_, checkpoints()});
}

void RunDirectory::refuse(const std::string& reason) const {
    throw Error(str("--out ", root_.string(), reason));
}

void RunDirectory::store_recipe(const Recipe& recipe, const fs::path& source) const {
    check_model();
    check_checkpoints();
    bool is_new = true;
    if (fs::exists(this->recipe())) {
        const Recipe before = load_recipe(this->recipe().string(), {});
        const std::vector<std::string> differences = recipe_differences(before, recipe);
        is_new = !differences.empty();
        std::string list;
        for (const std::string& difference : differences) list += "; " + difference;
        if (is_new && has_begun())
            refuse(str(" holds a run of another recipe", list,
                       "; resume with the old values or choose another --out"));
        if (is_new) check_recipe_file(before, source);
    } else if (fs::exists(model())) {
        refuse(": holds model/ but no recipe.toml; move model/ away or choose another --out");
    } else {
        check_lost_recipe(recipe);
    }
    settle_tokenizer(recipe, is_new);
    if (is_new) write_file_atomic(this->recipe(), recipe_text(recipe));
}

// Throws unless recipe.toml may be replaced.
void RunDirectory::check_recipe_file(const Recipe& before, const fs::path& source) const {
    std::error_code ignored;
    if (fs::equivalent(source, recipe(), ignored))
        refuse(
            ": its recipe.toml is also the recipe to train, and would be overwritten; copy it "
            "to another place first");
    if (read_file(recipe()) != recipe_text(before))
        refuse(": recipe.toml was not written by this run; move it away or choose another --out");
}

void RunDirectory::check_model() const {
    if (finished() && !folder_->recorded(kModel))
        refuse(": model/ was not written by this run; move it away or choose another --out");
}

void RunDirectory::check_lost_recipe(const Recipe& recipe) const {
    if (!fs::is_directory(checkpoints())) return;
    for (const auto& entry : fs::directory_iterator(checkpoints())) {
        const std::string name = entry.path().filename().string();
        if (!step_of(name) || !fs::exists(entry.path() / kManifest)) continue;
        Json manifest;
        try {
            manifest = read_manifest(entry.path() / kManifest);
        } catch (const Error&) {
            continue;  // damaged: CheckpointStore says so
        }
        check_recipe_fact(manifest.at("info"), recipe, entry.path().string());
    }
}

void RunDirectory::check_checkpoints() const {
    if (finished() || folder_->recorded(kCheckpoints) != kMade) return;
    if (fs::is_directory(checkpoints()))
        for (const auto& entry : fs::directory_iterator(checkpoints()))
            if (entry.path().filename().string().starts_with("step-")) return;
    if (path_exists(log()) && fs::file_size(log()) > 0)
        refuse(
            ": log.jsonl has steps, but all checkpoints of this run are gone; put them back, "
            "choose "
            "another --out, or remove log.jsonl to start again");
    folder_->record(kCheckpoints, "none");
}

// Before the first checkpoint: removes a tokenizer that this run trained with another recipe.
// Throws if tokenizer/ is in the way and was not made by this run.
void RunDirectory::settle_tokenizer(const Recipe& recipe, bool is_new_recipe) const {
    if (!fs::exists(tokenizer()) || has_begun()) return;
    const bool is_own = folder_->recorded(kTokenizer) == hash_of_files(tokenizer());
    if (!is_own && !tokenizer_directory(recipe.model))
        refuse(": tokenizer/ was not made by this run; move it away or choose another --out");
    if (is_own && is_new_recipe) fs::remove_all(tokenizer());
}

void RunDirectory::check_same_tokenizer(const fs::path& made) const {
    if (has_begun() && folder_ && folder_->recorded(kTokenizer) != hash_of_files(made))
        refuse(
            ": tokenizer/ is missing, and the data do not give the same one again; put it back "
            "or choose another --out");
}

void RunDirectory::record_tokenizer(const fs::path& made) const {
    if (folder_) folder_->record(kTokenizer, hash_of_files(made));
}

void RunDirectory::record_model() const {
    folder_->record(kModel, kMade);
}

void RunDirectory::record_checkpoints() const try {
    if (folder_ && folder_->recorded(kCheckpoints) != kMade) folder_->record(kCheckpoints, kMade);
} catch (const Error&) {
    // The next start that loads a checkpoint tries again.
}

void RunDirectory::record_model_files() const {
    folder_->record(kModelFiles, Json(files_below(model())).dump());
}

bool RunDirectory::has_begun() const {
    return finished() || (fs::exists(checkpoints()) && !fs::is_empty(checkpoints()));
}

bool RunDirectory::finished() const {
    return fs::exists(model()) && !fs::is_empty(model());
}

bool RunDirectory::settle_model() const {
    if (!finished()) return false;
    const std::string files = folder_->recorded(kModelFiles).value_or("[]");
    const std::optional<Json> names = try_parse_json(files);
    const std::string damage = model_damage(
        model(), names ? names->get<std::vector<std::string>>() : std::vector<std::string>());
    if (damage.empty()) return true;
    if (!has_checkpoint())
        refuse(str(": model/ is damaged (", damage,
                   "), and no checkpoint is left to write it from; "
                   "repair it or choose another --out"));
    const std::string name = set_aside(model(), kDamaged);
    std::fprintf(stderr, "%s\n",
                 message_line(str(model().string(), " is damaged (", damage, "); it is now ", name,
                                  ", and a checkpoint gives a new one"))
                     .c_str());
    return false;
}

bool RunDirectory::has_checkpoint() const {
    if (!fs::is_directory(checkpoints())) return false;
    const fs::directory_iterator entries(checkpoints());
    return std::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
        return step_of(entry.path().filename().string()) && fs::exists(entry.path() / kManifest);
    });
}

void refuse_inputs_in_run(const Recipe& recipe, const fs::path& out) {
    const ModelRecipe& model = recipe.model;
    std::vector<std::pair<std::string, fs::path>> inputs = {
        {"model.init", model.init},
        {"model.llm", model.llm},
        {"model.vision_tower", model.vision_tower},
        {"model.tokenizer", model.tokenizer}};
    if (is_projector_directory(model.projector))
        inputs.emplace_back("model.projector", model.projector);
    if (const auto& chat = recipe.data.chat_template; chat && !is_template_name(*chat))
        inputs.emplace_back("data.template", *chat);
    const OutputGuard guard("--out", out);
    for (const auto& [key, path] : inputs) guard.check_input(key, path);
    for (const SourceRecipe& source : recipe.data.sources) {
        inputs.emplace_back("the path of data source " + source.name, source.path);
        inputs.emplace_back("the images of data source " + source.name, source.images);
    }
    const RunDirectory run(out, false);
    for (const auto& [key, path] : inputs)
        for (const fs::path& written : {run.recipe(), run.log(), run.checkpoints(), run.tokenizer(),
                                        run.cache(), run.model()})
            VILA_CHECK(path.empty() || !lies_inside(path, written), "--out ", out.string(), ": ",
                       written.filename().string(), " would be written and is also ", key,
                       "; choose another --out");
}

}  // namespace vila::tools
