#include "tools/run/video_frames.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "tensor/check.h"
#include "tensor/path_kind.h"
#include "tensor/temporary_name.h"
#include "tools/base/subprocess.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

bool is_picture(const fs::path& path) {
    std::string extension = path.extension().string();
    for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return extension == ".jpg" || extension == ".jpeg" || extension == ".png" ||
           extension == ".bmp" || extension == ".webp" || extension == ".gif";
}

// Orders "frame9" before "frame10": runs of digits compare as numbers.
bool name_before(const std::string& a, const std::string& b) {
    const auto digits_end = [](const std::string& text, size_t at) {
        while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) ++at;
        return at;
    };
    size_t i = 0, j = 0;
    while (i < a.size() && j < b.size()) {
        const size_t i_end = digits_end(a, i), j_end = digits_end(b, j);
        if (i_end > i && j_end > j) {
            const size_t i_zeros = std::min(a.find_first_not_of('0', i), i_end);
            const size_t j_zeros = std::min(b.find_first_not_of('0', j), j_end);
            const std::string left = a.substr(i_zeros, i_end - i_zeros);
            const std::string right = b.substr(j_zeros, j_end - j_zeros);
            if (left.size() != right.size()) return left.size() < right.size();
            if (left != right) return left < right;
            i = i_end, j = j_end;
        } else {
            if (a[i] != b[j]) return a[i] < b[j];
            ++i, ++j;
        }
    }
    // Names that differ only in leading zeros: the shorter one first.
    return a.size() - i != b.size() - j ? a.size() - i < b.size() - j : a < b;
}

// Returns the argument of ffmpeg for a video: with "file:" in front, a name that begins with a dash
// is not taken for an option, nor one with a colon for a protocol.
std::string video_argument(const fs::path& video) {
    return "file:" + video.string();
}

// Runs a program that reads a video. Throws if it is not installed.
ProcessResult run_on_video(const fs::path& video, const std::vector<std::string>& words) {
    ProcessResult result = run_process(words);
    VILA_CHECK(result.found, video.string(),
               ": reading a video file needs ffmpeg and ffprobe on the PATH, but there is no ",
               words[0], "; install ffmpeg, or give a folder of frames");
    return result;
}

double seconds_of_video(const fs::path& video) {
    const ProcessResult probe =
        run_on_video(video, {"ffprobe", "-v", "error", "-show_entries", "format=duration", "-of",
                             "default=noprint_wrappers=1:nokey=1", "-i", video_argument(video)});
    const double seconds = std::atof(probe.output.c_str());
    VILA_CHECK(probe.exit_code == 0 && seconds > 0.0 && std::isfinite(seconds), video.string(),
               ": ffprobe finds no video with a duration");
    return seconds;
}

}  // namespace

std::vector<int64_t> even_positions(int64_t total, int64_t count) {
    VILA_CHECK(total > 0 && count > 0, "expected at least one frame, got ", count, " of ", total);
    std::vector<int64_t> positions;
    const int64_t kept = std::min(total, count);
    for (int64_t i = 0; i < kept; ++i)
        positions.push_back(kept == 1 ? 0 : i * (total - 1) / (kept - 1));
    return positions;
}

VideoFrames::VideoFrames(const fs::path& path, int64_t count) {
    VILA_CHECK(path_exists(path), path.string(), ": no such video file or folder of frames");
    if (directory_exists(path)) {
        read_folder(path, count);
    } else {
        read_video(path, count);
    }
}

VideoFrames::Scratch::~Scratch() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
    if (descriptor >= 0) ::close(descriptor);
}

void VideoFrames::read_folder(const fs::path& folder, int64_t count) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
        if (const std::string name = entry.path().filename().string();
            !name.starts_with('.') && is_picture(name) && file_exists(entry.path()))
            names.push_back(name);
    VILA_CHECK(!names.empty(), folder.string(), ": expected a folder of frames, found no image");
    std::sort(names.begin(), names.end(), name_before);
    for (const int64_t at : even_positions(static_cast<int64_t>(names.size()), count))
        files_.push_back((folder / names[static_cast<size_t>(at)]).string());
}

void VideoFrames::read_video(const fs::path& video, int64_t count) {
    VILA_CHECK(fs::is_regular_file(video), video.string(),
               ": expected a video file or a folder of frames");
    const double seconds = seconds_of_video(video);
    // remove_own_temporaries() finds the folder by its name and the open descriptor.
    const std::string name = str("vila-frames.tmp-", process_nonce(), "-XXXXXX");
    std::string pattern = (fs::temp_directory_path() / name).string();
    VILA_CHECK(::mkdtemp(pattern.data()) != nullptr, "cannot make a folder in ",
               fs::temp_directory_path().string());
    scratch_.path = pattern;
    scratch_.descriptor = ::open(pattern.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int64_t i = 0; i < count; ++i) {
        // The middle of each of `count` equal parts.
        const double time = (static_cast<double>(i) + 0.5) * seconds / static_cast<double>(count);
        const fs::path frame = scratch_.path / (std::to_string(i) + ".png");
        run_on_video(video, {"ffmpeg", "-v", "error", "-nostdin", "-ss", std::to_string(time), "-i",
                             video_argument(video), "-frames:v", "1", frame.string()});
        if (path_exists(frame)) files_.push_back(frame.string());
    }
    VILA_CHECK(static_cast<int64_t>(files_.size()) == count, video.string(), ": ffmpeg gave ",
               files_.size(), " of ", count, " frames; is the file complete?");
}

}  // namespace vila::tools
