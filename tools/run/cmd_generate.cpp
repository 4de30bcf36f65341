// vila generate: answers one prompt, streaming the text to the terminal, or the requests of a file,
// several at a time.

#include <deque>
#include <optional>

#include "models/generate.h"
#include "tensor/json.h"
#include "tools/base/json_lines.h"
#include "tools/base/option_checks.h"
#include "tools/base/output.h"
#include "tools/base/output_guard.h"
#include "tools/base/progress.h"
#include "tools/base/text_input.h"
#include "tools/commands.h"
#include "tools/run/answer_stream.h"
#include "tools/run/loaded_model.h"
#include "tools/run/requests.h"
#include "tools/run/sampling_options.h"
#include "tools/run/template_options.h"
#include "tools/run/video_frames.h"

namespace vila::tools {

namespace {

struct Request {
    std::string id;
    Prompt prompt;
    bool raw = false;  // without a chat template
};

// Returns the strings that end an answer.
std::vector<std::string> stops_of(const PromptBuilder& builder, const SamplingOptions& sampling,
                                  bool raw) {
    std::vector<std::string> stops = sampling.stops;
    if (!raw)
        for (const std::string& stop : builder.stop_texts()) stops.push_back(stop);
    return stops;
}

// Answers the requests together and prints one JSON line for each, in order.
void answer_together(const PromptBuilder& builder, const SamplingOptions& sampling,
                     const models::GenerateOptions& options, const std::vector<Request>& requests) {
    std::deque<AnswerStream> answers;
    std::vector<models::Sequence> sequences;
    for (const Request& request : requests) {
        answers.emplace_back(builder.tokenizer(), stops_of(builder, sampling, request.raw),
                             [](const std::string&) {});
        sequences.push_back(request.prompt.view());
    }
    const auto ids =
        models::generate_many(builder.model(), sequences, options,
                              [&](size_t i, int32_t id) { return answers[i].push(id); });
    for (size_t i = 0; i < requests.size(); ++i) {
        answers[i].finish();
        const Json answer = {{"id", requests[i].id},
                             {"text", answers[i].text()},
                             {"ids", ids[i]},
                             {"prompt_positions", requests[i].prompt.positions()}};
        print_text(answer.dump() + "\n");
    }
}

// Answers the requests of a file in order, `batch` at a time, and prints one JSON line for each.
void answer_requests(const PromptBuilder& builder, const SamplingOptions& sampling, uint64_t seed,
                     const std::filesystem::path& input, int64_t batch,
                     const OutputGuard& outputs) {
    models::GenerateOptions options = sampling.to_options(seed);
    options.stop_ids = builder.stop_ids();
    Progress progress("generate", count_lines(input));
    int64_t answered = 0;
    std::vector<Request> waiting;
    const auto answer_waiting = [&] {
        answer_together(builder, sampling, options, waiting);
        answered += static_cast<int64_t>(waiting.size());
        progress.count(answered);
        waiting.clear();
    };
    const auto read_request = [&](const Json& json) {
        Request request{request_id(json),
                        request_prompt(builder, json, {input.parent_path(), outputs}),
                        !has_messages(json)};
        builder.check_fits(request.prompt, sampling.max_tokens);
        return request;
    };
    for_each_json_line(input, [&](const Json& json, const std::string& where) {
        waiting.push_back(at_line(where, [&] { return read_request(json); }));
        if (static_cast<int64_t>(waiting.size()) == batch) answer_waiting();
    });
    if (!waiting.empty()) answer_waiting();
}

struct GenerateCommand {
    std::filesystem::path model, video, input;
    std::string text;
    std::vector<std::string> images;
    int64_t batch = 8, frames = 8;
    bool has_input = false, raw = false, as_json = false;
    TemplateOptions chat;
    SamplingOptions sampling;
    CommonOptions common;

