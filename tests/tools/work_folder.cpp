#include "tools/base/work_folder.h"

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "tensor/file.h"
#include "tensor/temporary_name.h"
#include "tests/support/temporary_directory.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

constexpr WorkFolder::Kind kKind = {
    .title = "vila test", .what = "a test", .busy = "another process tests there"};

class WorkFolderTest : public ::testing::Test {
  protected:
    fs::path at(const std::string& name) const { return folder_.path() / name; }
    void write(const std::string& name, const std::string& text) const {
        fs::create_directories(at(name).parent_path());
        std::ofstream(at(name)) << text;
    }
    std::string refusal(const std::string& name, bool adopt = false) const {
        try {
            const WorkFolder folder(at(name), kKind, adopt);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }

    TemporaryDirectory folder_;
};

TEST_F(WorkFolderTest, TakesNewAndEmptyFoldersAndItsOwn) {
    fs::create_directory(at("empty"));
    fs::create_directory(at("disk"));
    fs::create_directory(at("disk/lost+found"));
    write("killed/.lock", "");
    for (const char* name : {"new/folder", "empty", "disk", "killed"}) {
        EXPECT_EQ(refusal(name), "") << name;
        write(std::string(name) + "/result", "made here");
        EXPECT_EQ(refusal(name), "") << name;
        const WorkFolder folder(at(name), kKind, false);
        EXPECT_FALSE(folder.is_new());
    }
}

TEST_F(WorkFolderTest, RefusesAndLeavesFoldersOfOthers) {
    write("notes/notes.txt", "the user's");
    write("empty-lock/.lock", "");
    write("empty-lock/notes.txt", "the user's");
    for (const char* name : {"notes", "empty-lock"})
        EXPECT_EQ(refusal(name), at(name).string() +
                                     ": holds files, but not a test; choose a new or empty folder, "
                                     "or move its files away");
    EXPECT_FALSE(fs::exists(at("notes/.lock")));
    EXPECT_EQ(fs::file_size(at("empty-lock/.lock")), 0u);
    write("other/.lock", "PID 4711\n");
    write("half/.lock", "vila testing\n");
    for (const char* name : {"other", "half"})
        EXPECT_EQ(refusal(name),
                  at(name).string() + "/.lock: not the lock of a test; choose another folder");
    EXPECT_EQ(read_file(at("other/.lock")), "PID 4711\n");
    write("target", "the user's");
    fs::create_directory(at("linked"));
    fs::create_symlink("../target", at("linked/.lock"));
    EXPECT_NE(refusal("linked").find(".lock: cannot open"), std::string::npos);
    EXPECT_EQ(read_file(at("target")), "the user's");
    write("file", "");
    EXPECT_EQ(refusal("file"), at("file").string() + ": not a folder");
}

TEST_F(WorkFolderTest, AdoptsWhatItIsTold) {
    write("older/results", "of an earlier version");
    EXPECT_EQ(refusal("older", true), "");
    const WorkFolder folder(at("older"), kKind, false);
    EXPECT_FALSE(folder.is_new());
}

TEST_F(WorkFolderTest, OneProcessAtATime) {
    const WorkFolder folder(at("run"), kKind, false);
    EXPECT_TRUE(folder.is_new());
    EXPECT_EQ(refusal("run"), at("run").string() + ": another process tests there");
}

TEST_F(WorkFolderTest, RemovesWhatItsOwnDeadProcessesLeftAndNothingElse) {
    write("run/.lock", "vila test\nprocess 77-aaaaaaaaaaaaaaaa\nprocess 78-bbbbbbbbbbbbbbbb\n");
    for (const char* name : {"x.tmp-77-aaaaaaaaaaaaaaaa", "x.tmp-78-bbbbbbbbbbbbbbbb-3",
                             "y.tmp-77-aaaaaaaaaaaaaaaa/z", "sub/x.tmp-77-aaaaaaaaaaaaaaaa"})
        write(std::string("run/") + name, "half");
    const char* others[] = {"x.tmp-0",
                            "x.tmp-77",
                            "x.tmp-79-cccccccccccccccc",
                            "x.tmp-77-aaaaaaaaaaaaaaaa0",
                            "tmp-77-aaaaaaaaaaaaaaaa",
                            "x.old",
                            "deep/er/x.tmp-77-aaaaaaaaaaaaaaaa"};
    for (const char* name : others) write(std::string("run/") + name, name);
    fs::create_directory_symlink("../run/x.old", at("run/link.tmp-0"));
    const WorkFolder folder(at("run"), kKind, false);
    folder.remove_leftovers({at("run"), at("run/sub"), at("run/absent")});
    for (const char* name : others) EXPECT_EQ(read_file(at(std::string("run/") + name)), name);
    EXPECT_TRUE(fs::is_symlink(at("run/link.tmp-0")));
    EXPECT_TRUE(fs::is_empty(at("run/sub")));
    // .lock, link.tmp-0, sub, deep and the others.
    EXPECT_EQ(std::distance(fs::directory_iterator(at("run")), fs::directory_iterator()), 10);
}

TEST_F(WorkFolderTest, RemembersAcrossStarts) {
    {
        const WorkFolder folder(at("run"), kKind, false);
        EXPECT_FALSE(folder.recorded("made").has_value());
        folder.record("made", "first");
        folder.record("made", "second one");
        folder.record("made-up", "third");
    }
    std::ofstream(at("run/.lock"), std::ios::app) << "proc";  // cut short by a crash
    const WorkFolder folder(at("run"), kKind, false);
    EXPECT_EQ(folder.recorded("made"), "second one");
    EXPECT_EQ(folder.recorded("process"), process_nonce());
    EXPECT_EQ(read_file(at("run/.lock")),
              "vila test\nprocess " + process_nonce() +
                  "\nmade first\nmade second one\nmade-up third\nproc\nprocess " + process_nonce() +
                  "\n");
}

}  // namespace
}  // namespace vila::tools
