#pragma once

// `vila bench gemm`: the matrix product on the CPU beside the processor's own limit.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensor/cpu/cpu_device.h"

namespace vila::tools {

struct GemmShape {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
};
// Square and transformer shapes, as in training (NT forward, NN and TN backward), the small ones of
// the miniature world, and one row (decoding).
std::vector<GemmShape> default_gemm_shapes();

struct GemmMeasurement {
    GemmShape shape;
    DType dtype;
    int threads;
    double gflops;       // median
    double limit_share;  // median of the pairwise shares of the multiply-add loop
    double dot_share;    // of the bf16 dot product loop; 0 where there is none
    double tile_share;   // of products of tile registers; 0 where there are none
    double gigabytes;    // per second, of a, b and c: what counts for few rows
};

// Multiplies random matrices of each shape, `repetitions` times alternating with the limit loops,
// and checks elements of the result against f64. Throws when they are wrong.
std::vector<GemmMeasurement> bench_gemm(CpuDevice& device, DType dtype,
                                        const std::vector<GemmShape>& shapes, int repetitions);

std::string gemm_table(const CpuDevice& device, const std::vector<GemmMeasurement>& measurements);
nlohmann::json gemm_json(const CpuDevice& device, const std::vector<GemmMeasurement>& measurements);

}  // namespace vila::tools
