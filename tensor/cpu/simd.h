#pragma once

// Run-time choice of the vector instruction set for kernels written as plain loops.
//
// with_isa(isa, body) runs `body`, a lambda of straight loops, compiled three times: for the
// baseline, for AVX2 + FMA and for AVX-512. Every function that the body calls is inlined into each
// copy (flatten), so the compiler vectorizes the loops for that level, and no code built for a
// newer processor gets into functions that run everywhere.

#include <cmath>
#include <cstdint>

#include "tensor/cpu/cpu_device.h"

#define VILA_ALWAYS_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
// Attributes of functions that use the intrinsics of one level.
#define VILA_TARGET_AVX2 __attribute__((target("avx2,fma")))
#define VILA_TARGET_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#define VILA_TARGET_AVX512_BF16 \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define VILA_TARGET_AMX \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16")))
#endif

namespace vila::cpu_kernels {

#if defined(__x86_64__)
template <typename Body>
VILA_TARGET_AVX2 __attribute__((flatten)) void run_avx2(const Body& body) {
    body();
}
template <typename Body>
VILA_TARGET_AVX512 __attribute__((flatten)) void run_avx512(const Body& body) {
    body();
}
#endif

template <typename Body>
void with_isa([[maybe_unused]] Isa isa, const Body& body) {
#if defined(__x86_64__)
    if (isa >= Isa::Avx512) return run_avx512(body);
    if (isa == Isa::Avx2) return run_avx2(body);
#endif
    body();
}

}  // namespace vila::cpu_kernels
