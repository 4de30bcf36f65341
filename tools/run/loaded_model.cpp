#include "tools/run/loaded_model.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "data/records/conversation.h"
#include "data/text/trim.h"
#include "models/model_directory.h"
#include "tools/base/hash64.h"
#include "tools/base/image_source.h"
#include "tools/base/model_template.h"
#include "tools/base/units.h"

namespace vila::tools {

namespace {

constexpr int64_t kMaxFeatureBytes = int64_t{1} << 28;

void check_image_count(int64_t placeholders, size_t images) {
    VILA_CHECK(placeholders == static_cast<int64_t>(images), "the prompt has ", placeholders,
               " <image> placeholder(s) but ", images,
               " image(s) were given: give one image for each placeholder");
}

std::vector<data::ImageRef> image_files(const std::vector<std::string>& paths) {
    std::vector<data::ImageRef> files;
    for (const std::string& path : paths) files.push_back({.path = path});
    return files;
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

int64_t physical_memory() {
    return int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
}

std::unique_ptr<models::VilaModel> load_in_memory(const std::filesystem::path& directory,
                                                  Device& device, DType dtype) {
    if (device.kind() == DeviceKind::Cpu)
        check_memory(directory, dtype, models::converted_bytes(directory, dtype),
                     physical_memory());
    return models::load_model(directory, device, dtype, models::WeightMemory::Mapped);
}

// Reads mapped weights from the disk in the order in which a prompt uses them, while it runs.
// Returns null for weights larger than this machine's memory: later pages would evict earlier ones.
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

data::ImageProcessor open_image_processor(const std::filesystem::path& model_directory,
                                          const std::string& image_mode) {
    return data::ImageProcessor(
        data::read_image_processor_config(models::vision_directory(model_directory)),
        data::image_mode_from_name(image_mode));
}

models::Sequence Prompt::view() const {
    models::Sequence sequence{ids, labels, {}};
    for (const auto& image : images) {
        const auto bytes = static_cast<int64_t>(image->values.size() * sizeof(float));
        sequence.images.push_back({.shape = image->shape,
                                   .values = image->values,
                                   .tokens = image->tokens,
                                   .key = hash64(image->values.data(), bytes)});
    }
    return sequence;
}

LoadedModel::LoadedModel(const std::filesystem::path& directory, const CommonOptions& options)
    : device_(options.make_device()),
      model_(load_in_memory(directory, *device_, options.dtype_or(DType::F32))),
      read_ahead_(read_ahead(*model_)),
      tokenizer_(data::load_tokenizer(models::llm_directory(directory))),
      feature_memory_(kMaxFeatureBytes) {
    // A prompt without a template, or with another one, does not need the model's own.
    try {
        chat_template_ = model_template(directory, model_->config());
    } catch (const Error& error) {
        template_error_ = error.what();
    }
    for (const std::string& remark : model_->config().llm.remarks)
        std::fprintf(stderr, "%s\n", remark.c_str());
    if (model_->has_vision())
        image_processor_ = open_image_processor(directory, model_->config().image_mode);
}

const data::ChatTemplate& LoadedModel::chat_template() const {
    VILA_CHECK(chat_template_.has_value(), template_error_);
    return *chat_template_;
}

LoadedModel::Features LoadedModel::features_of(const data::ImageRef& image) const {
    return feature_memory_.get(image_name(image), [&] {
        return std::make_shared<const data::LoadedImage>(encode_image(
            *model_, load_pixels(image, *image_processor_, model_->config().image_layout())));
    });
}

std::vector<LoadedModel::Features> LoadedModel::load_images(
    const std::vector<data::ImageRef>& images, bool no_image) const {
    VILA_CHECK(images.empty() || image_processor_.has_value(),
               "this model has no vision tower and cannot read ", image_name(images.front()));
    std::vector<Features> loaded;
    for (const data::ImageRef& image : images) {
        Features features = features_of(image);
        if (no_image)
            features = std::make_shared<const data::LoadedImage>(data::LoadedImage{
                features->shape, std::vector<float>(features->values.size(), 0.0f),
                features->tokens});
        loaded.push_back(std::move(features));
    }
    return loaded;
}

void LoadedModel::complete(std::vector<data::Message>& messages, size_t images) const {
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
    // Named templates are those of VILA, whose training places images in this way. Other templates
    // get the text unchanged.
    const bool is_named = !chat_template().is_published() && !chat_template().is_none();
    if (is_named && images > 0) data::place_images(messages, static_cast<int64_t>(images));
}

void LoadedModel::check_template(const std::vector<data::Message>& messages, size_t images) const {
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

std::vector<data::Segment> LoadedModel::render_question(
    const std::vector<data::Message>& messages) const {
    std::vector<data::Segment> segments = chat_template().render(messages, true);
    if (!chat_template().is_published() || warned_of_template_) return segments;
    std::string text;
    for (const data::Segment& segment : segments) text += segment.text;
    const std::string question = data::without_placeholders(messages.back().text);
    if (without_blanks(text).find(without_blanks(question)) != std::string::npos) return segments;
    std::fprintf(stderr, "%s: the chat template does not print the question as it is\n",
                 chat_template().name().c_str());
    warned_of_template_ = true;
    return segments;
}

Prompt LoadedModel::raw_prompt(const std::string& text,
                               const std::vector<std::string>& image_paths) const {
    check_image_count(data::count_placeholders(text), image_paths.size());
    return {data::encode_prompt(text, *tokenizer_).ids, {}, load_images(image_files(image_paths))};
}

Prompt LoadedModel::chat_prompt(std::vector<data::Message> messages,
                                const std::vector<std::string>& image_paths, bool no_image) const {
    complete(messages, image_paths.size());
    check_template(messages, image_paths.size());
    return {data::encode_segments(render_question(messages), *tokenizer_).ids,
            {},
            load_images(image_files(image_paths), no_image)};
}

Prompt LoadedModel::answered_prompt(std::vector<data::Message> messages,
                                    const std::vector<std::string>& image_paths,
                                    const std::string& answer, bool no_image) const {
    complete(messages, image_paths.size());
    const auto asked = data::encode_segments(chat_template().render(messages, true), *tokenizer_);
    messages.push_back({data::Role::Assistant, answer});
    data::TokenizedText whole =
        data::encode_segments(chat_template().render(messages), *tokenizer_);
    // Earlier answers (demonstrations) are targets in training, but are not scored here.
    for (size_t i = 0; i < std::min(asked.ids.size(), whole.labels.size()); ++i)
        whole.labels[i] = kIgnoreLabel;
    return {std::move(whole.ids), std::move(whole.labels),
            load_images(image_files(image_paths), no_image)};
}

Prompt LoadedModel::record_prompt(std::vector<int32_t> ids,
                                  const std::vector<data::ImageRef>& images) const {
    check_image_count(std::count(ids.begin(), ids.end(), kImageToken), images.size());
    return {std::move(ids), {}, load_images(images)};
}

Prompt LoadedModel::with_target(const Prompt& prompt, const std::string& target) const {
    Prompt scored = prompt;
    scored.labels.assign(prompt.ids.size(), kIgnoreLabel);
    const auto ids = tokenizer_->encode(target, {.place = data::TextPlace::Continues});
    VILA_CHECK(!ids.empty(), "the target to score is empty: give at least one character");
    scored.ids.insert(scored.ids.end(), ids.begin(), ids.end());
    scored.labels.insert(scored.labels.end(), ids.begin(), ids.end());
    return scored;
}

int64_t LoadedModel::num_positions(const Prompt& prompt) const {
    auto positions = static_cast<int64_t>(prompt.ids.size());
    for (const auto& image : prompt.images) positions += image->tokens - 1;
    return positions;
}

void LoadedModel::check_fits(const Prompt& prompt, int64_t new_tokens) const {
    const int64_t positions = model_->config().llm.max_position_embeddings;
    const int64_t length = num_positions(prompt);
    VILA_CHECK(length + new_tokens <= positions, "the prompt takes ", length,
               " positions (images included) and ", new_tokens,
               " more are requested: the model has ", positions,
               "; shorten the prompt or lower --max-tokens");
}

std::string LoadedModel::text_of(const std::vector<int32_t>& ids) const {
    std::vector<int32_t> known;
    for (const int32_t id : ids)
        if (id < tokenizer_->vocab_size()) known.push_back(id);
    return tokenizer_->decode(known, true);
}

std::vector<int32_t> LoadedModel::stop_ids() const {
    std::vector<int32_t> ids;
    if (chat_template_) ids = chat_template_->stop_ids(*tokenizer_);
    if (const auto eos = tokenizer_->eos_id()) append_unique(ids, *eos);
    for (const int32_t id : model_->config().llm.eos_token_ids) append_unique(ids, id);
    return ids;
}

std::vector<std::string> LoadedModel::stop_texts() const {
    if (!chat_template_) return {};
    return chat_template_->stop_texts(*tokenizer_);
}

}  // namespace vila::tools
