// Ranks that exchange messages through files.

#include "dist/file_ranks.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <optional>

#include "dist/agree.h"
#include "dist/thread_ranks.h"
#include "tests/support/temporary_directory.h"

namespace vila::dist {
namespace {

// Runs `body` on ranks that are threads and exchange messages through files in `folder`.
void run_file_ranks(const std::filesystem::path& folder, int64_t ranks,
                    const std::function<void(FileRanks&)>& body) {
    run_thread_ranks(ranks, [&](Collectives& threads) {
        FileRanks files(folder, threads.rank(), threads.ranks());
        threads.barrier();
        body(files);
        threads.barrier();
    });
}

std::string error_of(const std::function<void()>& body) {
    try {
        body();
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

TEST(FileRanks, MoveTheBytesOfEveryCollective) {
    const TemporaryDirectory folder;
    for (const int64_t count : {1, 2, 5})
        run_file_ranks(folder.path(), count, [&](FileRanks& job) {
            const auto ranks = static_cast<size_t>(job.ranks());
            for (int round = 0; round < 3; ++round) {
                EXPECT_EQ(largest(job, job.rank() + round), job.ranks() - 1 + round);
                std::vector<int64_t> out(ranks), in(ranks), got(ranks);
                std::iota(out.begin(), out.end(), 100 * job.rank());
                job.all_to_all(out.data(), in.data(), sizeof(int64_t));
                for (size_t i = 0; i < ranks; ++i)
                    EXPECT_EQ(in[i], 100 * static_cast<int64_t>(i) + job.rank());
                int64_t from_last = job.rank();
                job.broadcast(&from_last, sizeof from_last, job.ranks() - 1);
                EXPECT_EQ(from_last, job.ranks() - 1);
                job.barrier();
                job.all_gather(nullptr, nullptr, 0);
                const auto texts =
                    all_gather(job, std::string(static_cast<size_t>(job.rank() * 100'000), 'x'));
                for (size_t rank = 0; rank < ranks; ++rank)
                    EXPECT_EQ(texts[rank].size(), rank * 100'000);
            }
        });
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(FileRanks, ReadNothingOfAnEarlierJob) {
    const TemporaryDirectory folder;
    for (int rank = 0; rank < 2; ++rank)
        std::ofstream(folder.path() / ("messages-" + std::to_string(rank))) << "left by a kill";
    run_file_ranks(folder.path(), 2,
                   [](FileRanks& job) { EXPECT_EQ(largest(job, job.rank()), 1); });
}

TEST(FileRanks, ReceiveWhatARankSentBeforeItEnded) {
    const TemporaryDirectory folder;
    FileRanks waiting(folder.path(), 0, 2), ending(folder.path(), 1, 2);
    const int64_t last = 7;
    ending.send(&last, sizeof last);
    EXPECT_EQ(largest(waiting, 3), 7);
}

TEST(FileRanks, NameTheRankThatDoesNotAnswer) {
    const TemporaryDirectory folder;
    FileRanks job(folder.path(), 0, 3), answering(folder.path(), 1, 3);
    job.set_limit(0.05);
    const int64_t answer = 1;
    answering.send(&answer, sizeof answer);
    EXPECT_EQ(error_of([&] { largest(job, 1); }), "rank 2 did not answer for 0.05 s");
    // A message of another length belongs to another call.
    EXPECT_NE(error_of([&] {
                  const TemporaryDirectory other;
                  FileRanks first(other.path(), 0, 2), second(other.path(), 1, 2);
                  second.send("abc", 3);
                  largest(first, 1);
              }).find("rank 1 sent 3 bytes: expected 8"),
              std::string::npos);
}

TEST(FileRanks, NoticeThatARankHasEnded) {
    const TemporaryDirectory folder;
    run_thread_ranks(2, [&](Collectives& threads) {
        std::optional<FileRanks> job(std::in_place, folder.path(), threads.rank(), 2);
        threads.barrier();
        job->try_locks(threads);
        if (threads.rank() == 1) {
            const int64_t last = 7;
            job->send(&last, sizeof last);
            job.reset();
            return;
        }
        EXPECT_EQ(error_of([&] {
                      while (true) largest(*job, 3);
                  }),
                  "rank 1 has ended");
    });
}

TEST(FileRanks, FailTogether) {
    const TemporaryDirectory folder;
    run_file_ranks(folder.path(), 3, [](FileRanks& job) {
        EXPECT_EQ(
            error_of([&] { agree(job, [&] { VILA_CHECK(job.rank() != 1, "the disk is full"); }); }),
            "rank 1: the disk is full");
    });
}

}  // namespace
}  // namespace vila::dist
