#include "tools/bench/bench_attention.h"

#include <cmath>
#include <cstdio>
#include <numeric>

#include "tensor/kernels.h"
#include "tensor/random.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"

namespace vila::tools {

namespace {

// Small calls are repeated until a sample is long enough to time.
constexpr double kFlopPerSample = 2e8;
constexpr double kBytesPerSample = 2e8;
constexpr double kMostRepeats = 1000;

Tensor random_rows(Device& device, int64_t rows, int64_t heads, int64_t D, DType dtype,
                   uint64_t key) {
    std::vector<float> values;
    for (int64_t i = 0; i < rows * heads * D; ++i)
        values.push_back(
            static_cast<float>(2.0 * random_uniform(key, static_cast<uint64_t>(i)) - 1.0));
    return Tensor::from_values(device, {rows, heads, D}, values).to(dtype);
}

Tensor cu_seqlens_of(Device& device, const std::vector<int64_t>& lengths) {
    std::vector<int32_t> cu_seqlens = {0};
    for (const int64_t length : lengths)
        cu_seqlens.push_back(cu_seqlens.back() + static_cast<int32_t>(length));
    return Tensor::from_values(device, {static_cast<int64_t>(cu_seqlens.size())}, cu_seqlens);
}

std::vector<double> head_row(const Tensor& x, int64_t row, int64_t head) {
    return x.slice(0, row, row + 1).slice(1, head, head + 1).contiguous().to_vector<double>();
}

AttentionMeasurement measure(CpuDevice& device, DType dtype, const AttentionShape& shape,
                             int repetitions) {
    const AttentionCase x(device, shape, dtype);
    x.forward();
    x.check();
    x.backward();
    const double forward = x.forward_flop(), backward = x.backward_flop();
    const auto inner =
        static_cast<int64_t>(std::clamp(kFlopPerSample / forward, 1.0, kMostRepeats));
    std::vector<double> forward_rates, forward_shares, backward_rates, backward_shares;
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        const double limit = multiply_add_rate(device);
        const double forward_seconds = seconds_of([&] {
            for (int64_t i = 0; i < inner; ++i) x.forward();
        });
        const double backward_seconds = seconds_of([&] {
            for (int64_t i = 0; i < inner; ++i) x.backward();
        });
        forward_rates.push_back(forward * static_cast<double>(inner) / forward_seconds);
        backward_rates.push_back(backward * static_cast<double>(inner) / backward_seconds);
        forward_shares.push_back(forward_rates.back() / limit);
        backward_shares.push_back(backward_rates.back() / limit);
    }
    return {.shape = shape,
            .dtype = dtype,
            .threads = device.threads(),
            .forward_gflops = median(forward_rates) * 1e-9,
            .forward_share = median(forward_shares),
            .backward_gflops = median(backward_rates) * 1e-9,
            .backward_share = median(backward_shares)};
}

// Rotates through several copies of the keys and values, together about half as large as the
// stream's buffer, so that each is read from memory.
AttentionMeasurement measure_decode(CpuDevice& device, DType dtype, const AttentionShape& shape,
                                    int repetitions, const StreamRead& stream,
                                    int64_t stream_bytes) {
    const AttentionCase x(device, shape, dtype);
    x.forward();
    x.check();
    const double bytes = shape.cache_bytes(dtype);
    std::vector<Tensor> keys = {x.k}, values = {x.v};
    while (static_cast<double>(keys.size()) * bytes < static_cast<double>(stream_bytes) / 2.0) {
        keys.push_back(x.k.clone());
        values.push_back(x.v.clone());
    }
    const auto inner = static_cast<int64_t>(std::clamp(kBytesPerSample / bytes, 1.0, kMostRepeats));
    std::vector<double> rates, shares;
    size_t next = 0;
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        const double limit = stream.rate();
        const double seconds = seconds_of([&] {
            for (int64_t i = 0; i < inner; ++i, next = (next + 1) % keys.size())
                x.forward(keys[next], values[next]);
        });
        rates.push_back(bytes * static_cast<double>(inner) / seconds);
        shares.push_back(rates.back() / limit);
    }
    return {.shape = shape,
            .dtype = dtype,
            .threads = device.threads(),
            .gigabytes = median(rates) * 1e-9,
            .stream_share = median(shares)};
}

}  // namespace

