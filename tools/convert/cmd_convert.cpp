// vila convert: writes a model in another of the published layouts.

#include "data/text/tokenizer.h"
#include "models/convert.h"
#include "tensor/name_list.h"
#include "tensor/path_kind.h"
#include "tools/base/option_checks.h"
#include "tools/base/output_guard.h"
#include "tools/base/progress.h"
#include "tools/commands.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr int kLargestSide = 4096;  // of images, in pixels

// The model's tokenizer, or null if it has none.
std::shared_ptr<data::Tokenizer> tokenizer_of(const models::Layout& layout) {
    const fs::path directory = layout.files_of(models::Part::Llm);
    for (const char* file : {"tokenizer.json", "tokenizer.model", "vocab.json"})
        if (path_exists(directory / file)) return data::load_tokenizer(directory);
    return nullptr;
}

// Takes the image token of layout llava-hf, and its text, from the model's tokenizer.
void use_tokenizer(const models::Layout& layout, models::ConvertOptions& options) {
    const std::shared_ptr<data::Tokenizer> tokenizer = tokenizer_of(layout);
    if (!tokenizer) return;
    if (!options.image_token) options.image_token = tokenizer->token_to_id("<image>");
    // The embedding table may have more rows than the vocabulary.
    options.token_text = [tokenizer](int32_t id) {
        return id < tokenizer->vocab_size() ? tokenizer->token(id) : "<image>";
    };
}

}  // namespace

int cmd_convert(Args& args) {
    fs::path source, destination;
    models::ConvertOptions options;
    options.companion_files = data::tokenizer_files();
    models::LayoutOptions parts;
    args.positional("SRC", source, "model directory in any layout");
    args.positional("DST", destination, "directory to create");
    const std::vector<std::string> layouts = {"vila", "llava-hf", "llava"};
    args.option("--to", options.layout, "layout to write: " + name_list(layouts)).one_of(layouts);
    args.option("--vision-tower", parts.vision_tower,
                "directory of the vision tower, for a llava model that only names it");
    args.option("--base", parts.base,
                "directory of the language model, for a projector without one");
    args.option("--image-token", options.image_token,
                "llava-hf: token id of an image (default: the tokenizer's <image>)")
        .non_negative();
    args.option("--image-size", options.image_size,
                "resize the vision tower for images of this many pixels a side, by "
                "interpolating its position embeddings")
        .range(1, kLargestSide);
    std::optional<std::string> dtype;
    args.option("--dtype", dtype, "f32, bf16 or f16 (default: every tensor keeps its dtype)")
        .one_of({"f32", "bf16", "f16"});
    args.parse();

    if (options.layout != "llava-hf")
        refuse_options(args, {"--image-token"}, "in layouts other than llava-hf");
    if (dtype) options.dtype = dtype_from_name(*dtype);
    const OutputGuard output("DST", destination);
    output.check_input("SRC", source);
    output.check_input("--vision-tower", parts.vision_tower);
    output.check_input("--base", parts.base);
    const auto layout = models::open_layout(source, parts);
    if (options.layout == "llava-hf") use_tokenizer(*layout, options);
    for (const std::string& remark : models::llm_config(*layout).remarks)
        std::fprintf(stderr, "%s\n", remark.c_str());
    const auto device = CommonOptions().make_device();
    std::optional<Progress> progress;
    options.on_written = [&](int64_t done, int64_t total) {
        constexpr int64_t kMegabyte = 1'000'000;
        if (!progress) progress.emplace("MB written", total / kMegabyte);
        progress->count(done / kMegabyte);
    };
    models::convert_model(*layout, destination, *device, options);
    progress.reset();
    std::fprintf(stderr, "%s: %s model in layout %s\n", destination.string().c_str(),
                 layout->name(), options.layout.c_str());
    return 0;
}

}  // namespace vila::tools