    uint64_t seed() const { return common.seed.value_or(0); }
};

GenerateCommand parse_command(Args& args) {
    GenerateCommand command;
    args.option("--model", command.model, "model directory").required();
    args.option("--prompt", command.text,
                "the prompt; <image> marks the place of an image (default: images come first)");
    args.option("--input", command.input,
                "answer the requests of this file (- is standard input) "
                "instead of --prompt; `vila score --help` describes "
                "the format; targets are not read, and every request "
                "is sampled with the same --seed");
    args.option("--batch", command.batch, "number of requests of --input to answer at once")
        .positive();
    args.option("--image", command.images,
                "image file; may be repeated, in the order of the images in the prompt");
    args.option("--video", command.video,
                "video, as a folder of frames or, if ffmpeg is installed, a video file; its frames "
                "follow the images of --image");
    args.option("--frames", command.frames,
                "number of frames to take from the video, evenly spaced")
        .range(1, 1 << 14);
    args.flag("--raw", command.raw,
              "pass the prompt to the model as it is, without the chat template");
    command.chat.declare(args);
    args.flag("--json", command.as_json,
              "print one JSON object at the end instead of streaming the text");
    command.sampling.declare(args);
    command.common.declare(args);
    args.parse();

    command.has_input = args.is_given("--input");
    if (args.is_given("--prompt") == command.has_input)
        throw UsageError("--prompt is required, or --input, and not both");
    const bool has_prompt_options =
        !command.images.empty() || !command.video.empty() || command.raw;
    if (command.has_input && has_prompt_options)
        throw UsageError(
            "--input: each request gives its own images and prompt: leave out --image, --video and "
            "--raw");
    check_utf8("--prompt", command.text);
    if (!command.has_input) refuse_options(args, {"--batch"}, "without --input");
    if (command.has_input)
        refuse_options(args, {"--json"}, "with --input, which always prints JSON");
    if (command.has_input || command.video.empty())
        refuse_options(args, {"--frames"}, "without --video");
    command.sampling.check(args);
    if (command.raw && command.chat.given())
        throw UsageError("--raw uses no chat template: give no --template and no --system with it");
    return command;
}

Prompt read_prompt(const PromptBuilder& builder, const GenerateCommand& command) {
    std::vector<std::string> paths = command.images;
    std::optional<VideoFrames> frames;  // keeps the files until they are read
    if (!command.video.empty()) {
        frames.emplace(command.video, command.frames);
        paths.insert(paths.end(), frames->files().begin(), frames->files().end());
    }
    const std::vector<PromptImage> images = image_files(paths);
    Prompt prompt = command.raw ? builder.raw_prompt(command.text, images)
                                : builder.chat_prompt({{data::Role::User, command.text}}, images);
    builder.check_fits(prompt, command.sampling.max_tokens);
    return prompt;
}

// Streams the answer to stdout, or prints it as JSON at the end.
void answer_prompt(const PromptBuilder& builder, const GenerateCommand& command) {
    const Prompt prompt = read_prompt(builder, command);
    AnswerStream answer(builder.tokenizer(), stops_of(builder, command.sampling, command.raw),
                        [&](const std::string& piece) {
                            if (!command.as_json) print_text(piece);
                        });
    models::GenerateOptions options = command.sampling.to_options(command.seed());
    options.stop_ids = builder.stop_ids();
    options.on_token = [&](int32_t id) { return answer.push(id); };
    const auto ids = models::generate(builder.model(), prompt.view(), options);
    answer.finish();
    if (command.as_json) {
        const Json result = {
            {"text", answer.text()}, {"ids", ids}, {"prompt_positions", prompt.positions()}};
        print_text(result.dump());
    }
    print_text("\n");
}

}  // namespace

int cmd_generate(Args& args) {
    const GenerateCommand command = parse_command(args);
    const OutputGuard outputs("standard output", "-");
    outputs.check_input("--input", command.input);
    outputs.check_input("--video", command.video);
    for (const std::string& image : command.images) outputs.check_input("--image", image);
    LoadedModel loaded(command.model, command.common);
    command.chat.apply(loaded);
    if (command.has_input) {
        answer_requests(loaded.prompts(), command.sampling, command.seed(), command.input,
                        command.batch, outputs);
    } else {
        answer_prompt(loaded.prompts(), command);
    }
    return 0;
}

}  // namespace vila::tools
