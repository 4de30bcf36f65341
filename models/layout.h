#pragma once

// The published layouts of model directories. A Layout lists the parts of a model, gives the
// configuration of each part as that of a stand-alone model, and maps the tensors of its files to
// the weights of the parts.
//
//   vila        config.json, llm/, vision_tower/, mm_projector/; or one of those alone
//   llava       LlavaLlamaForCausalLM (LLaVA-1.5, VILA-1.0): language model and projector in one
//               directory, the tower beside it or inside; or a projector trained over a base model
//               (mm_projector.bin)
//   llava-hf    LlavaForConditionalGeneration, with the tensor names before and after
//               transformers 4.52
//
// Each layout is a class in models/layout_NAME.cpp. Inside this program a weight has the name that
// it has in the Hugging Face model of its part, as in the vila layout.

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/config.h"

namespace vila::models {

enum class Part { Llm, VisionTower, Projector };
// The name of a part in messages: "language model", "vision tower" or "projector".
const char* part_name(Part part);

// The weight that a tensor of a file holds: its part, and its name in that part.
struct WeightKey {
    Part part = Part::Llm;
    std::string name;
};
// Maps the name of a tensor in a file to its weight; nothing if the layout has no such tensor.
using WeightNaming = std::function<std::optional<WeightKey>(const std::string& name)>;

// A directory of weight files, or one file, with weights of one or several parts.
struct WeightSource {
    std::filesystem::path path;
    WeightNaming naming;
};

// A configuration, and the path of its file for error messages.
struct SourcedJson {
    Json json;
    std::string where;
};

// The directories of parts that a layout only refers to by name. If a path is empty, the layout
// searches for the part.
struct LayoutOptions {
    std::filesystem::path vision_tower;  // a vision tower's directory, for llava
    std::filesystem::path base;          // a language model's directory, for a projector alone
};

class Layout {
  public:
    Layout() = default;
    virtual ~Layout() = default;
    Layout(const Layout&) = delete;
    Layout& operator=(const Layout&) = delete;

    // "vila", "llava", "llava-hf".
    virtual const char* name() const = 0;
    virtual bool has(Part part) const = 0;
    // The configuration of a part, in the form that the part alone would have. Throws when there is
    // none.
    virtual SourcedJson part_config(Part part) const = 0;
    // The configuration of the joined model, under the field names of VILA's config.json.
    virtual SourcedJson join_config() const = 0;
    // The places where a part's weights may be. The first that holds any of them is read.
    virtual std::vector<WeightSource> weights(Part part) const = 0;
    // The directory of a part's other files: tokenizer, image processor.
    virtual std::filesystem::path files_of(Part part) const = 0;
};

// Recognizes the layout of a directory. Throws when the directory holds no model.
std::unique_ptr<Layout> open_layout(const std::filesystem::path& directory,
                                    const LayoutOptions& options = {});

// The configurations of the parts, and of the joined model. Throw, naming file and field, when one
// is invalid; model_config also when the parts do not fit together.
LlamaConfig llm_config(const Layout& layout);
VisionConfig vision_config(const Layout& layout);
ProjectorConfig projector_config(const Layout& layout);
VilaConfig model_config(const Layout& layout);

// One function per layout. `config` is DIR/config.json.
std::unique_ptr<Layout> open_vila_layout(const std::filesystem::path& directory);
std::unique_ptr<Layout> open_llava_layout(const std::filesystem::path& directory,
                                          SourcedJson config, const LayoutOptions& options);
std::unique_ptr<Layout> open_llava_hf_layout(const std::filesystem::path& directory,
                                             SourcedJson config);

// --- helpers of the layouts ---

constexpr const char* kConfigFile = "config.json";

// Reads DIR/config.json. Throws when there is none.
SourcedJson read_config_file(const std::filesystem::path& directory);
// Returns `name` without `prefix`, or nothing if it does not start with it.
std::optional<std::string> without_prefix(const std::string& name, const std::string& prefix);
// Adds the prefix "vision_model." to the name of a tower's weight if it lacks it. Names of the text
// half of CLIP or SigLIP stay as they are.
std::string vision_weight_name(const std::string& name);
// Removes the fields that only joined models have. The others form the configuration of a plain
// language model.
Json plain_llm_json(Json json);

}  // namespace vila::models
