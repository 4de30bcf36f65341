#pragma once

// The configuration of the tile registers (Intel's AMX), and the order of writes before their use.

#include <cstdint>

#include "tensor/cpu/intrinsics.h"
#include "tensor/cpu/simd.h"

#if defined(__x86_64__)

namespace vila::cpu_kernels {

// Rows, and bytes per row, of each tile register, in the layout that the processor reads. A
// register with 0 rows is unused.
struct alignas(64) TileConfig {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};

    void set(int tile, int64_t row_count, int64_t bytes) {
        rows[tile] = static_cast<uint8_t>(row_count);
        row_bytes[tile] = static_cast<uint16_t>(bytes);
    }
};

// Makes the compiler complete all writes to memory, those to `written` included: it does not know
// that the instructions which configure and load tile registers read memory.
VILA_ALWAYS_INLINE void end_writes(const void* written = nullptr) {
    __asm__ volatile("" ::"r"(written) : "memory");
}

}  // namespace vila::cpu_kernels

#endif
