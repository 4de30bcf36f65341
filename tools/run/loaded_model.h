#pragma once

// A model directory, opened for inference: weights, tokenizer, chat template and image processor.
// Turns text and image files into prompts. Used by generate, chat, score, eval, report and demo.

#include <filesystem>
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
#include "tools/run/feature_memory.h"

namespace vila::tools {

// The input of the model: token ids with a placeholder for each image, and the images' features
// from the vision tower.
struct Prompt {
    std::vector<int32_t> ids;     // (T), kImageToken for each image
    std::vector<int32_t> labels;  // (T), or empty if nothing is scored
    std::vector<std::shared_ptr<const data::LoadedImage>> images;  // features (N, Cv)

    // Points into this prompt, which must outlive it.
    models::Sequence view() const;
};

// The image processor of a model's vision tower in an image mode (crop, pad or resize).
data::ImageProcessor open_image_processor(const std::filesystem::path& model_directory,
                                          const std::string& image_mode);

// Throws if weights converted to `dtype` need more bytes than are `present`. Without this check the
// system would kill the process while it loads them.
void check_memory(const std::filesystem::path& directory, DType dtype, int64_t needed,
                  int64_t present);

class LoadedModel {
  public:
    // Opens a model directory on the device of `options`. The directory may hold a language model
    // alone; prompts with images then throw.
    LoadedModel(const std::filesystem::path& directory, const CommonOptions& options);

    const models::VilaModel& model() const { return *model_; }
    const data::Tokenizer& tokenizer() const { return *tokenizer_; }
    // Throws if the model was published with a template that cannot be used and that no other one
    // has replaced.
    const data::ChatTemplate& chat_template() const;
    // Replaces the chat template.
    void use_template(data::ChatTemplate chat_template) {
        chat_template_ = std::move(chat_template);
    }
    // Sets the system message of conversations that have none; "": none.
    void use_system(std::string text) { system_ = std::move(text); }
    Device& device() const { return *device_; }

    // Each of the following returns a prompt. They throw if images and placeholders differ in
    // number. With `no_image` the features of every image are replaced by zeros.

    // The text as it is; "<image>" marks the place of each image.
    Prompt raw_prompt(const std::string& text, const std::vector<std::string>& image_paths) const;
    // A conversation in the chat template, up to the start of the answer. If no message holds a
    // placeholder, one per image is put in front of the first user message.
    Prompt chat_prompt(std::vector<data::Message> messages,
                       const std::vector<std::string>& image_paths, bool no_image = false) const;
    // The conversation of chat_prompt() followed by `answer`, rendered as in training. Only the
    // answer and its end-of-turn tokens are labeled.
    Prompt answered_prompt(std::vector<data::Message> messages,
                           const std::vector<std::string>& image_paths, const std::string& answer,
                           bool no_image = false) const;
    // Ids of a dataset record, and the images of their placeholders.
    Prompt record_prompt(std::vector<int32_t> ids, const std::vector<data::ImageRef>& images) const;
    // `prompt` followed by `target`. Only the tokens of the target are labeled.
    Prompt with_target(const Prompt& prompt, const std::string& target) const;

    // Number of positions that the prompt takes, with its images expanded.
    int64_t num_positions(const Prompt& prompt) const;
    // Throws unless the prompt and `new_tokens` more tokens fit into the model's positions.
    void check_fits(const Prompt& prompt, int64_t new_tokens) const;
    // The text of generated ids, without special tokens. Padding ids beyond the tokenizer's
    // vocabulary decode to nothing.
    std::string text_of(const std::vector<int32_t>& ids) const;
    // Ids that end generation: those of the template, the tokenizer and the configuration.
    std::vector<int32_t> stop_ids() const;
    // Texts that end the answer of a conversation, under templates that end it without a token.
    std::vector<std::string> stop_texts() const;

  private:
    using Features = FeatureMemory::Features;

    Features features_of(const data::ImageRef& image) const;
    std::vector<Features> load_images(const std::vector<data::ImageRef>& images,
                                      bool no_image = false) const;
    // Puts the system message in front, and one placeholder per image in front of the first user
    // message if no message holds one. Under a named template, tidies the text around placeholders
    // as training does.
    void complete(std::vector<data::Message>& messages, size_t images) const;
    // Warns once on stderr if the template adds nothing to the text, or drops the text and keeps
    // only images. Throws if it drops the text and there is no image.
    void check_template(const std::vector<data::Message>& messages, size_t images) const;
    // Renders the conversation up to the start of the answer. Warns once on stderr if the text of
    // the last message is not in the result.
    std::vector<data::Segment> render_question(const std::vector<data::Message>& messages) const;

    std::unique_ptr<Device> device_;
    std::unique_ptr<models::VilaModel> model_;
    std::unique_ptr<ReadAhead> read_ahead_;  // reads the mapped weights of model_
    std::unique_ptr<data::Tokenizer> tokenizer_;
    std::optional<data::ChatTemplate> chat_template_;
    std::string template_error_;  // why there is none
    std::string system_;
    std::optional<data::ImageProcessor> image_processor_;
    // By image name; demonstrations repeat the same images. It changes no result, so const methods
    // fill it.
    mutable FeatureMemory feature_memory_;
    mutable bool warned_of_template_ = false;
};

}  // namespace vila::tools
