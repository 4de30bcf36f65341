#pragma once

// A video as evenly sampled frames, each of which the model sees as one image: a folder of frames,
// or a file that ffmpeg reads. Nothing here decodes video itself.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vila::tools {

// `count` of `total` positions from the first to the last, evenly spaced and rounded down, as VILA
// samples them; all of them where there are fewer.
std::vector<int64_t> even_positions(int64_t total, int64_t count);

class VideoFrames {
  public:
    // `path` is a folder whose pictures are frames in the order of their names (numbers in names
    // count as numbers), or a video file, for which ffmpeg and ffprobe must be on the PATH. Throws
    // one clear line when they are not, or when there is no frame.
    VideoFrames(const std::filesystem::path& path, int64_t count);
    // Picture files, in order of time. Those of a video file go with this object.
    const std::vector<std::string>& files() const { return files_; }

  private:
    // A folder that goes with its owner, also when the constructor throws.
    struct Scratch {
        std::filesystem::path path;

        Scratch() = default;
        ~Scratch();
        Scratch(const Scratch&) = delete;
        Scratch& operator=(const Scratch&) = delete;
    };

    void read_folder(const std::filesystem::path& folder, int64_t count);
    void read_video(const std::filesystem::path& video, int64_t count);

    std::vector<std::string> files_;
    Scratch scratch_;
};

}  // namespace vila::tools
