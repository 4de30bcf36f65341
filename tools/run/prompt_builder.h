#pragma once

// PromptBuilder: turns text, conversations and images into prompts for a model, which may come from
// a directory or be in training.

#include <optional>
#include <string>
#include <vector>

#include "data/image/image_processor.h"
#include "data/text/chat_template.h"
#include "data/text/tokenizer.h"
#include "models/vila.h"
#include "tools/run/feature_memory.h"
#include "tools/run/prompt.h"

namespace vila::tools {

class PromptBuilder {
  public:
    // The model and the tokenizer must outlive the builder. `processor` prepares images for the
    // model's vision tower; without one, prompts with images throw. Conversations throw until
    // use_template() is called.
    PromptBuilder(const models::VilaModel& model, const data::Tokenizer& tokenizer,
                  std::optional<data::ImageProcessor> processor);

    const models::VilaModel& model() const { return model_; }
    const data::Tokenizer& tokenizer() const { return tokenizer_; }

    // Sets the chat template of conversations, or the reason why there is none. In that case
    // chat_template() throws the reason.
    void use_template(data::ChatTemplate chat_template);
    void refuse_template(std::string reason);
    const data::ChatTemplate& chat_template() const;
    // Sets the system message of conversations that have none; "": none.
    void use_system(std::string text) { system_ = std::move(text); }
    // Computes the features of an image now and keeps them for later prompts. Throws if the image
    // cannot be used.
    void prepare_image(const PromptImage& image) const { load_images({image}); }
    // Forgets the features of all images. Call it after the weights of the vision tower have
    // changed.
    void forget_features() { feature_memory_.clear(); }

    // Each of the following returns a prompt. Those that take images throw if the numbers of images
    // and placeholders differ. With `no_image` the features of every image are replaced by zeros.

    // The text as it is; "<image>" marks the place of each image.
    Prompt raw_prompt(const std::string& text, const std::vector<PromptImage>& images) const;
    // A conversation in the chat template, up to the start of the answer. If no message holds a
    // placeholder, one per image is put in front of the first user message.
    Prompt chat_prompt(std::vector<data::Message> messages, const std::vector<PromptImage>& images,
                       bool no_image = false) const;
    // The conversation of chat_prompt() followed by `answer`, rendered as in training. Only the
    // answer and its end-of-turn tokens are labeled.
    Prompt answered_prompt(std::vector<data::Message> messages,
                           const std::vector<PromptImage>& images, const std::string& answer,
                           bool no_image = false) const;
    // The ids of a dataset record, and the images for their placeholders.
    Prompt record_prompt(std::vector<int32_t> ids, const std::vector<data::ImageRef>& images) const;
    // `prompt` followed by `target`. Only the tokens of the target are labeled. Throws if there are
    // none.
    Prompt with_target(const Prompt& prompt, const std::string& target) const;

    // Throws unless the prompt and `new_tokens` more tokens fit into the model's positions. The
    // message ends with `remedy`.
    void check_fits(const Prompt& prompt, int64_t new_tokens,
                    const char* remedy = "shorten the prompt or lower --max-tokens") const;
    // Returns the text of generated ids, without special tokens. Padding ids beyond the tokenizer's
    // vocabulary decode to nothing.
    std::string text_of(const std::vector<int32_t>& ids) const;
    // Returns the ids that end generation: those of the template, the tokenizer and the
    // configuration.
    std::vector<int32_t> stop_ids() const;
    // Returns the texts that end an answer, for a template that ends answers without a token.
    std::vector<std::string> stop_texts() const;

  private:
    using Features = FeatureMemory::Features;

    // Throws unless the model has an embedding for each id.
    void check_ids(const std::vector<int32_t>& ids) const;
    Features features_of(const PromptImage& image) const;
    std::vector<Features> load_images(const std::vector<PromptImage>& images,
                                      bool no_image = false) const;
    // Adds the system message if there is none, and, if no message holds a placeholder, one per
    // image in front of the first user message. Under a named template, changes the white space
    // around placeholders as training does.
    void complete(std::vector<data::Message>& messages, size_t images) const;
    // Warns once on stderr if the template adds nothing to the text, or drops the text and keeps
    // only images. Throws if it drops the text and there is no image.
    void check_template(const std::vector<data::Message>& messages, size_t images) const;
    // Renders the conversation up to the start of the answer. Warns once on stderr if a published
    // template leaves out or changes the text of the last message.
    std::vector<data::Segment> render_question(const std::vector<data::Message>& messages) const;

    const models::VilaModel& model_;
    const data::Tokenizer& tokenizer_;
    std::optional<data::ImageProcessor> image_processor_;
    std::optional<data::ChatTemplate> chat_template_;
    std::string template_error_ = "no chat template was given";
    std::string system_;
    // Keyed by the encoded bytes of the image. It changes no result, so const methods may fill it.
    mutable FeatureMemory feature_memory_;
    mutable bool warned_of_template_ = false;
};

}  // namespace vila::tools
