#include "tensor/output_path.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <climits>
#include <functional>
#include <thread>

#include "tensor/file.h"
#include "tensor/temporary_name.h"
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

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// A folder of its own for each test, and what is in it.
class OutputPathTest : public testing::Test {
  protected:
    fs::path at(const std::string& name) const { return directory_.path() / name; }
    mode_t mode_of(const std::string& name) const {
        struct stat status = {};
        EXPECT_EQ(::lstat(at(name).c_str(), &status), 0);
        return status.st_mode;
    }
    int64_t entries() const {
        return std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator());
    }
    // Both the check in front of long work and the writing itself must refuse a name alike.
    void expect_refused(const fs::path& path, const std::string& reason) const {
        for (const std::string& error : {error_of([&] { check_output_path(path); }),
                                         error_of([&] { write_file_atomic(path, "new"); })})
            EXPECT_TRUE(contains(error, path.string() + ": ") && contains(error, reason)) << error;
    }

    TemporaryDirectory directory_;
};

TEST_F(OutputPathTest, ReplacesWhatALinkNames) {
    write_file_atomic(at("file"), "old");
    fs::create_symlink("file", at("link"));
    fs::create_symlink(at("link"), at("link-to-link"));
    check_output_path(at("link-to-link"));
    write_file_atomic(at("link-to-link"), "new");
    EXPECT_EQ(read_file(at("file")), "new");
    EXPECT_EQ(fs::read_symlink(at("link")), "file");
    EXPECT_EQ(fs::read_symlink(at("link-to-link")), at("link"));
    EXPECT_EQ(entries(), 3);
}

TEST_F(OutputPathTest, CreatesWhatADanglingLinkNames) {
    fs::create_directories(at("folder/inner"));
    fs::create_symlink("../made", at("folder/inner/link"));
    fs::create_directory_symlink("folder/inner", at("way"));
    write_file_atomic(at("way/link"), "new");
    EXPECT_EQ(read_file(at("folder/made")), "new");
    EXPECT_TRUE(fs::is_symlink(at("folder/inner/link")));
    fs::create_symlink("absent/made", at("nowhere"));
    expect_refused(at("nowhere"), "absent does not exist");
}

TEST_F(OutputPathTest, RefusesNamesThatCannotBeWritten) {
    fs::create_directory(at("folder"));
    fs::create_directory_symlink("folder", at("link"));
    fs::create_symlink("b", at("a"));
    fs::create_symlink("a", at("b"));
    fs::create_symlink("self", at("self"));
    write_file_atomic(at("file"), "kept");
    expect_refused(at("folder"), "is a directory");
    expect_refused(at("folder/"), "directory");
    expect_refused(at("link"), "is a directory");
    expect_refused(at("."), "directory");
    expect_refused(at("new/"), "directory");
    expect_refused(at("a"), "Too many levels of symbolic links");
    expect_refused(at("self"), "Too many levels of symbolic links");
    expect_refused(at("absent/new"), "absent does not exist");
    expect_refused(at("file/new"), "Not a directory");
    expect_refused(at(std::string(300, 'n')), "File name too long");
    expect_refused("/dev/fd/987", "descriptor 987 is not open");
    EXPECT_EQ(entries(), 6);
    EXPECT_EQ(read_file(at("file")), "kept");
}

TEST_F(OutputPathTest, RefusesProtectedFilesAndFolders) {
    if (::geteuid() == 0) GTEST_SKIP() << "the superuser may write everywhere";
    write_file_atomic(at("file"), "kept");
    fs::permissions(at("file"), fs::perms::owner_read);
    expect_refused(at("file"), "Permission denied");
    EXPECT_EQ(read_file(at("file")), "kept");
    fs::create_directory(at("folder"));
    fs::permissions(at("folder"), fs::perms::owner_read | fs::perms::owner_exec);
    expect_refused(at("folder/new"), "Permission denied");
    fs::permissions(at("folder"), fs::perms::owner_all);
}

TEST_F(OutputPathTest, WritesIntoNamedPipes) {
    ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
    fs::create_symlink("pipe", at("link"));
    for (const char* name : {"pipe", "link"}) {
        check_output_path(at(name));  // does not wait for a reader
        std::string got;
        std::thread reader([&] {
            const int pipe = ::open(at("pipe").c_str(), O_RDONLY);
            char buffer[16];
            for (ssize_t count; (count = ::read(pipe, buffer, sizeof buffer)) > 0;)
                got.append(buffer, static_cast<size_t>(count));
            ::close(pipe);
        });
        write_file_atomic(at(name), "through the pipe");
        reader.join();
        EXPECT_EQ(got, "through the pipe");
        EXPECT_TRUE(S_ISFIFO(mode_of("pipe")));
    }
    EXPECT_TRUE(S_ISLNK(mode_of("link")));
    EXPECT_EQ(entries(), 2);
}

