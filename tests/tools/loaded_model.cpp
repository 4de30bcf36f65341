// What a model directory must have before it answers.

#include "tools/run/loaded_model.h"

#include <gtest/gtest.h>

#include "tensor/check.h"

namespace vila::tools {
namespace {

TEST(LoadedModel, MoreWeightsThanMemoryAreRefusedBeforehand) {
    check_memory("m", DType::F32, 1000, 1000);
    try {
        check_memory("m", DType::F32, 27'000'000'000, 24'150'000'000);
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "m: its weights take 27 GB of memory as f32 and this machine has 24.1 GB: use "
                     "--dtype bf16, or files in the dtype that is asked for, which are used where "
                     "they lie");
    }
}

}  // namespace
}  // namespace vila::tools
