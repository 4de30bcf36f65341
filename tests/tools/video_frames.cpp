// Tests which frames of a video are chosen, in which order, and which inputs are refused.

#include "tools/run/video_frames.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tensor/check.h"
#include "tests/support/temporary_directory.h"
#include "tools/base/subprocess.h"

namespace vila::tools {
namespace {

TEST(VideoFrames, PositionsAreThoseOfLinspace) {
    // numpy.linspace(0, total - 1, count, dtype=int)
    EXPECT_EQ(even_positions(100, 8), (std::vector<int64_t>{0, 14, 28, 42, 56, 70, 84, 99}));
    EXPECT_EQ(even_positions(9, 8), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 8}));
    EXPECT_EQ(even_positions(5, 1), std::vector<int64_t>{0});
    EXPECT_EQ(even_positions(3, 8), (std::vector<int64_t>{0, 1, 2}));
    EXPECT_THROW(even_positions(0, 8), Error);
    EXPECT_THROW(even_positions(8, 0), Error);
}

TEST(VideoFrames, AFolderIsReadInNumericalOrder) {
    const TemporaryDirectory folder;
    for (const char* name : {"f10.png", "f9.png", "f1.JPG", "notes.txt", "f02.png"})
        std::ofstream(folder.path() / name) << "x";
    std::vector<std::string> names;
    const VideoFrames frames(folder.path(), 8);
    for (const std::string& file : frames.files())
        names.push_back(std::filesystem::path(file).filename().string());
    EXPECT_EQ(names, (std::vector<std::string>{"f1.JPG", "f02.png", "f9.png", "f10.png"}));
    EXPECT_EQ(VideoFrames(folder.path(), 2).files().size(), 2U);
}

TEST(VideoFrames, RefusesInputsWithoutFrames) {
    const TemporaryDirectory folder;
    EXPECT_THROW(VideoFrames(folder.path(), 8), Error);
    EXPECT_THROW(VideoFrames(folder.path() / "absent.mp4", 8), Error);
    // Not a video, with ffmpeg or without.
    std::ofstream(folder.path() / "text.mp4") << "text";
    EXPECT_THROW(VideoFrames(folder.path() / "text.mp4", 8), Error);
}

TEST(Subprocess, GivesOutputAndExitCode) {
    const ProcessResult echo = run_process({"sh", "-c", "echo one; exit 3"});
    EXPECT_TRUE(echo.found);
    EXPECT_EQ(echo.exit_code, 3);
    EXPECT_EQ(echo.output, "one\n");
    EXPECT_EQ(run_process({"cat"}).output, "");
    EXPECT_FALSE(run_process({"no-such-program-here"}).found);
    const ProcessResult ended = run_process({"sh", "-c", "exit 127"});
    EXPECT_TRUE(ended.found);
    EXPECT_EQ(ended.exit_code, 127);
    try {
        run_process({"/"});
        FAIL() << "a directory was run";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "cannot start /: Permission denied");
    }
}

}  // namespace
}  // namespace vila::tools
