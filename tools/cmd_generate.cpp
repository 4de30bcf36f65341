// vila generate: one answer to one prompt, streamed to the terminal.

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/answer_stream.h"
#include "tools/commands.h"
#include "tools/loaded_model.h"
#include "tools/sampling_options.h"
#include "tools/video_frames.h"

namespace vila::tools {

int cmd_generate(Args& args) {
    std::filesystem::path model_path, video;
    std::string text;
    std::vector<std::string> images;
    int64_t frames = 8;
    bool raw = false, as_json = false;
    SamplingOptions sampling;
    CommonOptions common;
    args.option("--model", model_path, "model directory")->required();
    args.option("--prompt", text, "what to say; <image> marks where an image stands")->required();
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

    const LoadedModel loaded(model_path, common);
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
