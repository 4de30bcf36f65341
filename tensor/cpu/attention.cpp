// Attention over packed sequences. Here: the plain loops that define it, in f64, and the choice of
// the fast implementation for f32 and bf16. Not here: rotary positions (rope.cpp) and the
// projections around it (matmul).
//
// The problem: the scores of T queries against S keys are a T x S matrix per head. At T = S = 4096
// that is 64 MB of floats, written once and read three times, though each is used only once. So the
// matrix is never stored. A tile of 240 queries and a tile of 128 keys give a tile of scores that
// stays in the second cache level: its exponentials are taken there, it is multiplied with the tile
// of values and discarded. Softmax needs the maximum and the sum of a whole row, but both can be
// carried along a row of tiles: when the maximum rises from m to m', earlier sums are multiplied by
// e^(m - m'). Backward stores no tile of the forward pass either: log_sum_exp, one number per row,
// is enough to compute every probability again.
//
// Read in this order:
//   vec.h                   a register of floats by name, exp2, transposition
//   tile.h                  products of small tiles: 6 x 64 elements of the result in registers
//   attention_forward.cpp   tiles of queries against tiles of keys, running softmax
//   attention_backward.cpp  the five products of a pair of tiles
//   attention_decode.cpp    one or two queries against a cache of keys, which only has to be read
//
// Three choices that the formulas do not show:
//   - Tiles are packed: rows of a head lie far apart in memory and may be bf16. A packed tile is
//     f32, its rows are whole cache lines, the keys are transposed. Heads that share a key head
//     share its packed tile.
//   - Scores are kept in units of ln 2 (the factor goes into the packed queries): 2^x is a
//     polynomial and a shift, e^x needs one more multiplication.
//   - With a causal mask each block of 6 rows stops at the last key that its last row sees, so that
//     half of the work is saved also in sequences shorter than a tile.
//
// The forward pass loses time to the exponentials and the packing; in short sequences, also to the
// edges of blocks. BENCHMARKS.md lists the speed; `vila bench attention` measures it.

#include "tensor/cpu/attention.h"

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_index.h"

namespace vila::cpu_kernels {

namespace {

double dot(const double* a, const double* b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

void forward_reference(const AttentionForwardArgs& args, const Sequence& sequence, int64_t h) {
    const int64_t H = args.q.size(1), D = args.q.size(2), key_head = h / (H / args.k.size(1));
    const HeadRows<double> q(args.q), out(args.out);
    const KeyRows<double> k(args.k, args.pages), v(args.v, args.pages);
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

// All query heads of one key head of one sequence, in order: one item makes all sums of one dk.
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

// Checks that every row belongs to a sequence, so that no row of the result stays unwritten.
void check_cover(const char* name, const Tensor& cu_seqlens, int64_t rows) {
    check_cu_seqlens("attention", cu_seqlens, rows);
    const int32_t* values = cu_seqlens.data<int32_t>();
    const int32_t first = values[0], last = values[cu_seqlens.numel() - 1];
    VILA_CHECK(first == 0 && last == rows, "[attention] ", name, " run from ", first, " to ", last,
               ": expected 0 to ", rows);
}

// Checks the tables of pages before a kernel follows them.
void check_pages(const AttentionForwardArgs& args) {
    const int64_t B = args.pages.size(0), W = args.pages.size(1);
    check_cu_seqlens("attention", args.cu_seqlens_k, std::numeric_limits<int32_t>::max());
    const int64_t pages = args.k.size(0) / kPageRows;
    for (int64_t b = 0; b < B; ++b) {
        const int64_t keys = sequence_at(args, b).keys();
        VILA_CHECK(keys <= W * kPageRows, "[attention] sequence ", b, " has ", keys,
                   " keys: its pages hold ", W * kPageRows);
        for (int64_t i = 0; i * kPageRows < keys; ++i) {
            const int32_t page = args.pages.data<int32_t>()[b * W + i];
            VILA_CHECK(page >= 0 && page < pages, "[attention] page ", page, " of sequence ", b,
                       ": expected 0 to ", pages - 1);
        }
    }
}

}  // namespace

void attention_forward(const AttentionForwardArgs& args) {
    const int64_t B = args.cu_seqlens_q.numel() - 1, H = args.q.size(1);
    check_cover("cu_seqlens_q", args.cu_seqlens_q, args.q.size(0));
    if (args.pages.defined()) {
        check_pages(args);
    } else {
        check_cu_seqlens("attention", args.cu_seqlens_k, args.k.size(0));
    }
    if (args.q.numel() == 0) return;
    if (args.q.dtype() == DType::F64) {
        const int64_t cost = args.q.numel() * args.k.size(0) / (B * B * H);
        parallel_for(cpu(args.q), B * H, cost, [&](int64_t begin, int64_t end) {
            for (int64_t item = begin; item < end; ++item)
                forward_reference(args, sequence_at(args, item / H), item % H);
        });
        return;
    }
    std::vector<int64_t> decoded, tiled;
    for (int64_t b = 0; b < B; ++b) {
        const int64_t queries = sequence_at(args, b).queries();
        if (queries > 0) (queries <= kDecodeQueries ? decoded : tiled).push_back(b);
    }
    if (!decoded.empty()) attention_decode(args, decoded);
    if (!tiled.empty()) attention_forward_tiled(args, tiled);
}

void attention_backward(const AttentionBackwardArgs& args) {
    const int64_t B = args.cu_seqlens_q.numel() - 1, K = args.k.size(1);
    check_cover("cu_seqlens_q", args.cu_seqlens_q, args.q.size(0));
    check_cover("cu_seqlens_k", args.cu_seqlens_k, args.k.size(0));
    if (args.q.dtype() == DType::F64) {
        const int64_t cost = args.q.numel() * args.k.size(0) / std::max<int64_t>(1, B * B * K);
        parallel_for(cpu(args.q), B * K, cost, [&](int64_t begin, int64_t end) {
            for (int64_t item = begin; item < end; ++item)
                backward_reference(
                    args, sequence_at(args.cu_seqlens_q, args.cu_seqlens_k, item / K), item % K);
        });
        return;
    }
    attention_backward_tiled(args);
}

}  // namespace vila::cpu_kernels