AttentionCase::AttentionCase(Device& device, const AttentionShape& asked, DType dtype)
    : shape(asked),
      rows(std::accumulate(shape.queries.begin(), shape.queries.end(), int64_t{0})),
      keys(std::accumulate(shape.keys.begin(), shape.keys.end(), int64_t{0})),
      q(random_rows(device, rows, shape.heads, shape.head_dim, dtype, 1)),
      k(random_rows(device, keys, shape.key_heads, shape.head_dim, dtype, 2)),
      v(random_rows(device, keys, shape.key_heads, shape.head_dim, dtype, 3)),
      dout(random_rows(device, rows, shape.heads, shape.head_dim, dtype, 4)),
      cu_seqlens_q(cu_seqlens_of(device, shape.queries)),
      cu_seqlens_k(cu_seqlens_of(device, shape.keys)),
      scale(1.0 / std::sqrt(static_cast<double>(shape.head_dim))),
      out(Tensor::empty(device, q.shape(), dtype)),
      log_sum_exp(Tensor::empty(device, {rows, shape.heads}, DType::F32)),
      dq(Tensor::empty(device, q.shape(), dtype)),
      dk(Tensor::empty(device, k.shape(), dtype)),
      dv(Tensor::empty(device, v.shape(), dtype)) {}

void AttentionCase::forward(const Tensor& keys_read, const Tensor& values_read) const {
    call(q.device(), "attention_forward", &Kernels::attention_forward,
         {q, keys_read, values_read, cu_seqlens_q, cu_seqlens_k, shape.causal, scale, out,
          log_sum_exp});
}

void AttentionCase::backward() const {
    call(q.device(), "attention_backward", &Kernels::attention_backward,
         {q, k, v, cu_seqlens_q, cu_seqlens_k, shape.causal, scale, out, log_sum_exp, dout, dq, dk,
          dv});
}

void AttentionCase::check() const {
    const int64_t row = shape.queries[0] - 1, head = shape.heads - 1;
    const std::vector<double> query = head_row(q, row, head);
    std::vector<double> expected(query.size(), 0.0);
    double total = 0.0;
    for (int64_t j = 0; j < shape.keys[0]; ++j) {
        const std::vector<double> key = head_row(k, j, shape.key_heads - 1);
        const std::vector<double> value = head_row(v, j, shape.key_heads - 1);
        const double p =
            std::exp(scale * std::inner_product(query.begin(), query.end(), key.begin(), 0.0));
        total += p;
        for (size_t d = 0; d < query.size(); ++d) expected[d] += p * value[d];
    }
    const std::vector<double> got = head_row(out, row, head);
    const double rounding = out.dtype() == DType::BF16 ? 0x1p-8 : 1e-5;
    for (size_t d = 0; d < query.size(); ++d)
        VILA_CHECK(std::fabs(got[d] - expected[d] / total) <= rounding, "[bench attention] ",
                   shape.name, ": element ", d, " of row ", row, " is ", got[d], ", expected ",
                   expected[d] / total);
}

double AttentionShape::pairs() const {
    double pairs = 0.0;
    for (size_t b = 0; b < queries.size(); ++b)
        for (int64_t i = 0; i < queries[b]; ++i)
            pairs += static_cast<double>(
                causal ? std::max<int64_t>(0, keys[b] - (queries[b] - 1 - i)) : keys[b]);
    return pairs;
}

double AttentionShape::cache_bytes(DType dtype) const {
    const int64_t rows = std::accumulate(keys.begin(), keys.end(), int64_t{0});
    return 2.0 * static_cast<double>(rows * key_heads * head_dim * dtype_size(dtype));
}

