// Checkpoints that are damaged, left over, too many, or written to a full disk.

#include "tools/train/checkpoint.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include <gtest/gtest.h>

#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tools/base/hash64.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public ::testing::Test {
  protected:
    CheckpointTest()
        : device_(make_cpu_device(1)),
          folder_(fs::temp_directory_path() /
                  str("vila_checkpoint_", ::getpid(), "_",
                      ::testing::UnitTest::GetInstance()->current_test_info()->name())),
          store_(folder_, 2, [this](const std::string& line) { warnings_.push_back(line); }) {
        fs::remove_all(folder_);
    }
    ~CheckpointTest() override { fs::remove_all(folder_); }

    NamedTensors state(float value) {
        return {{"master/a", Tensor::from_values(*device_, {3}, std::vector<float>{value, 2, 3})},
                {"master/empty", Tensor::from_values(*device_, {0}, std::vector<float>{})},
                {"b", Tensor::from_values(*device_, {2, 2}, std::vector<float>{1, 2, 3, value})}};
    }
    void save(int64_t step) {
        store_.save(step, state(static_cast<float>(step)), {{"note", step}});
    }
    // Loads the newest checkpoint that verifies, checks its contents and returns its step; -1:
    // none.
    int64_t newest() {
        const std::optional<Checkpoint> loaded = store_.load_newest(*device_);
        if (!loaded) return -1;
        EXPECT_EQ(loaded->info.at("note"), loaded->step);
        EXPECT_EQ(loaded->tensor("master/a").to_vector<float>()[0],
                  static_cast<float>(loaded->step));
        EXPECT_EQ(loaded->tensor("master/empty").numel(), 0);
        return loaded->step;
    }
    std::string error_of_newest() {
        try {
            newest();
        } catch (const Error& error) {
            return error.what();
        }
        return "no error";
    }
    void flip_byte(const fs::path& file, int64_t from_end) {
        std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
        stream.seekg(-from_end, std::ios::end);
        const char byte = static_cast<char>(stream.get() ^ 1);
        stream.seekp(-from_end, std::ios::end);
        stream.put(byte);
    }

    std::unique_ptr<CpuDevice> device_;
    fs::path folder_;
    std::vector<std::string> warnings_;
    CheckpointStore store_;
};

TEST_F(CheckpointTest, NewestComesBackAndOldOnesGo) {
    EXPECT_EQ(newest(), -1);
    for (const int64_t step : {1, 20, 300}) save(step);
    EXPECT_EQ(newest(), 300);
    EXPECT_EQ(store_.steps(), (std::vector<int64_t>{20, 300}));
    EXPECT_EQ(read_file(folder_ / "latest"), "step-00000300\n");
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(CheckpointTest, AnyFlippedByteFallsBackToTheOlder) {
    save(1);
    save(2);
    const fs::path payload = store_.path_of(2) / "rank-00000.safetensors";
    flip_byte(payload, 1);
    EXPECT_EQ(newest(), 1);
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_NE(warnings_[0].find("step-00000002 is damaged"), std::string::npos) << warnings_[0];
    EXPECT_NE(warnings_[0].find("hash does not agree"), std::string::npos) << warnings_[0];
    EXPECT_TRUE(fs::exists(folder_ / "step-00000002.damaged"));
    EXPECT_EQ(store_.steps(), (std::vector<int64_t>{1}));
    save(2);
    EXPECT_EQ(newest(), 2);
}

TEST_F(CheckpointTest, EveryByteOfTheManifestIsCovered) {
    save(1);
    save(2);
    const fs::path manifest = store_.path_of(2) / "manifest.json";
    const std::string good = read_file(manifest);
    for (size_t i = 0; i < good.size(); i += 7) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        fs::create_directories(store_.path_of(2));
        std::ofstream(manifest, std::ios::binary) << bad;
        EXPECT_EQ(newest(), 1) << "byte " << i;
        fs::rename(folder_ / "step-00000002.damaged", store_.path_of(2));
    }
    std::ofstream(manifest, std::ios::binary) << good;
    EXPECT_EQ(newest(), 2);
}

TEST_F(CheckpointTest, TruncatedMissingAndForeignDirectoriesAreNotTrusted) {
    save(1);
    save(2);
    fs::resize_file(store_.path_of(2) / "rank-00000.safetensors", 100);
    fs::create_directory(folder_ / "step-00000009");
    fs::create_directory(folder_ / "step-7");
    fs::create_directory(folder_ / "123");
    EXPECT_EQ(newest(), 1);
    EXPECT_EQ(warnings_.size(), 2u);
    fs::remove(store_.path_of(1) / "manifest.json");
    const std::string error = error_of_newest();
    EXPECT_NE(error.find("remove that folder and the log beside it to start again"),
              std::string::npos)
        << error;
}

