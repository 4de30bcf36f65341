// vila inspect: describes a model directory, a safetensors file, a checkpoint, or one record of a
// dataset as the model reads it.

#include "data/records/dataset.h"
#include "data/records/describe.h"
#include "models/model_directory.h"
#include "tensor/name_list.h"
#include "tensor/path_kind.h"
#include "tools/base/image_source.h"
#include "tools/base/model_template.h"
#include "tools/base/option_checks.h"
#include "tools/base/output.h"
#include "tools/commands.h"
#include "tools/report/inspect.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

// Tokens, labels and image spans of record `index`, with the tokenizer and template of a model.
std::string describe_record(const data::DatasetSource& source, const fs::path& model_path,
                            const std::string& template_name, int64_t index) {
    const models::ModelDirectory model(model_path);
    const models::VilaConfig config = model.config();
    const auto tokenizer = data::load_tokenizer(model.files_of(models::Part::Llm));
    const auto chat =
        template_name.empty() ? model_template(model, config) : find_template(template_name, model);
    const auto dataset = data::open_dataset(source);
    VILA_CHECK(index >= 0 && index < dataset->size(), source.path.string(), ": has ",
               dataset->size(), " records, --index ", index, " is out of range");
    data::Sample sample = dataset->get(index, {*tokenizer, chat});
    data::count_image_tokens(sample, image_token_counter(config.image_layout()));
    return one_line(dataset->where(index)) + "\n" + data::describe_sample(sample, *tokenizer);
}

std::string describe_path(const fs::path& path, bool verify) {
    VILA_CHECK(path_exists(path), path.string(), ": does not exist");
    if (path_exists(path / "manifest.json")) return describe_checkpoint(path, verify);
    if (path_exists(path / "config.json")) return describe_model(path);
    if (directory_exists(path / "model")) return describe_model(path / "model");
    VILA_CHECK(path.extension() == ".safetensors" || is_safetensors(path), path.string(),
               ": expected a model directory, a checkpoint, a safetensors file, or a dataset with "
               "--format and --model");
    return describe_safetensors(path);
}

}  // namespace

int cmd_inspect(Args& args) {
    fs::path path, model_path;
    data::DatasetSource source;
    std::string template_name;
    int64_t index = 0;
    bool verify = false;
    args.positional("PATH", path, "model directory, safetensors file, checkpoint or dataset");
    args.flag("--verify", verify, "checkpoint: compare every byte with its hash");
    args.option("--format", source.format, "dataset: " + name_list(data::dataset_format_names()));
    args.option("--images", source.images,
                "dataset: folder of its images (default: the folder of PATH)");
    args.option("--model", model_path,
                "dataset: model directory whose tokenizer and chat template are used");
    args.option("--template", template_name, "dataset: chat template (default: the model's)");
    args.option("--index", index, "dataset: number of the record, from 0");
    args.parse();

    if (source.format.empty()) {
        refuse_options(args, {"--images", "--model", "--template", "--index"},
                       "without --format, which says that PATH is a dataset");
        if (!path_exists(path / "manifest.json"))
            refuse_options(args, {"--verify"}, "on anything but a checkpoint");
        print_description(describe_path(path, verify));
        return 0;
    }
    refuse_options(args, {"--verify"}, "on anything but a checkpoint");
    if (model_path.empty()) throw UsageError("a dataset needs a tokenizer: give --model");
    source.path = path;
    if (source.images.empty()) source.images = path.parent_path();
    print_description(describe_record(source, model_path, template_name, index));
    return 0;
}

}  // namespace vila::tools