std::vector<AttentionShape> default_attention_shapes() {
    // Sequences of 20 to 119 tokens, about a thousand tokens in all.
    std::vector<int64_t> sentences;
    for (int64_t total = 0; total < 1000; total += sentences.back())
        sentences.push_back(20 + random_below(5, sentences.size(), 100));
    const auto same = [](int64_t count, int64_t length) {
        return std::vector<int64_t>(static_cast<size_t>(count), length);
    };
    return {
        {"world LLM, 20-119 tokens", sentences, sentences, 4, 4, 32, true},
        {"world ViT, 200 x 16", same(200, 16), same(200, 16), 4, 4, 16, false},
        {"small ViT, 4 x 256", same(4, 256), same(4, 256), 6, 6, 64, false},
        {"small LLM, 4 x 384", same(4, 384), same(4, 384), 8, 8, 64, true},
        {"ViT-L, 577", {577}, {577}, 16, 16, 64, false},
        {"SigLIP, 729", {729}, {729}, 16, 16, 72, false},
        {"LLM, 2048", {2048}, {2048}, 8, 8, 128, true},
        {"LLM grouped, 2048", {2048}, {2048}, 8, 2, 128, true},
        {"LLM, 4096", {4096}, {4096}, 4, 4, 128, true},
    };
}

std::vector<AttentionShape> default_decode_shapes() {
    return {
        {"decode, 1024 keys", {1}, {1024}, 32, 32, 128, true},
        {"decode grouped 4, 4096 keys", {1}, {4096}, 32, 8, 128, true},
        {"decode grouped 8, 4096 keys", {1}, {4096}, 32, 4, 64, true},
    };
}

std::vector<AttentionMeasurement> bench_attention(CpuDevice& device, DType dtype,
                                                  const std::vector<AttentionShape>& shapes,
                                                  int repetitions) {
    std::vector<AttentionMeasurement> measurements;
    for (const AttentionShape& shape : shapes)
        measurements.push_back(measure(device, dtype, shape, repetitions));
    return measurements;
}

std::vector<AttentionMeasurement> bench_decode(CpuDevice& device, DType dtype,
                                               const std::vector<AttentionShape>& shapes,
                                               int repetitions, int64_t stream_bytes) {
    const StreamRead stream(device, stream_bytes);
    std::vector<AttentionMeasurement> measurements;
    for (const AttentionShape& shape : shapes)
        measurements.push_back(
            measure_decode(device, dtype, shape, repetitions, stream, stream_bytes));
    return measurements;
}

std::string attention_table(const CpuDevice& device,
                            const std::vector<AttentionMeasurement>& measurements) {
    std::string table = device.name() +
                        "\n  sequences                     H  K   D  dtype    forward GF/s   of FMA"
                        "   backward GF/s   of FMA\n";
    for (const AttentionMeasurement& x : measurements) {
        char line[160];
        const int head =
            std::snprintf(line, sizeof(line), "  %-28s %2d %2d %3d  %-5s", x.shape.name.c_str(),
                          static_cast<int>(x.shape.heads), static_cast<int>(x.shape.key_heads),
                          static_cast<int>(x.shape.head_dim), dtype_name(x.dtype));
        if (x.gigabytes > 0.0)
            std::snprintf(line + head, sizeof(line) - static_cast<size_t>(head),
                          "  %8.1f GB/s, %5.1f %% of a stream read\n", x.gigabytes,
                          100.0 * x.stream_share);
        else
            std::snprintf(line + head, sizeof(line) - static_cast<size_t>(head),
                          "  %14.1f  %5.1f %%  %14.1f  %5.1f %%\n", x.forward_gflops,
                          100.0 * x.forward_share, x.backward_gflops, 100.0 * x.backward_share);
        table += line;
    }
    return table;
}

Json attention_json(const CpuDevice& device,
                    const std::vector<AttentionMeasurement>& measurements) {
    Json rows = Json::array();
    for (const AttentionMeasurement& x : measurements) {
        Json row = {{"name", x.shape.name},
                    {"heads", x.shape.heads},
                    {"key_heads", x.shape.key_heads},
                    {"head_dim", x.shape.head_dim},
                    {"causal", x.shape.causal},
                    {"dtype", dtype_name(x.dtype)},
                    {"threads", x.threads}};
        if (x.gigabytes > 0.0) {
            row["gigabytes_per_second"] = x.gigabytes;
            row["share_of_stream_read"] = x.stream_share;
        } else {
            row["forward_gflops"] = x.forward_gflops;
            row["forward_share_of_multiply_add"] = x.forward_share;
            row["backward_gflops"] = x.backward_gflops;
            row["backward_share_of_multiply_add"] = x.backward_share;
        }
        rows.push_back(row);
    }
    return {{"device", device.name()}, {"attention", rows}};
}

}  // namespace vila::tools
