#pragma once

// What every user of the tile registers (Intel's AMX) needs: their shapes, and an order of writes.

#include <cstdint>

#include "tensor/cpu/intrinsics.h"
#include "tensor/cpu/simd.h"

#if defined(__x86_64__)

namespace vila::cpu_kernels {

// Rows and bytes a row of each tile register, as the processor reads them. A register without rows
// is not used.
struct alignas(64) TileConfig {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};

    void set(int tile, int64_t row_count, int64_t bytes) {
        rows[tile] = static_cast<uint8_t>(row_count);
        row_bytes[tile] = static_cast<uint16_t>(bytes);
    }
};

// What was written, to `written` above all, is in memory: compilers do not know that configuring
// and loading read it.
VILA_ALWAYS_INLINE void end_writes(const void* written = nullptr) {
    __asm__ volatile("" ::"r"(written) : "memory");
}

}  // namespace vila::cpu_kernels

#endif