TEST_F(OutputPathTest, WritesIntoDevices) {
    check_output_path("/dev/null");
    write_file_atomic("/dev/null", "gone");
    fs::create_symlink("/dev/full", at("full"));
    const std::string error = error_of([&] { write_file_atomic(at("full"), "x"); });
    EXPECT_EQ(error, at("full").string() + ": cannot write: No space left on device");
    EXPECT_TRUE(fs::is_character_file("/dev/null"));
    EXPECT_TRUE(fs::is_character_file("/dev/full"));
    // A node with the numbers of /dev/null that could be lost.
    if (::mknod(at("null").c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) return;
    write_file_atomic(at("null"), "gone");
    EXPECT_TRUE(S_ISCHR(mode_of("null")));
    EXPECT_EQ(entries(), 2);
}

TEST_F(OutputPathTest, ContinuesAtTheOffsetOfADescriptor) {
    const int file = ::open(at("file").c_str(), O_RDWR | O_CREAT, 0600);
    ASSERT_TRUE(write_all(file, "before ", 7));
    const fs::path name = str("/dev/fd/", file);
    check_output_path(name);
    write_file_atomic(name, "during ");
    ASSERT_TRUE(write_all(file, "after", 5));
    ::close(file);
    EXPECT_EQ(read_file(at("file")), "before during after");
    const int reading = ::open(at("file").c_str(), O_RDONLY);
    expect_refused(str("/dev/fd/", reading), "open for reading only");
    ::close(reading);
    EXPECT_EQ(entries(), 1);
}

TEST_F(OutputPathTest, WritesAllToANonBlockingPipe) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    const std::string bytes(1 << 20, 'x');  // more than a pipe holds
    int64_t got = 0;
    std::thread reader([&] {
        std::string buffer(4096, '\0');
        while (true) {
            const ssize_t count = ::read(ends[0], buffer.data(), buffer.size());
            if (count == 0) break;
            if (count > 0) got += count;
        }
    });
    write_file_atomic(str("/dev/fd/", ends[1]), bytes);
    ::close(ends[1]);
    reader.join();
    ::close(ends[0]);
    EXPECT_EQ(got, 1 << 20);
}

TEST_F(OutputPathTest, KeepsTheModeOfAReplacedFile) {
    const mode_t before = ::umask(027);
    write_file_atomic(at("file"), "old");
    EXPECT_EQ(mode_of("file") & 07777, mode_t{0640}) << "a new file follows the umask";
    for (const mode_t mode : {0600, 0664, 0755}) {
        ASSERT_EQ(::chmod(at("file").c_str(), mode), 0);
        write_file_atomic(at("file"), "new");
        EXPECT_EQ(mode_of("file") & 07777, mode);
    }
    ::umask(before);
    if (::geteuid() != 0) return;
    ASSERT_EQ(::chown(at("file").c_str(), 1234, 5678), 0);
    write_file_atomic(at("file"), "newer");
    struct stat status = {};
    ASSERT_EQ(::stat(at("file").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 1234u);
    EXPECT_EQ(status.st_gid, 5678u);
}

TEST_F(OutputPathTest, TemporaryNamesTakeNobodysFile) {
    const fs::path taken = temporary_sibling(at("file"), 0);
    write_file_atomic(at("notes"), "notes");
    fs::create_symlink("notes", taken);
    write_file_atomic(at("file"), "new");
    EXPECT_EQ(read_file(at("notes")), "notes");
    EXPECT_TRUE(fs::is_symlink(taken));
    const std::string longest(NAME_MAX, 'n');
    write_file_atomic(at(longest), "new");
    EXPECT_EQ(read_file(at(longest)), "new");
    EXPECT_EQ(entries(), 4);
}

TEST_F(OutputPathTest, RemovesWhatIsBeingWritten) {
    write_file_atomic(at("kept.tmp-1"), "the user's");
    {
        AtomicFile file(at("file"));
        AtomicDirectory folder(at("model"));
        fs::create_directory(folder.path() / "part");
        write_file_atomic(folder.path() / "part" / "weights", "1");
        file.write("half", 4);
        EXPECT_EQ(entries(), 3);
        remove_own_temporaries();
        EXPECT_EQ(entries(), 1);
    }
    EXPECT_EQ(read_file(at("kept.tmp-1")), "the user's");
}

TEST_F(OutputPathTest, DirectoriesFollowLinks) {
    fs::create_directory(at("real"));
    fs::create_directory_symlink("real", at("link"));
    fs::create_directory(at("real.old"));
    write_file_atomic(at("real.old/precious"), "2");
    {
        AtomicDirectory making(at("link"));
        write_file_atomic(making.path() / "made", "3");
        making.commit();
    }
    EXPECT_EQ(fs::read_symlink(at("link")), "real");
    EXPECT_EQ(read_file(at("real/made")), "3");
    EXPECT_EQ(read_file(at("real.old/precious")), "2");
    EXPECT_EQ(entries(), 3);
    fs::create_directory_symlink("later", at("dangling"));
    {
        AtomicDirectory making(at("dangling"));
        making.commit(false);
    }
    EXPECT_TRUE(fs::is_directory(at("later")));
    EXPECT_TRUE(fs::is_symlink(at("dangling")));
}

TEST_F(OutputPathTest, TemporaryNamesTellTheProcess) {
    const std::string& nonce = process_nonce();
    EXPECT_EQ(nonce, process_nonce());
    EXPECT_TRUE(nonce.starts_with(str(::getpid(), "-"))) << nonce;
    EXPECT_GE(nonce.size(), 18u) << nonce;
    for (const int attempt : {0, 1, kMaxTemporaryNames})
        EXPECT_TRUE(is_temporary_of(temporary_sibling(at("file"), attempt), nonce));
    EXPECT_TRUE(is_temporary_of(temporary_sibling(at(std::string(NAME_MAX, 'n')), 0), nonce));
    for (const char* name : {"file", "file.tmp-0", "file.tmp-", "x.tmp-77-0123456789abcdef"})
        EXPECT_FALSE(is_temporary_of(at(name), nonce)) << name;
    EXPECT_FALSE(is_temporary_of(at("file.tmp-" + nonce + "0"), nonce));
}

}  // namespace
}  // namespace vila
