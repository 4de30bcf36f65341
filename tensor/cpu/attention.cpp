// Attention over packed sequences: the plain loops that define it, in f64, and the choice between
// their fast twins for f32 and bf16 (attention_forward.cpp, attention_decode.cpp and
// attention_backward.cpp; read tile.h first).

#include "tensor/cpu/attention.h"

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

namespace {

double dot(const double* a, const double* b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

void forward_reference(const AttentionForwardArgs& args, const Sequence& sequence, int64_t h) {
    const int64_t H = args.q.size(1), D = args.q.size(2), key_head = h / (H / args.k.size(1));
    const HeadRows<double> q(args.q), k(args.k), v(args.v), out(args.out);
    std::vector<double> p(static_cast<size_t>(sequence.keys()));
    for (int64_t i = 0; i < sequence.queries(); ++i) {
        const int64_t row = sequence.query_begin + i, visible = sequence.visible(i, args.causal);
        double largest = -std::numeric_limits<double>::infinity(), total = 0.0;
        for (int64_t j = 0; j < visible; ++j) {
            p[j] = args.scale * dot(q(row, h), k(sequence.key_begin + j, key_head), D);
            largest = std::max(largest, p[j]);
        }
        std::fill_n(out(row, h), D, 0.0);
        for (int64_t j = 0; j < visible; ++j) {
            p[j] = std::exp(p[j] - largest);
            total += p[j];
            for (int64_t d = 0; d < D; ++d)
                out(row, h)[d] += p[j] * v(sequence.key_begin + j, key_head)[d];
        }
        for (int64_t d = 0; d < D && visible > 0; ++d) out(row, h)[d] /= total;
        args.log_sum_exp.data<double>()[row * H + h] = largest + std::log(total);
    }
}

// All query heads of one key head of one sequence, in order: what adds to one dk belongs to one
// item.
void backward_reference(const AttentionBackwardArgs& args, const Sequence& sequence,
                        int64_t key_head) {
    const int64_t H = args.q.size(1), D = args.q.size(2), group = H / args.k.size(1);
    const HeadRows<double> q(args.q), k(args.k), v(args.v), out(args.out), dout(args.dout),
        dq(args.dq), dk(args.dk), dv(args.dv);
    for (int64_t j = sequence.key_begin; j < sequence.key_end; ++j) {
        std::fill_n(dk(j, key_head), D, 0.0);
        std::fill_n(dv(j, key_head), D, 0.0);
    }
    for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h) {
        for (int64_t i = 0; i < sequence.queries(); ++i) {
            const int64_t row = sequence.query_begin + i;
            const double log_sum_exp = args.log_sum_exp.data<double>()[row * H + h];
            const double delta = dot(dout(row, h), out(row, h), D);
            std::fill_n(dq(row, h), D, 0.0);
            for (int64_t j = 0; j < sequence.visible(i, args.causal); ++j) {
                const int64_t key = sequence.key_begin + j;
                const double score = args.scale * dot(q(row, h), k(key, key_head), D);
                const double p = std::exp(score - log_sum_exp);
                const double ds = args.scale * p * (dot(dout(row, h), v(key, key_head), D) - delta);
                for (int64_t d = 0; d < D; ++d) {
                    dq(row, h)[d] += ds * k(key, key_head)[d];
                    dk(key, key_head)[d] += ds * q(row, h)[d];
                    dv(key, key_head)[d] += p * dout(row, h)[d];
                }
            }
        }
    }
}

// Sequences with at most so many queries are read through, not tiled.
constexpr int64_t kDecodeQueries = 2;

}  // namespace

void attention_forward(const AttentionForwardArgs& args) {
    const int64_t B = args.query_starts.numel() - 1, H = args.q.size(1);
    if (args.q.numel() == 0) return;
    if (args.q.dtype() == DType::F64) {
        const int64_t cost = args.q.numel() * args.k.size(0) / (B * B * H);
        parallel_for(cpu(args.q), B * H, cost, [&](int64_t begin, int64_t end) {
            for (int64_t item = begin; item < end; ++item)
                forward_reference(args, sequence_at(args.query_starts, args.key_starts, item / H),
                                  item % H);
        });
        return;
    }
    std::vector<int64_t> decoded, tiled;
    for (int64_t b = 0; b < B; ++b) {
        const int64_t queries = sequence_at(args.query_starts, args.key_starts, b).queries();
        if (queries > 0) (queries <= kDecodeQueries ? decoded : tiled).push_back(b);
    }
    if (!decoded.empty()) attention_decode(args, decoded);
    if (!tiled.empty()) attention_forward_tiled(args, tiled);
}

void attention_backward(const AttentionBackwardArgs& args) {
    const int64_t B = args.query_starts.numel() - 1, K = args.k.size(1);
    if (args.q.dtype() == DType::F64) {
        const int64_t cost = args.q.numel() * args.k.size(0) / std::max<int64_t>(1, B * B * K);
        parallel_for(cpu(args.q), B * K, cost, [&](int64_t begin, int64_t end) {
            for (int64_t item = begin; item < end; ++item)
                backward_reference(args, sequence_at(args.query_starts, args.key_starts, item / K),
                                   item % K);
        });
        return;
    }
    attention_backward_tiled(args);
}

}  // namespace vila::cpu_kernels
