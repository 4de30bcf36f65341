#pragma once

// `vila bench attention`: attention on the CPU beside the processor's own limits: forward and
// backward beside the multiply-add loop, decoding (one query against cached keys) beside a stream
// read.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensor/cpu/cpu_device.h"

namespace vila::tools {

struct AttentionShape {
    std::string name;
    std::vector<int64_t> queries, keys;  // lengths of the packed sequences
    int64_t heads, key_heads, head_dim;
    bool causal;

    // Pairs of a query and a key that it sees.
    double pairs() const;
    // Bytes of keys and values.
    double cache_bytes(DType dtype) const;
};
// The sequences of the miniature world, the small VLM step, ViT-L, SigLIP and Llama blocks.
std::vector<AttentionShape> default_attention_shapes();
// One query of one sequence against as many cached keys.
std::vector<AttentionShape> default_decode_shapes();

// Random operands of a shape, and the two kernels on them, on any device.
struct AttentionCase {
    AttentionCase(Device& device, const AttentionShape& shape, DType dtype);

    void forward(const Tensor& keys_read, const Tensor& values_read) const;
    void forward() const { forward(k, v); }
    void backward() const;
    // Compares the last row of the first sequence, whose query sees all keys, with f64; throws.
    void check() const;
    double forward_flop() const {
        return 4.0 * shape.pairs() * static_cast<double>(shape.heads * shape.head_dim);
    }
    double backward_flop() const { return 2.5 * forward_flop(); }

    AttentionShape shape;
    int64_t rows, keys;
    Tensor q, k, v, dout, cu_seqlens_q, cu_seqlens_k;
    double scale;
    Tensor out, log_sum_exp, dq, dk, dv;
};

// The two kernels are counted by what the product of the pairs needs: 4 D operations a pair and
// head forward, 10 D backward.
struct AttentionMeasurement {
    AttentionShape shape;
    DType dtype;
    int threads;
    double forward_gflops = 0.0, forward_share = 0.0;    // of the multiply-add loop
    double backward_gflops = 0.0, backward_share = 0.0;  // the same
    double gigabytes = 0.0, stream_share = 0.0;          // decoding: of keys and values, per second
};

// Medians over `repetitions` runs, each between two runs of its limit. Rows of the result are
// checked against plain loops in f64; throws when they are wrong.
std::vector<AttentionMeasurement> bench_attention(CpuDevice& device, DType dtype,
                                                  const std::vector<AttentionShape>& shapes,
                                                  int repetitions);
// `stream_bytes`: size of the buffer for the stream read. Caches of keys and values are rotated so
// that together they are larger than any cache of the processor.
std::vector<AttentionMeasurement> bench_decode(CpuDevice& device, DType dtype,
                                               const std::vector<AttentionShape>& shapes,
                                               int repetitions,
                                               int64_t stream_bytes = int64_t{1} << 30);

std::string attention_table(const CpuDevice& device,
                            const std::vector<AttentionMeasurement>& measurements);
nlohmann::json attention_json(const CpuDevice& device,
                              const std::vector<AttentionMeasurement>& measurements);

}  // namespace vila::tools
