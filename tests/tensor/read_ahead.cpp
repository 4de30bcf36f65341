#include "tensor/read_ahead.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tensor/file.h"
#include "tests/support/temporary_directory.h"

namespace vila {
namespace {

constexpr int64_t kBytes = int64_t{32} << 20;  // sixteen pages of 2 MiB: at least sixteen faults
constexpr int64_t kPage = 4096;

int64_t faults_of_this_thread() {
    rusage usage = {};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

// Returns the number of page faults while a byte of each page is read. AddressSanitizer is off,
// because its shadow memory would cause more.
__attribute__((no_sanitize("address"))) int64_t faults_of_reading(const unsigned char* bytes) {
    const int64_t before = faults_of_this_thread();
    unsigned sum = 0;
    for (int64_t at = 0; at < kBytes; at += kPage)
        sum += *static_cast<const volatile unsigned char*>(bytes + at);
    const int64_t faults = faults_of_this_thread() - before;
    EXPECT_EQ(sum, static_cast<unsigned>('x') * (kBytes / kPage));
    return faults;
}

// Returns whether madvise works here. Emulators such as qemu return success without doing anything,
// even for an invalid request.
bool kernel_reads_ahead(const unsigned char* bytes) {
    auto* const page = const_cast<unsigned char*>(bytes);
    return ::madvise(page, kPage, -1) != 0 && ::madvise(page, kPage, MADV_POPULATE_READ) == 0;
}

class ReadAheadTest : public ::testing::Test {
  protected:
    ReadAheadTest() {
        write_file_atomic(path_, std::string(kBytes, 'x'));
        if (!kernel_reads_ahead(RandomAccessFile(path_).map())) skip_ = true;
    }
    void SetUp() override {
        if (skip_) GTEST_SKIP() << "this kernel does not read mapped files ahead";
    }

    TemporaryDirectory directory_;
    std::filesystem::path path_ = directory_.path() / "weights";
    bool skip_ = false;
};

TEST_F(ReadAheadTest, PagesAreThereWhenTheyAreUsed) {
    RandomAccessFile untouched(path_), read(path_);
    const unsigned char* const bytes = read.map();
    ReadAhead ahead({{bytes, kBytes / 2 + 5}, {bytes + kBytes / 2 + 5, kBytes / 2 - 5}});
    ahead.wait();
    constexpr int64_t kOfTheTestItself = 4;
    EXPECT_LE(faults_of_reading(bytes), kOfTheTestItself);
    EXPECT_GE(faults_of_reading(untouched.map()), kBytes >> 21) << "the counter counts";
}

TEST_F(ReadAheadTest, StopsWhenItIsGone) {
    RandomAccessFile file(path_);
    const unsigned char* const bytes = file.map();
    const std::vector<ReadAhead::Range> many(100000, {bytes, kBytes});
    { const ReadAhead ahead(many); }
    EXPECT_EQ(bytes[kBytes - 1], 'x');
}

TEST_F(ReadAheadTest, LeavesWhatItCannotReadToItsFirstUse) {
    RandomAccessFile file(path_);
    const unsigned char* const bytes = file.map();
    std::filesystem::resize_file(path_, kBytes / 2);
    ReadAhead ahead({{bytes, kBytes}});
    ahead.wait();
    EXPECT_EQ(bytes[kBytes / 2 - 1], 'x');
}

}  // namespace
}  // namespace vila
