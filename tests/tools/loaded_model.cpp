// The checks of a model directory before its weights are read.

#include "tools/run/loaded_model.h"

#include <gtest/gtest.h>

#include "tensor/check.h"

namespace vila::tools {
namespace {

TEST(LoadedModel, RefusesWeightsThatDoNotFitIntoMemory) {
    check_memory("m", DType::F32, 1000, 1000);
    try {
        check_memory("m", DType::F32, 27'000'000'000, 24'150'000'000);
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "m: its weights as f32 need 27.000 GB of memory, and this machine has 24.150 "
                     "GB: use --dtype bf16, or files in the requested dtype, which are mapped "
                     "without a copy");
    }
}

}  // namespace
}  // namespace vila::tools
