// vila data: `make-world` writes the miniature world, `stats` summarizes a dataset, `check`
// lists what training would drop.

#include <algorithm>
#include <map>
#include <optional>

#include "data/records/dataset.h"
#include "data/records/describe.h"
#include "data/world/world.h"
#include "models/model_directory.h"
#include "tensor/name_list.h"
#include "tools/base/image_source.h"
#include "tools/base/model_template.h"
#include "tools/base/output.h"
#include "tools/base/output_guard.h"
#include "tools/base/progress.h"
#include "tools/commands.h"
#include "tools/convert/cmd_data_check.h"
#include "tools/convert/data_check.h"

namespace vila::tools {

namespace {

// A dataset that shows how many of its records have been read. For one thread.
class CountedDataset : public data::Dataset {
  public:
    CountedDataset(const data::Dataset& dataset, int64_t reads)
        : dataset_(dataset), progress_("records", reads) {}

    int64_t size() const override { return dataset_.size(); }
    std::string where(int64_t index) const override { return dataset_.where(index); }
    data::Sample get(int64_t index, const data::TemplateContext& context) const override {
        progress_.count(read_++);
        return dataset_.get(index, context);
    }

  private:
    const data::Dataset& dataset_;
    mutable Progress progress_;
    mutable int64_t read_ = 0;
};

int make_world(std::vector<std::string> arguments) {
    Args args("data make-world", "write the miniature world, in the formats of published datasets",
              std::move(arguments));
    std::filesystem::path out;
    data::WorldOptions options;
    double factor = 1.0;
    args.option("--out", out, "folder to create").required();
    args.option("--seed", options.seed, "seed of the world");
    args.option("--scale", factor, "size of the world, as a multiple of that of the demo")
        .range(1e-4, 100.0);
    args.option("--word-images", options.word_images,
                "number of training images with written words")
        .range(0, 10'000'000);
    args.parse();
    std::optional<Progress> progress;
    data::make_world(options.scaled(factor), out, [&](int64_t done, int64_t total) {
        if (!progress) progress.emplace("images", total);
        progress->count(done);
    });
    print_text(out.string() + "\n");
    return 0;
}

int print_stats(std::vector<std::string> arguments) {
    Args args("data stats", "count the samples, images, tokens and targets of a dataset",
              std::move(arguments));
    data::DatasetSource source;
    std::filesystem::path model_path;
    int64_t max_length = 2048, limit = 0;
    args.positional("PATH", source.path, "file of the dataset");
    args.option("--format", source.format, name_list(data::dataset_format_names())).required();
    args.option("--images", source.images, "folder of its images (default: the folder of PATH)");
    args.option("--model", model_path, "model directory whose tokenizer and chat template are used")
        .required();
    args.option("--max-length", max_length,
                "longest sample, in text and image positions; longer ones are cut, as in training")
        .positive();
    args.option("--limit", limit,
                "read only this many records, evenly spread over the dataset; 0: all")
        .non_negative();
    args.footer("Formats:\n" + data::describe_dataset_formats() +
                "\nExit code 1 if no record is usable.");
    args.parse();
    OutputGuard("standard output", "-").check_input("PATH", source.path);
    if (source.images.empty()) source.images = source.path.parent_path();
    const models::ModelDirectory model(model_path);
    const models::VilaConfig config = model.config();
    const auto tokenizer = data::load_tokenizer(model.files_of(models::Part::Llm));
    const auto chat = model_template(model, config);
    const auto opened = data::open_dataset(source);
    const int64_t size = opened->size();
    const CountedDataset dataset(*opened, limit > 0 ? std::min(limit, size) : size);
    const auto count = [tokens = image_token_counter(config.image_layout())](const auto& image) {
        VILA_CHECK(has_image_file(image), image.path, " is missing or empty");
        return tokens(image);
    };
    const auto statistics =
        data::collect_statistics(dataset, {*tokenizer, chat}, count, max_length, limit);
    print_description(data::describe_statistics(statistics));
    VILA_CHECK(statistics.samples > 0, source.path.string(), ": has no usable record");
    return 0;
}

}  // namespace

int cmd_data(Args& args) {
    using Run = int (*)(std::vector<std::string> arguments);
    static const std::map<std::string, Run> kActions = {
        {"make-world", make_world}, {"stats", print_stats}, {"check", check_data}};
    const std::vector<std::string> words = args.raw();
    const std::string action = words.empty() ? "--help" : words.front();
    const std::vector<std::string> rest(words.begin() + (words.empty() ? 0 : 1), words.end());
    if (const auto found = kActions.find(action); found != kActions.end()) {
        try {
            return found->second(rest);
        } catch (const UsageError& error) {
            throw ActionUsageError("data " + action, error.what());
        }
    }
    if (action == "--help" || action == "-h") {
        print_text(
            "usage: vila data make-world --out DIR [OPTIONS]\n"
            "       vila data stats PATH --format FORMAT --model DIR [OPTIONS]\n"
            "       vila data check RECIPE [KEY=VALUE]... [OPTIONS]\n"
            "       vila data check PATH --format FORMAT [OPTIONS]\n\n"
            "  make-world   write the miniature world, in the formats of published datasets\n"
            "  stats        count the samples, images, tokens and targets of a dataset\n"
            "  check        read all data that a recipe names, or one file; list what training "
            "would drop\n\n"
            "'vila data ACTION --help' lists the options of an action.\n");
        return words.empty() ? 2 : 0;
    }
    throw UsageError(str("unknown action '", action, "': expected make-world, stats or check"));
}

}  // namespace vila::tools
