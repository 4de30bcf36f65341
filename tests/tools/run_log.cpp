// The log of a run that is resumed, and the format of durations on the progress line.

#include "tools/train/run_log.h"

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "tensor/check.h"
#include "tensor/file.h"
#include "tools/base/progress.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

TEST(RunLog, ResumingRemovesLaterLinesAndHalfALine) {
    const fs::path file = fs::temp_directory_path() / str("vila_run_log_", ::getpid(), ".jsonl");
    fs::remove(file);
    {
        RunLog log(file, 0);
        for (int step = 1; step <= 4; ++step) log.write({{"step", step}, {"loss", 0.5}});
        EXPECT_TRUE(log.sync());
    }
    std::ofstream(file, std::ios::app) << "{\"step\": 5, \"lo";
    {
        RunLog log(file, 4);
        log.write({{"step", 5}, {"loss", 0.25}});
    }
    EXPECT_EQ(read_file(file),
              "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.5}\n{\"step\":3,\"loss\":0.5}\n"
              "{\"step\":4,\"loss\":0.5}\n{\"step\":5,\"loss\":0.25}\n");
    { RunLog log(file, 2); }
    EXPECT_EQ(read_file(file), "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.5}\n");
    { RunLog log(file, 0); }
    EXPECT_EQ(read_file(file), "");
    fs::remove(file);
}

TEST(RunLog, ResumingKeepsDamagedLinesAmongThoseOfFinishedSteps) {
    const fs::path file = fs::temp_directory_path() / str("vila_damaged_", ::getpid(), ".jsonl");
    const std::string finished = "{\"step\":1}\n{\"ste\n{\"step\":\"x\"}\n{\"step\":2}\n";
    write_file_atomic(file, finished + std::string("\0\n{\"step\":3}\n", 14));
    { RunLog log(file, 2); }
    EXPECT_EQ(read_file(file), finished);
    fs::remove(file);
}

TEST(RunLog, NamesAFileThatCannotBeOpened) {
    EXPECT_THROW(RunLog("/nonexistent_folder/log.jsonl", 0), Error);
}

TEST(Progress, DurationsReadLikeSpeech) {
    EXPECT_EQ(duration_text(0.4), "0 s");
    EXPECT_EQ(duration_text(59.4), "59 s");
    EXPECT_EQ(duration_text(59.6), "1 min 0 s");
    EXPECT_EQ(duration_text(3725), "1 h 2 min");
}

}  // namespace
}  // namespace vila::tools
