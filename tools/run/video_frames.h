#pragma once

// VideoFrames: evenly spaced frames of a video. The model reads each as one image. The video is a
// folder of frames, or a file that ffmpeg decodes.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vila::tools {

// Returns `count` positions from 0 to total - 1, evenly spaced and rounded down, as VILA samples
// frames. Returns all positions if there are fewer than `count`. Throws unless both are positive.
std::vector<int64_t> even_positions(int64_t total, int64_t count);

class VideoFrames {
  public:
    // `path` is a folder of images, ordered by name (numbers in names compare as numbers), or a
    // video file, which needs ffmpeg and ffprobe on the PATH. Takes `count` frames, or all of a
    // folder that has fewer: from the first to the last of a folder, and from the middle of each of
    // `count` equal parts of a file. Throws if the programs are missing, if a folder has no image,
    // or if a file does not give `count` frames.
    VideoFrames(const std::filesystem::path& path, int64_t count);
    // Image files in order of time. Those made from a video file are deleted with this object.
    const std::vector<std::string>& files() const { return files_; }

  private:
    // A folder that is deleted with its owner, even if the constructor of the owner throws.
    struct Scratch {
        std::filesystem::path path;
        int descriptor = -1;

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
