#pragma once

// `vila bench gemm`: matrix products on the CPU, compared with the processor's own limits.

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/cpu/cpu_device.h"
#include "tensor/json.h"

namespace vila::tools {

struct GemmShape {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
};
// Square shapes, transformer layers as in training (NT forward, NN and TN backward), the small
// shapes of the miniature world, and 1 and 8 rows (decoding).
std::vector<GemmShape> default_gemm_shapes();

struct GemmMeasurement {
    GemmShape shape;
    DType dtype;
    int threads;
    double gflops;       // median
    double limit_share;  // of the multiply-add loop, median of the pairs
    double dot_share;    // of the bf16 dot product loop; 0 if the device has none
    double tile_share;   // of the AMX product loop, for bf16; 0 if the device has none
    double gigabytes;    // per second, of a, b and c: the limit of products with few rows
};

// Multiplies random matrices of each shape `repetitions` times, alternating with the limit loops.
// Compares elements of the result with f64; throws if they are wrong.
std::vector<GemmMeasurement> bench_gemm(CpuDevice& device, DType dtype,
                                        const std::vector<GemmShape>& shapes, int repetitions);

std::string gemm_table(const CpuDevice& device, const std::vector<GemmMeasurement>& measurements);
Json gemm_json(const CpuDevice& device, const std::vector<GemmMeasurement>& measurements);

}  // namespace vila::tools
