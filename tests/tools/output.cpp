// Text that commands read and write: lines, standard streams, results, and the progress line.

#include "tools/base/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "tensor/file.h"
#include "tensor/shortened.h"
#include "tests/support/temporary_directory.h"
#include "tools/base/message_line.h"
#include "tools/base/process_signals.h"
#include "tools/base/progress.h"
#include "tools/base/text_input.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const fs::path& path) {
    LineReader reader(path);
    std::vector<std::string> lines;
    for (std::string line; reader.next(line);) lines.push_back(line);
    return lines;
}

TEST(TextInput, ReadsLinesOfAnyLength) {
    const TemporaryDirectory folder;
    const fs::path path = folder.path() / "text";
    const std::string longest(1 << 20, 'x');
    using Lines = std::vector<std::string>;
    const std::pair<std::string, Lines> cases[] = {
        {"", {}},
        {"\n", {""}},
        {"a", {"a"}},
        {"a\n", {"a"}},
        {"a\n\nb", {"a", "", "b"}},
        {"a\r\nb\n", {"a\r", "b"}},
        {longest + "\n" + longest, {longest, longest}},
        {std::string("a\0b\n", 4), {std::string("a\0b", 3)}},
    };
    for (const auto& [text, lines] : cases) {
        write_file_atomic(path, text);
        EXPECT_EQ(lines_of(path), lines);
    }
    for (const std::string text : {"", "a\r\nb", "a\n\n"}) {
        write_file_atomic(path, text);
        EXPECT_EQ(read_text(path), text);
    }
    write_file_atomic(path, "{}\n\n \t\r\n{}");
    EXPECT_EQ(count_lines(path), 2);
    EXPECT_EQ(count_lines("-"), -1);
}

TEST(TextInput, ErrorsAreNotTheEndOfTheFile) {
    const TemporaryDirectory folder;
    for (const auto& [path, reason] :
         {std::pair(folder.path() / "absent", "cannot be opened: No such file"),
          std::pair(folder.path(), "cannot read: Is a directory")}) {
        try {
            read_text(path);
            FAIL() << path;
        } catch (const FileError& error) {
            const std::string text = error.what();
            EXPECT_NE(text.find(path.string() + ": " + reason), std::string::npos) << text;
        }
    }
}

TEST(TextInput, SaysThatAFileIsTooLarge) {
    const TemporaryDirectory folder;
    const fs::path path = folder.path() / "large";
    write_file_atomic(path, "a line\n");
    fs::resize_file(path, (256 << 20) + 1);
    const auto error_of = [&](const auto& read) -> std::string {
        try {
            read();
        } catch (const Error& error) {
            return error.what();
        }
        return "no error";
    };
    EXPECT_EQ(error_of([&] { read_text(path); }),
              path.string() +
                  ": expected at most 268435456 bytes of text, got more; is this the right file?");
    fs::resize_file(path, (256 << 20) + (1 << 17));
    EXPECT_EQ(error_of([&] { lines_of(path); }),
              path.string() + " line 2: longer than 268435456 bytes; is this a text file?");
}

TEST(TextInput, GivesALineBeforeTheNextIsThere) {
    const TemporaryDirectory folder;
    const fs::path path = folder.path() / "pipe";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const int both = ::open(path.c_str(), O_RDWR);  // keeps the pipe open
    ASSERT_TRUE(write_all(both, "one\ntwo\nthr", 11));
    LineReader reader(path);
    std::string line;
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, "one");
    EXPECT_EQ(reader.where(), path.string() + " line 1");
    EXPECT_TRUE(reader.has_line());
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, "two");
    EXPECT_FALSE(reader.has_line());
    ASSERT_TRUE(write_all(both, "ee\n", 3));
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, "three");
    ::close(both);
    EXPECT_FALSE(reader.next(line));
    EXPECT_EQ(count_lines(path), -1) << "a pipe can be read only once";
}

TEST(Output, ResultFileAppearsWhenFinished) {
    const TemporaryDirectory folder;
    const fs::path path = folder.path() / "result";
    ResultFile none("");
    EXPECT_FALSE(none.is_wanted());
    none.write("nowhere");
    none.finish();
    {
        ResultFile file(path);
        file.write("half");
        EXPECT_FALSE(fs::exists(path));
    }
    EXPECT_TRUE(fs::is_empty(folder.path()));
    ResultFile file(path);
    file.write("all");
    file.write(" of it");
    file.finish();
    EXPECT_EQ(read_file(path), "all of it");
    EXPECT_THROW(ResultFile(folder.path() / "absent" / "result"), FileError);
}

