// Fuzzing of model directories. After any change to its files, a model is either refused with one
// line or opens. If only the description of the tensors changed, it is refused or opens with its
// original weights. VILA_TEST_SEED=N draws different changes, VILA_TEST_DAMAGES=N makes N per
// directory.

#include <algorithm>
#include <ctime>
#include <fstream>

#include "models/part_weights.h"
#include "tensor/env.h"
#include "tests/support/model_goldens.h"
#include "tests/support/temporary_directory.h"

namespace vila::models {
namespace {

namespace fs = std::filesystem;

// The most CPU seconds for opening a small model, whatever its files contain.
constexpr double kLongest = 1.0;

double processor_seconds() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

std::string contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// A sequence of random numbers for one case.
class Dice {
  public:
    explicit Dice(uint64_t key) : key_(key) {}
    size_t below(size_t n) {
        return n == 0 ? 0
                      : static_cast<size_t>(random_below(key_, next_++, static_cast<int64_t>(n)));
    }

  private:
    uint64_t key_;
    uint64_t next_ = 0;
};

std::string random_bytes(Dice& dice, size_t count) {
    std::string bytes;
    for (size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(dice.below(256)));
    return bytes;
}

// Makes one change in the first `range` bytes.
void damage(std::string& bytes, size_t range, Dice& dice) {
    range = std::min(range, bytes.size());
    const size_t at = dice.below(range);
    const size_t length = std::min(1 + dice.below(16), bytes.size() - at);
    switch (dice.below(8)) {
        case 0:
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << dice.below(8)));
            return;
        case 1:
            bytes.replace(at, length, random_bytes(dice, length));
            return;
        case 2:
            bytes.insert(at, random_bytes(dice, length));
            return;
        case 3:
            bytes.erase(at, length);
            return;
        case 4:
            bytes.insert(dice.below(range), bytes.substr(at, length));
            return;
        case 5:
            bytes.resize(at);
            return;
        case 6: {  // another digit, so that a number stays a number
            const size_t digit = bytes.find_first_of("0123456789", at);
            if (digit < range) bytes[digit] = static_cast<char>('0' + dice.below(10));
            return;
        }
        default:
            std::swap(bytes[at], bytes[dice.below(range)]);
            return;
    }
}

// Returns the number of bytes at the start of a file that describe tensors; 0 if description and
// data are not separate.
size_t describing_bytes(const fs::path& path, const std::string& bytes) {
    if (path.extension() == ".safetensors") {
        size_t header = 0;
        for (size_t i = 8; i-- > 0;) header = header << 8 | static_cast<unsigned char>(bytes[i]);
        return 8 + header;
    }
    if (path.string().ends_with(".index.json")) return bytes.size();
    return 0;
}

class DamageTest : public ModelTest {
  protected:
    // Returns all weights of the model in a directory.
    std::vector<float> weights(const fs::path& path) {
        const auto model = ModelDirectory(path).load(*device, DType::F32);
        std::vector<float> all;
        for (const nn::ParameterTable* table :
             {&model->llm_table(), &model->vision_table(), &model->projector_table()})
            for (const nn::Parameter& parameter : *table) {
                const std::vector<float> values = parameter.variable.value().to_vector<float>();
                all.insert(all.end(), values.begin(), values.end());
            }
        return all;
    }

    void check(const std::string& name) {
        const fs::path path = directory.path() / name;
        fs::copy(fs::path(VILA_SOURCE_DIR) / "tests/goldens/layouts" / name, path,
                 fs::copy_options::recursive);
        std::vector<fs::path> files;
        for (const auto& entry : fs::recursive_directory_iterator(path))
            if (entry.is_regular_file()) files.push_back(entry.path());
        std::sort(files.begin(), files.end());
        const std::vector<float> expected = weights(path);
        const uint64_t seed = static_cast<uint64_t>(environment_int("VILA_TEST_SEED"));
        double slowest = 0.0;
        const auto cases = static_cast<uint64_t>(environment_int("VILA_TEST_DAMAGES"));
        uint64_t refused = 0;
        for (uint64_t i = 0; i < cases; ++i) {
            Dice dice(random_key(seed, random_key(7, name), i));
            const fs::path& file = files[dice.below(files.size())];
            const std::string good = contents(file);
            // Most changes damage only the description, where an undetected change is most likely.
            const size_t describing = describing_bytes(file, good);
            const bool only_description = describing > 0 && dice.below(4) > 0;
            std::string bad = good;
            for (size_t changes = 1 + dice.below(3); changes > 0 && !bad.empty(); --changes)
                damage(bad, only_description ? describing : bad.size(), dice);
            std::ofstream(file, std::ios::binary) << bad;
            const double start = processor_seconds();
            try {
                const std::vector<float> found = weights(path);
                EXPECT_TRUE(!only_description || found == expected) << file << " case " << i;
            } catch (const Error& error) {
                ++refused;
                const std::string message = error.what();
                EXPECT_EQ(message.find('\n'), std::string::npos) << message;
                EXPECT_NE(message.find(path.string()), std::string::npos) << message;
            }
            slowest = std::max(slowest, processor_seconds() - start);
            std::ofstream(file, std::ios::binary) << good;
        }
        std::printf("%s: %llu of %llu refused, the slowest case took %.3f s\n", name.c_str(),
                    static_cast<unsigned long long>(refused),
                    static_cast<unsigned long long>(cases), slowest);
        EXPECT_GT(refused, cases / 2);
        EXPECT_LT(slowest, kLongest);
        EXPECT_EQ(weights(path), expected);
    }

    TemporaryDirectory directory;
};

TEST_F(DamageTest, VilaDirectories) {
    check("vila15");
}

TEST_F(DamageTest, ShardsOfSafetensors) {
    check("llama3");
}

TEST_F(DamageTest, ShardsOfTorchFiles) {
    check("vicuna");
}

TEST_F(DamageTest, LlavaHfDirectories) {
    check("llava_hf");
}

}  // namespace
}  // namespace vila::models
