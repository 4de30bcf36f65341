// The tests of the operators and of the model on a real GPU. Without a GPU, one test is skipped
// with the reason.

#include <gtest/gtest.h>

#include <string>

#include "cuda/cuda_device.h"
#include "tensor/check.h"

namespace {

// Returns "" or the reason why the GPU cannot be used.
std::string problem() {
    try {
        static_cast<void>(vila::make_cuda_device());
        return "";
    } catch (const vila::Error& error) {
        return error.what();
    }
}

}  // namespace

TEST(CudaGpu, IsUsable) {
    const std::string why = problem();
    if (!why.empty()) GTEST_SKIP() << why;
}

int main(int count, char** arguments) {
    ::testing::InitGoogleTest(&count, arguments);
    if (!problem().empty()) ::testing::GTEST_FLAG(filter) = "CudaGpu.*";
    return RUN_ALL_TESTS();
}
