#include "tensor/path_kind.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <string>

#include "tensor/file.h"
#include "tests/support/temporary_directory.h"

namespace vila {
namespace {

namespace fs = std::filesystem;

std::string error_of(const std::function<void()>& run) {
    try {
        run();
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

TEST(PathKind, FollowsLinks) {
    const TemporaryDirectory folder;
    const fs::path file = folder.path() / "file", directory = folder.path() / "directory";
    write_file_atomic(file, "x");
    fs::create_directory(directory);
    fs::create_symlink("file", folder.path() / "to-file");
    fs::create_symlink("to-file", folder.path() / "to-link");
    fs::create_symlink(directory, folder.path() / "to-directory");
    ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
    const auto kind = [&](const char* name) { return path_kind(folder.path() / name); };
    EXPECT_EQ(kind("file"), PathKind::File);
    EXPECT_EQ(kind("to-link"), PathKind::File);
    EXPECT_EQ(kind("directory"), PathKind::Directory);
    EXPECT_EQ(kind("to-directory"), PathKind::Directory);
    EXPECT_EQ(kind("pipe"), PathKind::Other);
    EXPECT_EQ(kind("none"), PathKind::Absent);
    EXPECT_EQ(kind("none/file"), PathKind::Absent);
    EXPECT_EQ(kind("file/config.json"), PathKind::Absent);
    EXPECT_TRUE(path_exists(file) && file_exists(file) && !directory_exists(file));
    EXPECT_TRUE(path_exists(directory) && !file_exists(directory) && directory_exists(directory));
}

TEST(PathKind, ALinkToNothingIsAnError) {
    const TemporaryDirectory folder;
    const fs::path dangling = folder.path() / "dangling", loop = folder.path() / "loop";
    fs::create_symlink("../blobs/7", dangling);
    fs::create_symlink("loop", loop);
    EXPECT_EQ(error_of([&] { path_exists(dangling); }),
              dangling.string() + ": a symbolic link to ../blobs/7, which is missing");
    EXPECT_EQ(error_of([&] { directory_exists(loop); }),
              loop.string() + ": cannot be looked up: Too many levels of symbolic links");
}

// The system would take the name to end there.
TEST(PathKind, ANameWithANulByteIsAnError) {
    const TemporaryDirectory folder;
    write_file_atomic(folder.path() / "a", "x");
    const fs::path name = folder.path() / std::string("a\0.png", 6);
    const std::string shown = (folder.path() / "a\\x00.png").string();
    EXPECT_EQ(error_of([&] { path_exists(name); }), shown + ": the name has a NUL byte");
    EXPECT_EQ(error_of([&] { read_file(name); }), shown + ": the name has a NUL byte");
}

}  // namespace
}  // namespace vila
