// vila preprocess: converts images to the pixel values that a model's vision tower takes.

#include "data/image/image.h"
#include "models/model_directory.h"
#include "tensor/name_list.h"
#include "tensor/output_path.h"
#include "tensor/safetensors.h"
#include "tools/base/output.h"
#include "tools/base/output_guard.h"
#include "tools/base/progress.h"
#include "tools/commands.h"
#include "tools/run/loaded_model.h"

namespace vila::tools {

int cmd_preprocess(Args& args) {
    std::filesystem::path model_path, output;
    std::vector<std::string> paths;
    std::string mode;
    args.option("--model", model_path, "model directory, or that of a vision tower alone")
        .required();
    args.positional("IMAGE", paths, "image files");
    args.option("--output", output,
                "safetensors file for pixel_values (n, 3, H, W), f32; - is standard output")
        .required();
    args.option(
        "--image-mode", mode,
        name_list(data::image_mode_names()) + " (default: the model's; crop for a tower alone)");
    CommonOptions common;
    common.declare(args);
    args.parse();

    const OutputGuard guard("--output", output);
    guard.check_input("--model", model_path);
    for (const std::string& path : paths) guard.check_input("the image", path);
    check_output_path(output_path(output));
    const auto device = common.make_device();
    const models::ModelDirectory model(model_path);
    if (mode.empty()) {
        const bool is_whole = model.layout().has(models::Part::Llm);
        mode = is_whole ? model.config().image_mode : "crop";
    }
    const data::ImageProcessor processor = open_image_processor(model, mode);
    Tensor all;
    Progress progress("preprocess", static_cast<int64_t>(paths.size()));
    for (size_t i = 0; i < paths.size(); ++i) {
        const Tensor pixels = processor.to_pixels(data::load_image(paths[i]), *device);
        if (!all.defined())
            all = Tensor::empty(
                *device, {static_cast<int64_t>(paths.size()), 3, pixels.size(1), pixels.size(2)},
                DType::F32);
        const auto row = static_cast<int64_t>(i);
        all.slice(0, row, row + 1).reshape(pixels.shape()).copy_from(pixels);
        progress.count(row + 1);
    }
    write_safetensors(output_path(output), {{"pixel_values", all}});
    return 0;
}

}  // namespace vila::tools
