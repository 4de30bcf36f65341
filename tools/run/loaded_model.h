#pragma once

// A model directory ready to answer: weights, tokenizer, chat template and image processor, and the
// way from text and picture files to what the model reads. Used by generate, chat, score and eval.

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/image/image_processor.h"
#include "data/loader/loader.h"
#include "data/text/chat_template.h"
#include "data/text/tokenizer.h"
#include "models/generate.h"
#include "models/vila.h"
#include "tensor/read_ahead.h"
#include "tools/base/args.h"

namespace vila::tools {

// What the model reads: ids with a placeholder for each image, and the features that the vision
// tower saw in the images. Owns what the models::Sequence that view() makes points to.
struct Prompt {
    std::vector<int32_t> ids;     // (T), kImageToken for each image
    std::vector<int32_t> labels;  // (T), or empty when nothing is scored
    std::vector<std::shared_ptr<const data::LoadedImage>> images;  // features (N, Cv)

    models::Sequence view() const;
    // Positions once each image has become `tokens_per_image` of them.
    int64_t length(int64_t tokens_per_image) const;
};

// The image processor of a model's vision tower under an image mode (crop, pad or resize).
data::ImageProcessor open_image_processor(const std::filesystem::path& model_directory,
                                          const std::string& image_mode);

// Throws one clear line when the weights that must be converted to `dtype` need more bytes than are
// `present`; without it the system would end the program half-way.
void check_memory(const std::filesystem::path& directory, DType dtype, int64_t needed,
                  int64_t present);

class LoadedModel {
  public:
    // Opens MODEL on the device that the options name. A directory with a language model alone is
    // legal; showing it an image is then refused.
    LoadedModel(const std::filesystem::path& directory, const CommonOptions& options);

    const models::VilaModel& model() const { return *model_; }
    const data::Tokenizer& tokenizer() const { return *tokenizer_; }
    const data::ChatTemplate& chat_template() const { return chat_template_; }
    // Speaks by another template from now on (a base model has none of its own).
    void use_template(const std::string& name) { chat_template_ = data::ChatTemplate::named(name); }
    Device& device() const { return *device_; }
    int64_t tokens_per_image() const { return model_->config().tokens_per_image(); }

    // Text exactly as given, "<image>" marking each image's place. Throws when images and
    // placeholders differ in number.
    Prompt raw_prompt(const std::string& text, const std::vector<std::string>& image_paths) const;
    // A conversation in the model's own template, up to where the answer begins. If no message
    // holds a placeholder, one per image is put in front of the first user message.
    Prompt chat_prompt(std::vector<data::Message> messages,
                       const std::vector<std::string>& image_paths) const;
    // Ids as a dataset made them, with the images of their placeholders.
    Prompt record_prompt(std::vector<int32_t> ids, const std::vector<data::ImageRef>& images) const;
    // `prompt` continued by `target`, whose tokens alone are labelled.
    Prompt with_target(const Prompt& prompt, const std::string& target) const;
    // The same conversation answered with `answer` as training renders it; the answer and what ends
    // it are labelled.
    Prompt answered_prompt(std::vector<data::Message> messages,
                           const std::vector<std::string>& image_paths,
                           const std::string& answer) const;

    // Throws one clear line unless prompt and `new_tokens` more fit into the model's positions.
    void check_fits(const Prompt& prompt, int64_t new_tokens) const;
    // The text of generated ids: without special tokens, and without the ids behind the vocabulary
    // that some models have to make their number round.
    std::string text_of(const std::vector<int32_t>& ids) const;
    // Ids after which generation stops: those of the template and of the vocabulary.
    std::vector<int32_t> stop_ids() const;

    // Replaces what the tower saw in every image by zeros: the model answers blind.
    bool blind = false;

  private:
    using Features = std::shared_ptr<const data::LoadedImage>;

    Features features_of(const data::ImageRef& image) const;
    std::vector<Features> load_images(const std::vector<data::ImageRef>& images) const;
    // Puts one placeholder per image in front of the first user message if there is none at all.
    static void place_images(std::vector<data::Message>& messages, size_t images);

    std::unique_ptr<Device> device_;
    std::unique_ptr<models::VilaModel> model_;
    std::unique_ptr<ReadAhead> read_ahead_;  // of the mapped weights of model_
    std::unique_ptr<data::Tokenizer> tokenizer_;
    data::ChatTemplate chat_template_;
    std::optional<data::ImageProcessor> image_processor_;
    // Features by name: demonstrations show the same pictures again and again.
    mutable std::map<std::string, Features> seen_;
    mutable int64_t seen_bytes_ = 0;
};

}  // namespace vila::tools
