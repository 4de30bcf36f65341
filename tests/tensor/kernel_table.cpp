// The CPU's table has every entry, and call() throws if a device lacks a kernel.

#include <gtest/gtest.h>

#include <array>
#include <bit>

#include "tensor/cpu/kernels.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

TEST(KernelTable, TheCpuHasEveryKernel) {
    const auto entries = std::bit_cast<std::array<void (*)(), kKernelCount>>(cpu_kernels::table());
    for (size_t i = 0; i < kKernelCount; ++i)
        EXPECT_NE(entries[i], nullptr) << "entry " << i << " of struct Kernels";
}

TEST(KernelTable, AMissingKernelIsNamed) {
    const Kernels empty;
    CpuDevice device(empty, 1, Isa::Baseline);
    EXPECT_EQ(
        expect_error("[exp] is not supported on cpu, 1 thread, baseline",
                     [&] { call(device, "exp", &Kernels::exp, {.x = Tensor(), .y = Tensor()}); }),
        "");
}

}  // namespace vila::testing