// A queue starts a failed run again: it must not begin at step 0 and lose the log.
TEST_F(CheckpointTest, EveryStartFailsWhileAllAreDamaged) {
    save(1);
    save(2);
    for (const int64_t step : {1, 2}) flip_byte(store_.path_of(step) / "manifest.json", 5);
    const std::string first = error_of_newest();
    EXPECT_NE(first.find("no checkpoint in"), std::string::npos) << first;
    EXPECT_EQ(error_of_newest(), first);
    EXPECT_EQ(store_.steps(), (std::vector<int64_t>{1, 2}));
    // Set aside by an earlier version, or by hand.
    for (const int64_t step : {1, 2})
        fs::rename(store_.path_of(step), store_.path_of(step).string() + ".damaged-1");
    const std::string later = error_of_newest();
    EXPECT_NE(later.find(".damaged-1 is there, but no good checkpoint"), std::string::npos)
        << later;
    fs::remove_all(folder_);
    EXPECT_EQ(newest(), -1);
}

// Stands in for a checkpoint that the system does not let us read, for every user.
void make_unreadable(const fs::path& checkpoint) {
    fs::remove(checkpoint / "manifest.json");
    fs::create_symlink("manifest.json", checkpoint / "manifest.json");  // ELOOP
}

TEST_F(CheckpointTest, NewerOnesThatCannotBeReadDoNotCount) {
    for (const int64_t step : {40, 45, 50}) save(step);
    for (const int64_t step : {30, 35})  // removed by now
        fs::copy(store_.path_of(50), store_.path_of(step));
    save(40);
    for (const int64_t step : {45, 50}) make_unreadable(store_.path_of(step));
    CheckpointStore next(folder_, 2,
                         [this](const std::string& line) { warnings_.push_back(line); });
    const std::optional<Checkpoint> loaded = next.load_newest(*device_);
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ(loaded->step, 40);
    warnings_.clear();
    next.save(41, state(41), {{"note", 41}});
    EXPECT_EQ(next.steps(), (std::vector<int64_t>{40, 41, 45, 50}));
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_EQ(warnings_[0],
              "checkpoints that could not be read are left as they are: step-00000050 "
              "step-00000045");
    next.save(42, state(42), {{"note", 42}});
    EXPECT_EQ(next.steps(), (std::vector<int64_t>{41, 42, 45, 50}));
    EXPECT_EQ(warnings_.size(), 1u) << "it is said once";
    next.save(45, state(45), {{"note", 45}});
    EXPECT_EQ(next.steps(), (std::vector<int64_t>{42, 45, 50}));
    EXPECT_TRUE(fs::is_symlink(folder_ / "step-00000045.unread/manifest.json"));
    EXPECT_EQ(next.load_newest(*device_)->step, 45);
}

TEST_F(CheckpointTest, OnesThatWereNotReadCountOnlyForRemoval) {
    save(1);
    save(2);
    CheckpointStore next(folder_, 2, [](const std::string&) {});
    next.save(3, state(3), {{"note", 3}});
    EXPECT_EQ(next.steps(), (std::vector<int64_t>{1, 2, 3}));
    next.save(4, state(4), {{"note", 4}});
    EXPECT_EQ(next.steps(), (std::vector<int64_t>{3, 4}));
}

TEST_F(CheckpointTest, FilesOfOthersStay) {
    save(1);
    save(2);
    std::ofstream(store_.path_of(1) / "notes") << "the user's";
    fs::create_directories(folder_ / "step-00000001.tmp-0" / "x");
    fs::create_directories(folder_ / "step-00000002.damaged" / "x");
    fs::create_directories(folder_ / "step-00000000");
    for (const int64_t step : {3, 4, 5}) save(step);
    EXPECT_EQ(store_.steps(), (std::vector<int64_t>{0, 1, 4, 5}));
    EXPECT_EQ(read_file(store_.path_of(1) / "notes"), "the user's");
    EXPECT_EQ(warnings_.size(), 2u) << "once for each of the two";
    for (const std::string& line : warnings_)
        EXPECT_NE(line.find("is not removed: it holds other files"), std::string::npos) << line;
    fs::rename(store_.path_of(4), store_.path_of(2));
    fs::rename(store_.path_of(5), folder_ / "kept");
    EXPECT_EQ(newest(), 1) << "step-00000002 holds step 4";
    for (const char* name : {"step-00000001.tmp-0/x", "step-00000002.damaged/x", "kept",
                             "step-00000002.damaged-1/manifest.json"})
        EXPECT_TRUE(fs::exists(folder_ / name)) << name;
}

