#include "tensor/file.h"

#include <gtest/gtest.h>

#include "tensor/check.h"
#include "tests/support/temporary_directory.h"

namespace vila {
namespace {

namespace fs = std::filesystem;

int64_t entries(const fs::path& directory) {
    return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
}

TEST(File, WritesAndReadsBackAnyBytes) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "a";
    for (const std::string& bytes : {std::string(), std::string("x"), std::string("a\0b\n", 4)}) {
        write_file_atomic(path, bytes);
        EXPECT_EQ(read_file(path), bytes);
    }
    EXPECT_EQ(entries(directory.path()), 1) << "a temporary file was left behind";
}

TEST(File, ErrorsNameThePathAndTheReason) {
    const TemporaryDirectory directory;
    const fs::path missing = directory.path() / "missing";
    try {
        read_file(missing);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.what(), missing.string() + ": cannot open: No such file or directory");
    }
    EXPECT_THROW(read_file(directory.path()), Error);
    EXPECT_THROW(write_file_atomic(missing / "b", "x"), Error);
    write_file_atomic(missing, "12345");
    EXPECT_EQ(read_file(missing, 5), "12345");
    EXPECT_THROW(read_file(missing, 4), Error);
}

TEST(File, WithoutCommitNothingAppears) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "a";
    write_file_atomic(path, "old");
    {
        AtomicFile file(path);
        file.write("new", 3);
    }
    EXPECT_EQ(read_file(path), "old");
    EXPECT_EQ(entries(directory.path()), 1);
}

TEST(File, DirectoryAppearsWhole) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "model";
    {
        AtomicDirectory making(path.string() + "/");
        fs::create_directory(making.path() / "part");
        write_file_atomic(making.path() / "part" / "weights", "1");
        EXPECT_FALSE(fs::exists(path));
        making.commit();
    }
    EXPECT_EQ(read_file(path / "part" / "weights"), "1");
    EXPECT_EQ(entries(directory.path()), 1);
}

TEST(File, DirectoryReplacesNothingButAnEmptyOne) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "model";
    fs::create_directory(path);
    fs::permissions(path, fs::perms::owner_all);
    { const AtomicDirectory abandoned(path); }
    {
        AtomicDirectory making(path);
        write_file_atomic(making.path() / "kept", "1");
        making.commit();
    }
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all) << "the mode stays";
    write_file_atomic(directory.path() / "file", "2");
    EXPECT_THROW(AtomicDirectory{path}, Error);
    EXPECT_THROW(AtomicDirectory{directory.path() / "file"}, Error);
    EXPECT_EQ(entries(directory.path()), 2);
    // Made by somebody else meanwhile.
    AtomicDirectory late(directory.path() / "late");
    fs::create_directory(directory.path() / "late");
    write_file_atomic(directory.path() / "late" / "precious", "3");
    EXPECT_THROW(late.commit(), FileError);
    EXPECT_EQ(read_file(directory.path() / "late" / "precious"), "3");
    EXPECT_EQ(read_file(path / "kept"), "1");
    EXPECT_EQ(read_file(directory.path() / "file"), "2");
}

TEST(File, AbandonedDirectoryLeavesNothing) {
    const TemporaryDirectory directory;
    fs::create_directory(directory.path() / "a");
    {
        const AtomicDirectory abandoned(directory.path() / "a/b/c/model");
        EXPECT_TRUE(fs::is_directory(directory.path() / "a/b/c"));
    }
    EXPECT_EQ(entries(directory.path() / "a"), 0) << "b and c were created for the model";
    {
        const AtomicDirectory abandoned(directory.path() / "a/b/c/model");
        write_file_atomic(directory.path() / "a/b/notes", "the user's");
    }
    EXPECT_EQ(read_file(directory.path() / "a/b/notes"), "the user's");
    EXPECT_FALSE(fs::exists(directory.path() / "a/b/c"));
    write_file_atomic(directory.path() / "file", "");
    EXPECT_THROW(AtomicDirectory{directory.path() / "file/x/model"}, Error);
}

TEST(File, ReadAtStaysInsideAndNoticesShrinking) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "a";
    write_file_atomic(path, "0123456789");
    const RandomAccessFile file(path);
    char bytes[10];
    file.read_at(4, bytes, 6);
    EXPECT_EQ(std::string(bytes, 6), "456789");
    EXPECT_THROW(file.read_at(5, bytes, 6), Error);
    EXPECT_THROW(file.read_at(-1, bytes, 1), Error);
    fs::resize_file(path, 6);
    EXPECT_THROW(file.read_at(4, bytes, 6), Error);
}

}  // namespace
}  // namespace vila
