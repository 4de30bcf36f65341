// vila generate: one answer to one prompt, streamed to the terminal; or the answers to a file of
// requests, several at a time.

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/base/json_lines.h"
#include "tools/commands.h"
#include "tools/run/answer_stream.h"
#include "tools/run/loaded_model.h"
#include "tools/run/requests.h"
#include "tools/run/sampling_options.h"
#include "tools/run/video_frames.h"

namespace vila::tools {

namespace {

struct Request {
    std::string id;
    Prompt prompt;
};

// Ids up to a stop string, and their text.
nlohmann::json answer_json(const LoadedModel& loaded, const SamplingOptions& sampling,
                           const Request& request, const std::vector<int32_t>& ids) {
    AnswerStream answer(loaded.tokenizer(), sampling.stops, [](const std::string&) {});
    std::vector<int32_t> used;
    for (const int32_t id : ids) {
        used.push_back(id);
        if (!answer.push(id)) break;
    }
    answer.finish();
    const int64_t each = request.prompt.images.empty() ? 1 : loaded.tokens_per_image();
    return {{"id", request.id},
            {"text", answer.text()},
            {"ids", used},
            {"prompt_positions", request.prompt.length(each)}};
}

// Answers every request of the file, `batch` at a time, one JSON line each, in order.
void answer_requests(const LoadedModel& loaded, const SamplingOptions& sampling, uint64_t seed,
                     const std::filesystem::path& input, int64_t batch) {
    models::GenerateOptions options = sampling.to_options(seed);
    options.stop_ids = loaded.stop_ids();
    std::vector<Request> waiting;
    const auto answer_waiting = [&] {
        std::vector<models::Sequence> sequences;
        for (const Request& request : waiting) sequences.push_back(request.prompt.view());
        const auto answers = models::generate_many(loaded.model(), sequences, options);
        for (size_t i = 0; i < waiting.size(); ++i)
            std::printf("%s\n",
                        answer_json(loaded, sampling, waiting[i], answers[i]).dump().c_str());
        std::fflush(stdout);
        waiting.clear();
    };
    for_each_json_line(input, [&](const nlohmann::json& request, const std::string& where) {
        waiting.push_back(
            {request_id(request), request_prompt(loaded, request, where, input.parent_path())});
        loaded.check_fits(waiting.back().prompt, sampling.max_tokens);
        if (static_cast<int64_t>(waiting.size()) == batch) answer_waiting();
    });
    if (!waiting.empty()) answer_waiting();
}

}  // namespace

int cmd_generate(Args& args) {
    std::filesystem::path model_path, video, input;
    int64_t batch = 8;
    std::string text;
    std::vector<std::string> images;
    int64_t frames = 8;
    bool raw = false, as_json = false;
    SamplingOptions sampling;
    CommonOptions common;
    args.option("--model", model_path, "model directory")->required();
    const auto* prompt_given =
        args.option("--prompt", text, "what to say; <image> marks where an image stands");
    const auto* input_given = args.option(
        "--input", input, "answer the requests of this file instead: JSON lines as of vila score");
    args.option("--batch", batch, "how many requests of --input are answered at a time")
        ->check(CLI::PositiveNumber);
    args.option("--image", images, "an image file; once for each image, in order");
    args.option("--video", video,
                "a folder of frames, or a video file where ffmpeg is installed; its frames are "
                "images after the others");
    args.option("--frames", frames, "how many frames of the video, evenly spaced")
        ->check(CLI::PositiveNumber);
    args.flag("--raw", raw, "take the prompt as it is, without the model's chat template");
    args.flag("--json", as_json, "print one JSON object instead of streaming text");
    sampling.declare(args);
    common.declare(args);
    args.parse();

    if (prompt_given->count() + input_given->count() != 1)
        throw UsageError("--prompt is required, or --input, and not both");
    if (input_given->count() > 0 && (!images.empty() || !video.empty() || raw))
        throw UsageError("--input: images and templates are said in each request");

    const LoadedModel loaded(model_path, common);
    if (input_given->count() > 0) {
        answer_requests(loaded, sampling, common.seed.value_or(0), input, batch);
        return 0;
    }
    std::optional<VideoFrames> frame_files;
    if (!video.empty()) {
        frame_files.emplace(video, frames);
        images.insert(images.end(), frame_files->files().begin(), frame_files->files().end());
    }
    const Prompt prompt = raw ? loaded.raw_prompt(text, images)
                              : loaded.chat_prompt({{data::Role::User, text}}, images);
    loaded.check_fits(prompt, sampling.max_tokens);

    AnswerStream answer(loaded.tokenizer(), sampling.stops, [&](const std::string& piece) {
        if (as_json) return;
        std::fputs(piece.c_str(), stdout);
        std::fflush(stdout);
    });
    models::GenerateOptions options = sampling.to_options(common.seed.value_or(0));
    options.stop_ids = loaded.stop_ids();
    options.on_token = [&](int32_t id) { return answer.push(id); };
    const auto ids = models::generate(loaded.model(), prompt.view(), options);
    answer.finish();
    if (as_json) {
        const nlohmann::json result = {
            {"text", answer.text()},
            {"ids", ids},
            {"prompt_positions", prompt.length(images.empty() ? 1 : loaded.tokens_per_image())}};
        std::fputs(result.dump().c_str(), stdout);
    }
    std::fputc('\n', stdout);
    return 0;
}

}  // namespace vila::tools
