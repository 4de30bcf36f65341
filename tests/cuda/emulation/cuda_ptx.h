#pragma once

// The functions of cuda/ptx.h as plain C++, with the same layouts and stricter rules. An
// asynchronous copy happens only when it is waited for; until then its destination is poisoned. A
// warp operation needs all lanes of the warp.

#include <cstdint>
#include <cstring>

#include "tests/cuda/emulation/launch.h"
#include "tests/cuda/emulation/warp.h"

namespace vila::cuda::ptx {

namespace model {

// The arguments of one lane in a warp operation.
struct Matrices {
    uint32_t* registers;
    const void* row;
};
struct Product {
    float* c;
    const uint32_t* a;
    uint32_t b[2];
};

// Defined in ptx.cpp; each runs once for the 32 lanes of a warp.
void ldmatrix(void* const* lanes);
void ldmatrix_trans(void* const* lanes);
void mma(void* const* lanes);

}  // namespace model

void cp_async(void* shared, const void* global, bool real);
void cp_async_commit_group();
void finish_copies(int groups);
template <int groups>
void cp_async_wait_group() {
    finish_copies(groups);
}

inline void ldmatrix(uint32_t (&registers)[4], const void* row, int line = __builtin_LINE(),
                     const char* file = __builtin_FILE()) {
    model::Matrices lane = {registers, row};
    emulation::with_warp(model::ldmatrix, &lane, file, line);
}
inline void ldmatrix_trans(uint32_t (&registers)[4], const void* row, int line = __builtin_LINE(),
                           const char* file = __builtin_FILE()) {
    model::Matrices lane = {registers, row};
    emulation::with_warp(model::ldmatrix_trans, &lane, file, line);
}

inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
    model::Product lane = {c, a, {b0, b1}};
    emulation::with_warp(model::mma, &lane, file, line);
}

uint32_t pack_bf16(float low, float high);

}  // namespace vila::cuda::ptx
