#include "tools/run/prompt_builder.h"

#include <algorithm>
#include <cctype>

#include "data/records/conversation.h"
#include "data/text/trim.h"
#include "tools/base/hash64.h"
#include "tools/base/image_source.h"

namespace vila::tools {

namespace {

constexpr int64_t kMaxFeatureBytes = int64_t{1} << 28;

void check_image_count(int64_t placeholders, size_t images) {
    VILA_CHECK(placeholders == static_cast<int64_t>(images), "the prompt has ", placeholders,
               " <image> placeholder(s) but ", images,
               " image(s) were given: give one image for each placeholder");
}

// Returns whether the message has text besides the placeholders of images.
bool has_text(const data::Message& message) {
    std::string text = message.text;
    for (size_t at = text.find(data::kImagePlaceholder); at != std::string::npos;
         at = text.find(data::kImagePlaceholder))
        text.erase(at, data::kImagePlaceholder.size());
    return !data::trimmed(text).empty();
}

std::string without_blanks(std::string text) {
    std::erase_if(text, [](unsigned char c) { return std::isspace(c); });
    return text;
}

void append_unique(std::vector<int32_t>& ids, int32_t id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

}  // namespace

PromptBuilder::PromptBuilder(const models::VilaModel& model, const data::Tokenizer& tokenizer,
                             std::optional<data::ImageProcessor> processor)
    : model_(model),
      tokenizer_(tokenizer),
      image_processor_(std::move(processor)),
      feature_memory_(kMaxFeatureBytes) {}

void PromptBuilder::use_template(data::ChatTemplate chat_template) {
    chat_template_ = std::move(chat_template);
    warned_of_template_ = false;
}

void PromptBuilder::refuse_template(std::string reason) {
    chat_template_.reset();
    template_error_ = std::move(reason);
}

const data::ChatTemplate& PromptBuilder::chat_template() const {
    VILA_CHECK(chat_template_.has_value(), template_error_);
    return *chat_template_;
}

PromptBuilder::Features PromptBuilder::features_of(const PromptImage& image) const {
    const auto encoded = image.encoded();
    const auto bytes = static_cast<int64_t>(encoded->size());
    const std::string key = str(hash64(encoded->data(), bytes), ' ', bytes);
    return feature_memory_.get(key, [&] {
        const data::Image picture = data::decode_image(*encoded, image.name());
        const models::ImageLayout layout = model_.config().image_layout();
        const models::TileGrid grid = layout.grid(picture.height, picture.width);
        return std::make_shared<const data::LoadedImage>(
            encode_image(model_, to_pixels(picture, *image_processor_, layout, grid)));
    });
}

std::vector<PromptBuilder::Features> PromptBuilder::load_images(
    const std::vector<PromptImage>& images, bool no_image) const {
    VILA_CHECK(images.empty() || image_processor_.has_value(),
               "this model has no vision tower and cannot read ", images.front().name());
    std::vector<Features> loaded;
    for (const PromptImage& image : images) {
        Features features = features_of(image);
        if (no_image)
            features = std::make_shared<const data::LoadedImage>(data::LoadedImage{
                features->shape, std::vector<float>(features->values.size(), 0.0f),
                features->tokens});
        loaded.push_back(std::move(features));
    }
    return loaded;
}

void PromptBuilder::complete(std::vector<data::Message>& messages, size_t images) const {
    const bool has_system = !messages.empty() && messages[0].role == data::Role::System;
    if (!system_.empty() && !has_system)
        messages.insert(messages.begin(), {data::Role::System, system_});
    int64_t placeholders = 0;
    for (const data::Message& message : messages)
        placeholders += data::count_placeholders(message.text);
    if (placeholders == 0 && images > 0) {
        const bool done = data::prepend_placeholders(static_cast<int64_t>(images), messages);
        VILA_CHECK(done, "images were given but no user message");
    } else {
        check_image_count(placeholders, images);
    }
    // Training with a named template places images in this way. Other templates get the text
    // unchanged.
    const bool is_named = !chat_template().is_published() && !chat_template().is_none();
    if (is_named && images > 0) data::place_images(messages, static_cast<int64_t>(images));
}

void PromptBuilder::check_template(const std::vector<data::Message>& messages,
                                   size_t images) const {
    const char* warning = nullptr;
    if (chat_template().is_none())
        warning = "the model has no chat template: the text goes to it as it is";
    if (chat_template().is_plain() && std::any_of(messages.begin(), messages.end(), has_text)) {
        warning =
            "the chat template plain passes on the images, not the text of the question: for the "
            "text use another with --template";
        VILA_CHECK(images > 0, warning);
    }
    if (warning == nullptr || warned_of_template_) return;
    std::fprintf(stderr, "%s\n", warning);
    warned_of_template_ = true;
}

std::vector<data::Segment> PromptBuilder::render_question(
    const std::vector<data::Message>& messages) const {
    std::vector<data::Segment> segments = chat_template().render(messages, true);
    if (!chat_template().is_published() || warned_of_template_) return segments;
    std::string text;
    for (const data::Segment& segment : segments) text += segment.text;
    // A template may put the images elsewhere.
    const std::string question = data::remove_placeholders(messages.back().text);
    if (without_blanks(data::remove_placeholders(text)).find(without_blanks(question)) !=
        std::string::npos)
        return segments;
    std::fprintf(stderr,
                 "%s: the chat template changes the text of the question; for another template "
                 "give --template\n",
                 chat_template().name().c_str());
    warned_of_template_ = true;
    return segments;
}

void PromptBuilder::check_ids(const std::vector<int32_t>& ids) const {
    const int64_t rows = model_.config().llm.vocab_size;
    for (const int32_t id : ids)
        VILA_CHECK(id < rows, "the tokenizer gives token ", shown(Json(tokenizer_.token(id))),
                   " the id ", id, ", but the model has embeddings for ", rows,
                   " tokens (vocab_size): the two do not belong together");
}

Prompt PromptBuilder::raw_prompt(const std::string& text,
                                 const std::vector<PromptImage>& images) const {
    check_image_count(data::count_placeholders(text), images.size());
    std::vector<int32_t> ids = data::encode_prompt(text, tokenizer_).ids;
    check_ids(ids);
    return {std::move(ids), {}, load_images(images)};
}

Prompt PromptBuilder::chat_prompt(std::vector<data::Message> messages,
                                  const std::vector<PromptImage>& images, bool no_image) const {
    complete(messages, images.size());
    check_template(messages, images.size());
    std::vector<int32_t> ids = data::encode_segments(render_question(messages), tokenizer_).ids;
    check_ids(ids);
    return {std::move(ids), {}, load_images(images, no_image)};
}

Prompt PromptBuilder::answered_prompt(std::vector<data::Message> messages,
                                      const std::vector<PromptImage>& images,
                                      const std::string& answer, bool no_image) const {
    complete(messages, images.size());
    messages.push_back({data::Role::Assistant, answer});
    data::TokenizedText whole = data::encode_segments(chat_template().render(messages), tokenizer_);
    check_ids(whole.ids);
    // Earlier answers (demonstrations) are targets in training, but are not scored here: keep the
    // last run of targets.
    const auto is_target = [](int32_t label) { return label != kIgnoreLabel; };
    const auto last = std::find_if(whole.labels.rbegin(), whole.labels.rend(), is_target);
    const auto before = std::find_if_not(last, whole.labels.rend(), is_target);
    std::fill(before, whole.labels.rend(), kIgnoreLabel);
    return {std::move(whole.ids), std::move(whole.labels), load_images(images, no_image)};
}

Prompt PromptBuilder::record_prompt(std::vector<int32_t> ids,
                                    const std::vector<data::ImageRef>& images) const {
    check_image_count(std::count(ids.begin(), ids.end(), kImageToken), images.size());
    std::vector<PromptImage> files;
    for (const data::ImageRef& image : images) files.emplace_back(image);
    return {std::move(ids), {}, load_images(files)};
}

Prompt PromptBuilder::with_target(const Prompt& prompt, const std::string& target) const {
    Prompt scored = prompt;
    scored.labels.assign(prompt.ids.size(), kIgnoreLabel);
    const auto ids = tokenizer_.encode(target, {.place = data::TextPlace::Continues});
    check_ids(ids);
    VILA_CHECK(!ids.empty(), "the target to score is empty: give at least one character");
    scored.ids.insert(scored.ids.end(), ids.begin(), ids.end());
    scored.labels.insert(scored.labels.end(), ids.begin(), ids.end());
    return scored;
}

void PromptBuilder::check_fits(const Prompt& prompt, int64_t new_tokens, const char* remedy) const {
    const int64_t positions = model_.config().llm.max_position_embeddings;
    const int64_t length = prompt.positions();
    VILA_CHECK(length + new_tokens <= positions, "the prompt takes ", length,
               " positions (images included) and ", new_tokens,
               " more are requested: the model has ", positions, "; ", remedy);
}

std::string PromptBuilder::text_of(const std::vector<int32_t>& ids) const {
    std::vector<int32_t> known;
    for (const int32_t id : ids)
        if (id < tokenizer_.vocab_size()) known.push_back(id);
    return tokenizer_.decode(known, true);
}

std::vector<int32_t> PromptBuilder::stop_ids() const {
    std::vector<int32_t> ids;
    if (chat_template_) ids = chat_template_->stop_ids(tokenizer_);
    if (const auto eos = tokenizer_.eos_id()) append_unique(ids, *eos);
    for (const int32_t id : model_.config().llm.eos_token_ids) append_unique(ids, id);
    return ids;
}

std::vector<std::string> PromptBuilder::stop_texts() const {
    if (!chat_template_) return {};
    return chat_template_->stop_texts(tokenizer_);
}

}  // namespace vila::tools
