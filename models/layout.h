#pragma once

// The layouts in which models are published, and what a reader needs to know of each: which parts
// there are, the configuration of each part as if it stood alone, and which file holds which of its
// weights under which name.
//
//   vila        config.json, llm/, vision_tower/, mm_projector/; or one of those alone
//   llava       LlavaLlamaForCausalLM (LLaVA-1.5, VILA-1.0): language model and projector in one
//               directory, the tower beside it or inside; or a projector that was trained over a
//               base model (mm_projector.bin)
//   llava-hf    LlavaForConditionalGeneration, with the names of its tensors before and after
//               transformers 4.52
//
// Each layout is a class in models/layout_NAME.cpp. The weights have one set of names inside this
// program: those of the part's own Hugging Face model, as in the vila layout.

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
// "language model", "vision tower", "projector": for messages.
const char* part_name(Part part);

// What a tensor of a file is: a weight of a part, under the name it has there.
struct WeightPlace {
    Part part = Part::Llm;
    std::string name;
};
// Nothing where a name has no place in the layout.
using WeightNaming = std::function<std::optional<WeightPlace>(const std::string& name)>;

// Weights of one or several parts: a directory of weight files or one file.
struct WeightSource {
    std::filesystem::path path;
    WeightNaming naming;
};

// A configuration and the file that it comes from, for messages.
struct SourcedJson {
    Json json;
    std::string where;
};

// Parts that a layout only refers to, given by hand. Empty: where the layout says.
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
    // The configuration of a part as that of a model of its own. Throws when it cannot be found.
    virtual SourcedJson part_config(Part part) const = 0;
    // What joins the parts, under the field names of VILA's config.json.
    virtual SourcedJson join_config() const = 0;
    // Where the weights of a part are. A source that holds none of them leaves them to the next.
    virtual std::vector<WeightSource> weights(Part part) const = 0;
    // Where a part's other files are: tokenizer, image processor.
    virtual std::filesystem::path files_of(Part part) const = 0;
};

// Recognises the layout of DIR; throws when it holds no model.
std::unique_ptr<Layout> open_layout(const std::filesystem::path& directory,
                                    const LayoutOptions& options = {});

// The configurations of a layout's parts, checked against each other.
LlamaConfig llm_config(const Layout& layout);
VisionConfig vision_config(const Layout& layout);
ProjectorConfig projector_config(const Layout& layout);
VilaConfig model_config(const Layout& layout);

// The layouts; `config` is the contents of DIR/config.json.
std::unique_ptr<Layout> open_vila_layout(const std::filesystem::path& directory);
std::unique_ptr<Layout> open_llava_layout(const std::filesystem::path& directory,
                                          SourcedJson config, const LayoutOptions& options);
std::unique_ptr<Layout> open_llava_hf_layout(const std::filesystem::path& directory,
                                             SourcedJson config);

// --- what the layouts share ---

constexpr const char* kConfigFile = "config.json";

// DIR/config.json; throws when there is none.
SourcedJson read_config_file(const std::filesystem::path& directory);
// The rest of `name` behind `prefix`, if it starts so.
std::optional<std::string> behind(const std::string& name, const std::string& prefix);
// The name of a tower's weight whether or not its writer put "vision_model." in front.
std::string vision_weight_name(const std::string& name);
// Fields of `json` that mean something only where parts are joined are removed, and the others
// make the configuration of a plain language model.
Json plain_llm_json(Json json);

}  // namespace vila::models
