#pragma once

// Helpers of the model tests: a device, golden tensors, sequences and relative errors.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/model_directory.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"
#include "tensor/safetensors.h"

namespace vila::models {

inline std::filesystem::path model_goldens() {
    return std::filesystem::path(VILA_SOURCE_DIR) / "tests" / "goldens" / "models";
}

// Returns |actual - expected| / max(|expected|, floor) in the Euclidean norm.
inline double relative_error(const std::vector<double>& actual, const std::vector<double>& expected,
                             double floor = 0.0) {
    EXPECT_EQ(actual.size(), expected.size());
    double difference = 0.0, norm = 0.0;
    for (size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
        difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
        norm += expected[i] * expected[i];
    }
    return std::sqrt(difference) / std::max(std::sqrt(norm), floor);
}

inline double relative_error(const Tensor& actual, const Tensor& expected, double floor = 0.0) {
    EXPECT_EQ(actual.numel(), expected.numel()) << actual.shape() << " and " << expected.shape();
    return relative_error(actual.to_vector<double>(), expected.to_vector<double>(), floor);
}

// The tolerance between arithmetic in f32 and in f64 over a few layers.
constexpr double kFloatTolerance = 1e-4;

class ModelTest : public ::testing::Test {
  protected:
    ModelTest() : device(make_cpu_device(2)) {}

    // Returns a tensor of goldens/models/FILE.safetensors.
    Tensor golden(const std::string& file, const std::string& name) {
        return SafetensorsFile(model_goldens() / (file + ".safetensors")).load(name, *device);
    }

    std::unique_ptr<CpuDevice> device;
};

// A sequence that owns its ids, labels and images.
struct OwnedSequence {
    std::vector<int32_t> ids, labels;
    Shape image_shape;         // of one image
    int64_t image_tokens = 1;  // of one image
    std::vector<std::vector<float>> images;

    Sequence get() const {
        Sequence sequence = {ids, labels, {}};
        for (const std::vector<float>& image : images)
            sequence.images.push_back({image_shape, image, image_tokens});
        return sequence;
    }
};

// Returns the three sequences of goldens/models/joined: with no image, one, and three.
class JoinedTest : public ModelTest {
  protected:
    std::unique_ptr<VilaModel> load(DType dtype) { return load(dtype, *device); }
    static std::unique_ptr<VilaModel> load(DType dtype, Device& where) {
        return ModelDirectory(model_goldens() / "joined").load(where, dtype);
    }

    OwnedSequence sequence(int index) {
        const std::string suffix = "." + std::to_string(index);
        OwnedSequence result;
        result.ids = golden("joined", "ids" + suffix).to_vector<int32_t>();
        result.labels = golden("joined", "labels" + suffix).to_vector<int32_t>();
        const Tensor pixels = golden("joined", "pixels" + suffix);
        result.image_shape = {pixels.size(1), pixels.size(2), pixels.size(3)};
        result.image_tokens =
            ModelDirectory(model_goldens() / "joined").config().image_layout().tile_tokens;
        for (int64_t i = 0; i < pixels.size(0); ++i)
            result.images.push_back(pixels.slice(0, i, i + 1).to_vector<float>());
        return result;
    }

    // Returns the sequences with these indices, packed end to end, on the device of the model.
    Batch batch(const VilaModel& model, const std::vector<int>& indices) {
        std::vector<OwnedSequence> owned;
        for (const int index : indices) owned.push_back(sequence(index));
        std::vector<Sequence> sequences;
        for (const OwnedSequence& one : owned) sequences.push_back(one.get());
        return make_batch(model.device(), sequences);
    }
};

}  // namespace vila::models