TEST_F(CheckpointTest, ASaveThatFailedAfterItsNameWasGivenIsRepeated) {
    save(1);
    fs::create_directories(folder_ / "latest.d");
    fs::remove(folder_ / "latest");
    fs::create_directory_symlink("latest.d", folder_ / "latest");
    EXPECT_THROW(save(2), Error) << "latest is a directory";
    fs::remove(folder_ / "latest");
    save(2);
    EXPECT_EQ(newest(), 2);
    EXPECT_EQ(store_.steps(), (std::vector<int64_t>{1, 2}));
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(CheckpointTest, FullDiskLeavesTheOlderOneAndNoDebris) {
    save(1);
    // A file-size limit makes write() fail as a full disk does.
    const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
    rlimit before = {};
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit small = before;
    small.rlim_cur = 64;
    setrlimit(RLIMIT_FSIZE, &small);
    EXPECT_THROW(save(2), Error);
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, ignored);
    EXPECT_EQ(newest(), 1);
    int64_t entries = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) {
        EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos);
        ++entries;
    }
    EXPECT_EQ(entries, 2) << "step-00000001 and latest";
}

// Version 1 had one file with whole tensors, and their hashes in the table of tensors.
TEST_F(CheckpointTest, TheFirstVersionOfTheFormatIsRead) {
    const fs::path place = store_.path_of(7);
    fs::create_directories(place);
    write_safetensors(place / "rank-00000.safetensors", state(7));
    Json manifest = {{"format", "vila checkpoint"},
                     {"version", 1},
                     {"step", 7},
                     {"ranks", 1},
                     {"files",
                      {{{"name", "rank-00000.safetensors"},
                        {"bytes", fs::file_size(place / "rank-00000.safetensors")}}}},
                     {"tensors", Json::array()},
                     {"info", {{"note", 7}}}};
    for (const auto& [name, tensor] : state(7))
        manifest["tensors"].push_back(
            {{"name", name},
             {"file", "rank-00000.safetensors"},
             {"dtype", dtype_name(tensor.dtype())},
             {"shape", std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end())},
             {"hash", hash_text(hash64(tensor))}});
    const std::string body = manifest.dump();
    manifest["hash"] = hash_text(hash64(body.data(), static_cast<int64_t>(body.size())));
    std::ofstream(place / "manifest.json", std::ios::binary) << manifest.dump(1);
    EXPECT_EQ(newest(), 7);
    // Part of a tensor, as one of several ranks would read it.
    const Tensor part = Tensor::zeros(*device_, {2}, DType::F32);
    store_.load_newest(*device_)->read({"b", {2, 2}, 2, part});
    EXPECT_EQ(part.to_vector<float>(), (std::vector<float>{3, 7}));
    EXPECT_TRUE(warnings_.empty()) << warnings_[0];
    flip_byte(place / "rank-00000.safetensors", 1);
    EXPECT_THROW(newest(), Error);
}

TEST_F(CheckpointTest, FreeSpaceIsAskedForWithTheFigure) {
    fs::create_directories(folder_);
    EXPECT_NO_THROW(check_free_space(folder_, 1000, 3));
    try {
        check_free_space(folder_, int64_t{1} << 60, 3);
        FAIL() << "expected an error";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("MB are free"), std::string::npos);
    }
}

TEST(Hash64, SeesEveryBitLengthAndOrder) {
    std::vector<unsigned char> bytes(101);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 37);
    const auto hash = [&](size_t count) {
        return hash64(bytes.data(), static_cast<int64_t>(count));
    };
    for (size_t count = 1; count <= bytes.size(); ++count) {
        const uint64_t whole = hash(count);
        EXPECT_NE(whole, hash(count - 1));
        for (size_t bit = 0; bit < 8 * count; ++bit) {
            bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1U << (bit % 8)));
            EXPECT_NE(hash(count), whole) << "bit " << bit << " of " << count << " bytes";
            bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1U << (bit % 8)));
        }
    }
    const std::vector<unsigned char> zeros(64);
    EXPECT_NE(hash64(zeros.data(), 32), hash64(zeros.data(), 64));
    EXPECT_EQ(hash_text(0x0123456789abcdefULL), "0123456789abcdef");
}

}  // namespace
}  // namespace vila::tools
