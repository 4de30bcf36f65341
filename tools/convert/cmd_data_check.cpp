// vila data check: what training would drop of the data that a recipe names, or of one file.

#include "tools/convert/cmd_data_check.h"

#include <optional>

#include "data/text/bpe_trainer.h"
#include "models/model_directory.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/name_list.h"
#include "tools/base/args.h"
#include "tools/base/image_source.h"
#include "tools/base/model_template.h"
#include "tools/base/option_checks.h"
#include "tools/base/output.h"
#include "tools/base/output_guard.h"
#include "tools/convert/data_check.h"
#include "tools/train/recipe.h"
#include "tools/train/recipe_limits.h"
#include "tools/train/recipe_model.h"
#include "tools/train/training_data.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

// What `vila data check` reads, and how.
struct Job {
    std::vector<CheckedSource> sources;
    std::unique_ptr<data::Tokenizer> tokenizer;
    std::optional<data::ChatTemplate> chat;
    double max_bad_share = 0.01;
    DataCheckOptions options;
};

// Lets the job read data whose tokenizer is not known: a token for each byte, and samples of any
// length.
void do_without_tokenizer(Job& job, bool is_recipe) {
    std::fprintf(stderr,
                 "there is no tokenizer%s: samples of any length are usable, and none is cut%s\n",
                 is_recipe ? " yet" : "", is_recipe ? "" : "; --model DIR gives one");
    job.tokenizer = data::train_bpe(std::vector<std::string>{}, {.vocab_size = 258});
    job.options.max_length = int64_t{1} << 40;
}

void read_recipe(const std::string& file, const std::vector<std::string>& overrides, Job& job) {
    const Recipe recipe = load_recipe(file, overrides);
    for (const SourceRecipe& source : recipe.data.sources)
        job.sources.push_back({source.name, dataset_source(source)});
    job.max_bad_share = recipe.data.max_bad_share;
    const std::optional<fs::path> directory = tokenizer_directory(recipe.model);
    job.chat = recipe_template(recipe, directory.value_or(""));
    if (directory) {
        job.tokenizer = data::load_tokenizer(*directory);
        job.options.max_length = recipe.data.max_length;
    }
    if (stage_facts(*recipe.stage).loss == StageLoss::NextToken) {
        const models::VilaConfig config = recipe_model_config(recipe);
        if (config.vision) {
            job.options.image_tokens = image_token_counter(config.image_layout());
            make_image_processor(recipe, *config.vision, config.image_mode);  // or throws
        }
    } else {
        recipe_vision_config(recipe.model);  // or throws
    }
}

void read_model(const fs::path& path, Job& job) {
    const models::ModelDirectory model(path);
    const models::VilaConfig config = model.config();
    job.tokenizer = data::load_tokenizer(model.files_of(models::Part::Llm));
    job.chat = model_template(model, config);
    if (config.vision) job.options.image_tokens = image_token_counter(config.image_layout());
}

}  // namespace

int check_data(std::vector<std::string> arguments) {
    Args args("data check",
              "read all data that a recipe names, or one file; list what training would drop",
              std::move(arguments));
    Job job;
    data::DatasetSource source;
    std::string path, missing_image = "error";
    std::vector<std::string> overrides;
    fs::path model;
    std::optional<int64_t> max_length;
    std::optional<double> max_bad_share;
    CommonOptions common;
    bool as_json = false;
    args.positional("PATH", path, "recipe file (TOML); with --format, file of a dataset");
    args.optional_positional("KEY=VALUE", overrides, "recipe: set a key, as for `vila train`");
    args.option("--format", source.format, "dataset: " + name_list(data::dataset_format_names()));
    args.option("--images", source.images,
                "dataset: folder of its images (default: the folder of PATH)");
    args.option("--model", model,
                "dataset: model directory whose tokenizer and chat template are used");
    args.option("--missing-image", missing_image,
                "dataset: what becomes of a record with a missing image: " +
                    name_list(data::missing_image_names()));
    args.option("--max-images", source.max_images, "dataset: mmc4 images kept of a document")
        .range(1, kMostMicroBatchPositions);
    args.option("--max-length", max_length,
                "longest sample, in text and image positions; needs a tokenizer")
        .positive();
    args.option("--max-bad-share", max_bad_share,
                "largest share of all records, or of 100 if there are fewer, that may be bad "
                "(default: data.max_bad_share, or 0.01)")
        .range(0.0, 1.0);
    args.option("--limit", job.options.limit,
                "check only this many records of a source, evenly spread over it; 0: all")
        .non_negative();
    args.flag("--decode", job.options.decode,
              "decode every image, instead of reading its header only");
    args.flag("--json", as_json, "print one JSON object");
    args.option("--threads", common.threads, "threads; 0: all cores that this process may use")
        .range(0, 4096);
    args.footer("Formats:\n" + data::describe_dataset_formats() +
                "\nExit code 1 if a source cannot be opened or has no usable record, or if a run "
                "would stop\nbecause more records are bad than data.max_bad_share allows. With "
                "--limit, only the checked\nrecords are judged.");
    args.parse();
    OutputGuard("standard output", "-").check_input("PATH", path);

    if (source.format.empty()) {
        refuse_options(args, {"--images", "--model", "--missing-image", "--max-images"},
                       "on a recipe, whose sources and model are its own");
        read_recipe(path, overrides, job);
    } else {
        if (source.format != "mmc4")
            refuse_options(args, {"--max-images"}, "on a format other than mmc4");
        if (!overrides.empty()) throw UsageError("KEY=VALUE needs a recipe: leave out --format");
        source.path = path;
        if (source.images.empty()) source.images = source.path.parent_path();
        source.missing_image = data::missing_image_named(missing_image);
        job.sources.push_back({source.path.filename().string(), source});
        job.chat = data::ChatTemplate::named("vicuna_v1");
        if (!model.empty()) read_model(model, job);
    }
    if (max_length) job.options.max_length = *max_length;
    if (!job.tokenizer) do_without_tokenizer(job, source.format.empty());
    if (max_bad_share) job.max_bad_share = *max_bad_share;
    job.options.threads = static_cast<const CpuDevice&>(*common.make_device()).threads();

    std::vector<SourceCheck> checks;
    for (const CheckedSource& checked : job.sources)
        checks.push_back(check_source(checked, {*job.tokenizer, *job.chat}, job.options));
    if (as_json) {
        print_text(checks_json(checks, job.max_bad_share)
                       .dump(-1, ' ', false, Json::error_handler_t::replace) +
                   "\n");
    } else {
        print_description(describe_checks(checks));
    }
    const std::string stop = reason_to_stop(checks, job.max_bad_share);
    VILA_CHECK(stop.empty(), stop);
    return 0;
}

}  // namespace vila::tools
