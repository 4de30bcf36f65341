#include "tools/run/loaded_model.h"

#include <unistd.h>

#include "tools/base/model_template.h"
#include "tools/base/units.h"

namespace vila::tools {

namespace {

int64_t physical_memory() {
    return int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
}

std::unique_ptr<models::VilaModel> load_in_memory(const models::ModelDirectory& directory,
                                                  Device& device, DType dtype) {
    if (device.kind() == DeviceKind::Cpu)
        check_memory(directory.path(), dtype, directory.converted_bytes(dtype), physical_memory());
    return directory.load(device, dtype, models::WeightMemory::Mapped);
}

std::optional<data::ImageProcessor> processor_of(const models::ModelDirectory& directory,
                                                 const models::VilaConfig& config) {
    if (!config.vision) return std::nullopt;
    data::ImageProcessor processor = open_image_processor(directory, config.image_mode);
    VILA_CHECK(processor.size() == config.vision->image_size,
               directory.files_of(models::Part::VisionTower).string(),
               "/preprocessor_config.json: gives images of ", processor.size(),
               " pixels a side: the vision tower (image_size) takes ", config.vision->image_size);
    return processor;
}

// Reads mapped weights from the disk in the background, in the order in which a prompt uses them.
// Returns null on a GPU, and for weights larger than this machine's memory, because later pages
// would evict earlier ones.
std::unique_ptr<ReadAhead> read_ahead(const models::VilaModel& model) {
    if (model.device().kind() != DeviceKind::Cpu) return nullptr;
    std::vector<ReadAhead::Range> ranges;
    int64_t bytes = 0;
    const auto add = [&](const nn::ParameterTable& table) {
        for (const nn::Parameter& parameter : table)
            for (const Tensor& tensor : parameter.tensors()) {
                ranges.push_back({tensor.raw(), tensor.bytes()});
                bytes += tensor.bytes();
            }
    };
    if (model.has_vision()) {
        add(model.vision_table());
        add(model.projector_table());
    }
    add(model.llm_table());
    if (bytes > physical_memory()) return nullptr;
    return std::make_unique<ReadAhead>(std::move(ranges));
}

}  // namespace

void check_memory(const std::filesystem::path& directory, DType dtype, int64_t needed,
                  int64_t present) {
    VILA_CHECK(needed <= present, directory.string(), ": its weights as ", dtype, " need ",
               gigabytes(needed), " of memory, and this machine has ", gigabytes(present),
               ": use --dtype ", dtype == DType::BF16 ? "f32" : "bf16",
               ", or files in the requested dtype, which are mapped without a copy");
}

data::ImageProcessor open_image_processor(const models::ModelDirectory& directory,
                                          const std::string& image_mode) {
    const std::filesystem::path folder = directory.files_of(models::Part::VisionTower);
    const data::ImageProcessorConfig config = data::read_image_processor_config(folder);
    try {
        return data::ImageProcessor(config, data::image_mode_from_name(image_mode));
    } catch (const Error& error) {
        throw Error(str(folder.string(), "/preprocessor_config.json: ", error.what()));
    }
}

LoadedModel::LoadedModel(const std::filesystem::path& directory, const CommonOptions& options)
    : directory_(directory),
      device_(options.make_device()),
      model_(load_in_memory(directory_, *device_, options.dtype_or(DType::F32))),
      read_ahead_(read_ahead(*model_)),
      tokenizer_(data::load_tokenizer(directory_.files_of(models::Part::Llm))),
      prompts_(*model_, *tokenizer_, processor_of(directory_, model_->config())) {
    // Not an error yet: prompts without a template, or with another one, do not need the model's.
    try {
        prompts_.use_template(model_template(directory_, model_->config()));
    } catch (const Error& error) {
        prompts_.refuse_template(error.what());
    }
    for (const std::string& remark : model_->config().llm.remarks)
        std::fprintf(stderr, "%s\n", remark.c_str());
}

}  // namespace vila::tools
