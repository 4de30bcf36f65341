#pragma once

// `vila bench attention` and `vila bench decode`: attention on the CPU. Forward and backward are
// compared with the multiply-add loop, decoding (one query against cached keys) with a stream read.

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/cpu/cpu_device.h"
#include "tensor/json.h"

namespace vila::tools {

struct AttentionShape {
    std::string name;
    std::vector<int64_t> queries, keys;  // lengths of the packed sequences
    int64_t heads, key_heads, head_dim;
    bool causal;

    // Number of (query, key) pairs in which the query sees the key.
    double pairs() const;
    // Bytes of keys and values.
    double cache_bytes(DType dtype) const;
};
// Sequences of the miniature world, the small VLM step, and ViT-L, SigLIP and Llama blocks.
std::vector<AttentionShape> default_attention_shapes();
// One query against the cached keys of one sequence.
std::vector<AttentionShape> default_decode_shapes();

// Random operands of one shape on any device, and the two kernels that run on them.
struct AttentionCase {
    AttentionCase(Device& device, const AttentionShape& shape, DType dtype);

    void forward(const Tensor& keys_read, const Tensor& values_read) const;
    void forward() const { forward(k, v); }
    void backward() const;
    // Compares the last row of the first sequence, whose query sees all keys, with f64; throws if
    // it is wrong.
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

// Operations are those of the products alone: 4 D per pair and head forward, 10 D backward.
struct AttentionMeasurement {
    AttentionShape shape;
    DType dtype;
    int threads;
    double forward_gflops = 0.0, forward_share = 0.0;    // share of the multiply-add loop
    double backward_gflops = 0.0, backward_share = 0.0;  // share of the multiply-add loop
    double gigabytes = 0.0;                              // decoding: keys and values per second
    double stream_share = 0.0;                           // decoding: share of the stream read
};

// Medians over `repetitions` runs, alternating with the limit. Compares a row of the result with
// plain loops in f64; throws if it is wrong.
std::vector<AttentionMeasurement> bench_attention(CpuDevice& device, DType dtype,
                                                  const std::vector<AttentionShape>& shapes,
                                                  int repetitions);
// Medians as above. `stream_bytes` is the size of the buffer of the stream read. Several copies of
// keys and values take turns, together about half as large, so that each is read from memory.
std::vector<AttentionMeasurement> bench_decode(CpuDevice& device, DType dtype,
                                               const std::vector<AttentionShape>& shapes,
                                               int repetitions,
                                               int64_t stream_bytes = int64_t{1} << 30);

std::string attention_table(const CpuDevice& device,
                            const std::vector<AttentionMeasurement>& measurements);
Json attention_json(const CpuDevice& device, const std::vector<AttentionMeasurement>& measurements);

}  // namespace vila::tools
