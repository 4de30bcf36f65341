#include "tools/train/recipe_tokenizer.h"

#include <algorithm>

#include "data/records/record_file.h"
#include "data/text/bpe_trainer.h"
#include "tensor/file.h"
#include "tensor/nearest_name.h"
#include "tensor/path_kind.h"
#include "tools/train/recipe_fields.h"
#include "tools/train/recipe_model.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

struct TokenizerConfig {
    int64_t vocab_size = 1024;
    std::string split = "llama3";
};

TokenizerConfig read_tokenizer_config(const Json& table) {
    TokenizerConfig config;
    FieldList fields;
    fields.integer("vocab_size", config.vocab_size, {258, 1 << 24}, "");
    fields.choice("split", config.split, {"gpt2", "llama3", "qwen2"}, "");
    TomlDocument document;
    document.file = "[model.tokenizer_config]";
    fields.read(document, table.is_null() ? Json::object() : table, "", "", {});
    return config;
}

data::SplitRule split_rule(const std::string& name) {
    if (name == "gpt2") return data::SplitRule::Gpt2;
    return name == "qwen2" ? data::SplitRule::Qwen2 : data::SplitRule::Llama3;
}

// Appends the text between the images and special tokens of a sample.
void append_texts(const data::Sample& sample, const data::Tokenizer& bytes,
                  std::vector<std::string>& texts) {
    std::vector<int32_t> run;
    const auto finish = [&] {
        if (!run.empty()) texts.push_back(bytes.decode_bytes(run));
        run.clear();
    };
    for (const int32_t id : sample.ids) {
        if (id == kImageToken || bytes.is_special(id))
            finish();
        else
            run.push_back(id);
    }
    finish();
}

}  // namespace

std::vector<std::string> sample_texts(const std::vector<std::unique_ptr<data::Dataset>>& datasets,
                                      const data::ChatTemplate& chat) {
    // A vocabulary of the 256 bytes encodes and decodes any text without loss.
    const auto bytes = data::train_bpe({}, {.vocab_size = 258});
    const data::TemplateContext context = {*bytes, chat};
    const int64_t budget = kTokenizerText / static_cast<int64_t>(datasets.size());
    std::vector<std::string> texts;
    for (const auto& dataset : datasets) {
        // Record 0, then odd multiples of smaller and smaller strides: however early the budget is
        // used up, the records are spread evenly.
        int64_t taken = 0;
        int64_t stride = 1;
        while (stride < dataset->size()) stride *= 2;
        for (bool first = true; stride >= 1 && taken < budget; stride /= 2, first = false) {
            for (int64_t i = first ? 0 : stride; i < dataset->size() && taken < budget;
                 i += first ? stride : 2 * stride) {
                try {
                    const data::Sample sample = dataset->get(i, context);
                    append_texts(sample, *bytes, texts);
                    taken += static_cast<int64_t>(sample.ids.size());
                } catch (const Error& error) {
                    data::rethrow_system_failure(error);
                    // The loader reports records that cannot be used.
                }
            }
        }
    }
    return texts;
}

fs::path find_or_train_tokenizer(const Recipe& recipe,
                                 const std::vector<std::unique_ptr<data::Dataset>>& datasets,
                                 const RunDirectory& run) {
    const std::optional<fs::path> given = tokenizer_directory(recipe.model);
    if (given) return *given;
    if (path_exists(run.tokenizer())) return run.tokenizer();
    const TokenizerConfig config = read_tokenizer_config(recipe.model.tokenizer_config);
    const std::vector<std::string> texts = sample_texts(datasets, recipe_template(recipe, ""));
    const auto tokenizer = data::train_bpe(
        texts, {.vocab_size = config.vocab_size, .split = split_rule(config.split)});
    AtomicDirectory making(run.tokenizer());
    tokenizer->save(making.path());
    run.check_same_tokenizer(making.path());
    run.record_tokenizer(making.path());
    making.commit();
    return run.tokenizer();
}

}  // namespace vila::tools