TEST(Output, OnlyOneArgumentIsAStandardStream) {
    EXPECT_TRUE(is_standard_stream("-"));
    EXPECT_FALSE(is_standard_stream("./-"));
    EXPECT_EQ(output_path("file"), "file");
    EXPECT_EQ(output_path("-"), "/dev/stdout");
    refuse_shared_stream({{"--output", "-"}, {"--dump", "file"}, {"--other", ""}});
    EXPECT_THROW(refuse_shared_stream({{"--output", "-"}, {"--dump", "-"}}), UsageError);
}

TEST(Progress, LinesHaveRateAndTimeLeft) {
    EXPECT_EQ(progress_line("eval", 0, 12, 100, rate_text(3.0), 4.0),
              "eval 12/100  3.00 per s  29 s left");
    EXPECT_EQ(progress_line("eval", 10, 12, 100, "", 1.0), "eval 12/100  44 s left");
    EXPECT_EQ(progress_line("eval", 0, 100, 100, "", 125.0), "eval 100/100  in 2 min 5 s");
    EXPECT_EQ(progress_line("score", 0, 7, -1, rate_text(0.5), 14.0), "score 7  0.50 per s");
    EXPECT_EQ(progress_line("eval", 0, 0, 100, "", 1.0), "eval 0/100");
    EXPECT_EQ(rate_text(12.34), "12.3 per s");
    EXPECT_EQ(rate_text(1234.5), "1234 per s");
}

// Each of these runs in a process of its own, because it changes what signals do. A forked process
// has one thread, as a program at its start, and writes into the folder that the test looks at.
class ProcessSignalsDeathTest : public ::testing::Test {
  protected:
    ProcessSignalsDeathTest() { ::testing::FLAGS_gtest_death_test_style = "fast"; }
    TemporaryDirectory folder_;
};

TEST_F(ProcessSignalsDeathTest, ASignalRemovesWhatIsBeingWritten) {
    const fs::path path = folder_.path() / "result";
    write_file_atomic(path, "old");
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        EXPECT_EXIT(
            {
                // Tests in the background of a script or under nohup are started with some ignored.
                std::signal(signal, SIG_DFL);
                ProcessSignals signals;
                signals.clean_up_on_stop();
                AtomicFile file(path);
                file.write("half", 4);
                AtomicDirectory model(folder_.path() / "model");
                write_file_atomic(model.path() / "weights", "1");
                ::kill(::getpid(), signal);
                std::this_thread::sleep_for(std::chrono::seconds(10));
            },
            ::testing::KilledBySignal(signal), "");
        EXPECT_EQ(read_file(path), "old");
        EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()),
                  1);
    }
}

TEST_F(ProcessSignalsDeathTest, AnIgnoredSignalStaysIgnored) {
    EXPECT_EXIT(
        {
            std::signal(SIGHUP, SIG_IGN);
            ProcessSignals signals;
            signals.clean_up_on_stop();
            ::kill(::getpid(), SIGHUP);
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            std::_Exit(7);
        },
        ::testing::ExitedWithCode(7), "");
}

TEST_F(ProcessSignalsDeathTest, ClosedDescriptorsAreNotTakenByFiles) {
    const auto opens_above = [this] {
        for (const int descriptor : {0, 1, 2}) ::close(descriptor);
        const ProcessSignals signals;
        const int file = ::open((folder_.path() / "file").c_str(), O_RDWR | O_CREAT, 0600);
        char byte = 0;
        return file > 2 && ::read(0, &byte, 1) == 0 && ::write(1, "x", 1) < 0 && errno == EBADF &&
               ::write(2, "x", 1) == 1;
    };
    EXPECT_EXIT(std::_Exit(opens_above() ? 7 : 1), ::testing::ExitedWithCode(7), "");
}

TEST(MessageLine, IsOneShortLine) {
    EXPECT_EQ(message_line("a\nb\x1b[2J"), "a\\nb\\x1b[2J");
    const std::string exact(kMaxMessage, 'x');
    EXPECT_EQ(message_line(exact), exact);
    const std::string name(4000, 'n');
    const std::string line = message_line("vila plan: " + name + ": field steps: expected 1");
    EXPECT_EQ(line.size(), kMaxMessage);
    EXPECT_TRUE(line.starts_with("vila plan: nnn"));
    EXPECT_TRUE(line.ends_with("nnn: field steps: expected 1"));
    // Characters of several bytes stay whole, whatever stands before them.
    for (int shift = 0; shift < 4; ++shift) {
        std::string emoji(static_cast<size_t>(shift), 'x');
        for (int i = 0; i < 500; ++i) emoji += "\xf0\x9f\x98\x80";
        const std::string cut = message_line(emoji);
        EXPECT_LE(cut.size(), kMaxMessage);
        const size_t dots = cut.find("...");
        ASSERT_NE(dots, std::string::npos);
        EXPECT_EQ((dots - static_cast<size_t>(shift)) % 4, 0U);
        EXPECT_EQ((cut.size() - dots - 3) % 4, 0U);
    }
}

}  // namespace
}  // namespace vila::tools
