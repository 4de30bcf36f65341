#pragma once

// The PTX instructions for tensor cores and asynchronous copies, one function each; no other file
// contains PTX. <cuda_ptx.h> of the emulation in tests/ has the same functions with the same
// layouts in plain C++.
//
// Fragments of a 16 x 16 by 16 x 8 product (lane l, g = l / 4, t = l % 4). A register holds two
// bf16, the one of the lower column or row in its lower half:
//   a  registers 0 to 3: rows g, g + 8, g, g + 8; columns 2t, 2t+1 of the left half for the first
//      two, of the right half for the others
//   b  registers 0, 1: rows 2t, 2t+1 of the upper and of the lower half; column g
//   c  numbers 0 to 3: row g columns 2t, 2t+1, then row g + 8

#if !defined(__CUDACC__)
#include <cuda_ptx.h>
#else

#include <cstdint>

namespace vila::cuda::ptx {

__device__ inline uint32_t shared_address(const void* shared) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// Begins an asynchronous copy of 16 bytes to shared memory; both addresses are multiples of 16. If
// not `real`, writes zeros and does not read `global`. Source and destination must not be touched
// before cp_async_wait_group.
__device__ inline void cp_async(void* shared, const void* global, bool real) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(real ? 16 : 0)
                 : "memory");
}

// Makes one group of the copies begun since the last call.
__device__ inline void cp_async_commit_group() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until at most the newest `groups` groups of this thread are pending. Other threads see the
// copied data after the next barrier.
template <int groups>
__device__ inline void cp_async_wait_group() {
    asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

// Loads four 8 x 8 matrices of 16-bit elements from shared memory. Lane l passes the address of row
// l % 8 of matrix l / 8; register i of lane l receives columns 2t, 2t+1 of row g of matrix i.
__device__ inline void ldmatrix(uint32_t (&registers)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(shared_address(row))
                 : "memory");
}
// Loads the same matrices transposed: register i of lane l receives rows 2t, 2t+1 of column g.
__device__ inline void ldmatrix_trans(uint32_t (&registers)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// c += a b with f32 sums; the layouts are at the head of this file.
__device__ inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Rounds two numbers to bf16 (to nearest, ties to even) and packs them into one register.
__device__ inline uint32_t pack_bf16(float low, float high) {
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

}  // namespace vila::cuda::ptx

#endif
