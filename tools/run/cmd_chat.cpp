// vila chat: a conversation in the terminal. /image FILE adds an image to the next message, /reset
// starts over, /exit or the end of input leaves.

#include <cstdio>

#include "models/generate.h"
#include "tensor/shortened.h"
#include "tools/base/output.h"
#include "tools/base/text_input.h"
#include "tools/commands.h"
#include "tools/run/answer_stream.h"
#include "tools/run/loaded_model.h"
#include "tools/run/sampling_options.h"
#include "tools/run/template_options.h"

namespace vila::tools {

namespace {

struct Conversation {
    std::vector<data::Message> messages;
    std::vector<PromptImage> images;
    int64_t new_images = 0;  // for the next message
};

// Opens an image for the next message. The conversation keeps its encoded bytes, because the prompt
// of every turn contains all images again.
void show_image(const PromptBuilder& builder, Conversation& conversation, const std::string& path) {
    PromptImage image(PromptImage(data::ImageRef{.path = path}).encoded(), path);
    builder.prepare_image(image);
    conversation.images.push_back(std::move(image));
    ++conversation.new_images;
}

// Returns the text of the next message, with a placeholder for each of its images: in front, unless
// the line has its own.
std::string with_placeholders(const std::string& line, int64_t images) {
    const int64_t own = data::count_placeholders(line);
    VILA_CHECK(own == 0 || own == images, "the message has ", own, " <image>, but ", images,
               " were given with /image for it: give one for each");
    return own == images ? line : data::prepend_placeholders(images, line);
}

// Sends a message, streams the answer to stdout, and adds both to the conversation.
void take_turn(const PromptBuilder& builder, models::DecodeBatch& batch,
               const SamplingOptions& sampling, uint64_t seed, Conversation& conversation,
               const std::string& line) {
    std::vector<data::Message> messages = conversation.messages;
    messages.push_back({data::Role::User, with_placeholders(line, conversation.new_images)});
    const Prompt prompt = builder.chat_prompt(messages, conversation.images);
    builder.check_fits(prompt, sampling.max_tokens,
                       "start over with /reset, or lower --max-tokens");

    std::vector<std::string> stops = sampling.stops;
    for (const std::string& stop : builder.stop_texts()) stops.push_back(stop);
    AnswerStream answer(builder.tokenizer(), stops,
                        [&](const std::string& piece) { print_text(piece); });
    models::GenerateOptions options = sampling.to_options(seed);
    options.stop_ids = builder.stop_ids();
    options.on_token = [&](int32_t id) { return answer.push(id); };
    models::generate(batch, prompt.view(), options);
    answer.finish();
    print_text("\n");
    const std::string& text = answer.text();
    const size_t begin = std::min(text.find_first_not_of(' '), text.size());
    messages.push_back({data::Role::Assistant, text.substr(begin)});
    conversation.messages = std::move(messages);
    conversation.new_images = 0;
}

// Runs a command of the conversation, or sends a message.
void handle_line(const PromptBuilder& builder, models::DecodeBatch& batch,
                 const SamplingOptions& sampling, uint64_t seed, Conversation& conversation,
                 const std::string& line) {
    if (line == "/reset") {
        conversation = {};
    } else if (line.starts_with("/image ")) {
        show_image(builder, conversation, line.substr(7));
    } else if (line.starts_with("/")) {
        throw UsageError("unknown command: expected /image FILE, /reset or /exit");
    } else {
        take_turn(builder, batch, sampling, seed, conversation, line);
    }
}

}  // namespace

int cmd_chat(Args& args) {
    std::filesystem::path model_path;
    std::vector<std::string> images;
    TemplateOptions chat;
    SamplingOptions sampling;
    CommonOptions common;
    args.option("--model", model_path, "model directory").required();
    args.option("--image", images, "image for the first message; may be repeated");
    chat.declare(args);
    sampling.declare(args);
    common.declare(args);
    args.footer(
        "In the conversation:\n"
        "  /image FILE  add an image to the next message, in front of its text or where the text "
        "has <image>\n"
        "  /reset       start over\n"
        "  /exit        leave");
    args.parse();
    sampling.check(args);

    LoadedModel loaded(model_path, common);
    chat.apply(loaded);
    const PromptBuilder& builder = loaded.prompts();
    // Keeps the keys and values of the last prompt, because the next one begins like it.
    models::DecodeBatch batch(builder.model(),
                              {.pages = models::KvCache::pages_for(
                                   builder.model().config().llm.max_position_embeddings)});
    Conversation conversation;
    for (const std::string& path : images) show_image(builder, conversation, path);
    LineReader lines("-");
    std::string line;
    while (std::fputs("> ", stderr), lines.next(line)) {
        if (line.empty()) continue;
        if (line == "/exit") break;
        try {
            handle_line(builder, batch, sampling, common.seed.value_or(0), conversation, line);
        } catch (const Error& error) {
            // An error (an unreadable image, a prompt that is too long) drops this line only;
            // images for the next message stay.
            std::fprintf(stderr, "%s\n", shortened(error.what()).c_str());
        }
    }
    return 0;
}

}  // namespace vila::tools
