// Attention over packed sequences: the plain loops that define it.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

namespace {

// Rows [begin, end) of q and [key_begin, key_end) of k and v.
struct Sequence {
    int64_t query_begin, query_end, key_begin, key_end;
    int64_t queries() const { return query_end - query_begin; }
    int64_t keys() const { return key_end - key_begin; }
    // How many of its keys query i (counted from query_begin) sees.
    int64_t visible(int64_t i, bool causal) const {
        return causal ? std::max<int64_t>(0, keys() - (queries() - 1 - i)) : keys();
    }
};

Sequence sequence_at(const Tensor& query_starts, const Tensor& key_starts, int64_t b) {
    const int32_t* query = query_starts.data<int32_t>();
    const int32_t* key = key_starts.data<int32_t>();
    return {query[b], query[b + 1], key[b], key[b + 1]};
}

template <typename T>
T* head_row(const Tensor& tensor, int64_t row, int64_t head) {
    return tensor.data<T>() + row * tensor.strides()[0] + head * tensor.strides()[1];
}

template <typename C, typename T>
C dot(const T* a, const T* b, int64_t n) {
    C sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<C>(a[i]) * static_cast<C>(b[i]);
    return sum;
}

template <typename T>
void forward_reference(const AttentionForwardArgs& args, const Sequence& sequence, int64_t h) {
    using C = compute_t<T>;
    const int64_t H = args.q.size(1), D = args.q.size(2), key_head = h / (H / args.k.size(1));
    std::vector<C> p(static_cast<size_t>(sequence.keys())), sum(static_cast<size_t>(D));
    for (int64_t i = 0; i < sequence.queries(); ++i) {
        const int64_t row = sequence.query_begin + i, visible = sequence.visible(i, args.causal);
        C largest = -std::numeric_limits<C>::infinity(), total = 0;
        for (int64_t j = 0; j < visible; ++j) {
            p[j] = static_cast<C>(args.scale) *
                   dot<C>(head_row<T>(args.q, row, h),
                          head_row<T>(args.k, sequence.key_begin + j, key_head), D);
            largest = std::max(largest, p[j]);
        }
        std::fill(sum.begin(), sum.end(), C(0));
        for (int64_t j = 0; j < visible; ++j) {
            const T* v = head_row<T>(args.v, sequence.key_begin + j, key_head);
            const C weight = std::exp(p[j] - largest);
            total += weight;
            for (int64_t d = 0; d < D; ++d) sum[d] += weight * static_cast<C>(v[d]);
        }
        T* out = head_row<T>(args.out, row, h);
        for (int64_t d = 0; d < D; ++d) out[d] = T(visible > 0 ? sum[d] / total : C(0));
        args.log_sum_exp.data<C>()[row * H + h] = largest + std::log(total);
    }
}

// All query heads of one key head of one sequence, in order: what adds to one dk belongs to one
// item.
template <typename T>
void backward_reference(const AttentionBackwardArgs& args, const Sequence& sequence,
                        int64_t key_head) {
    using C = compute_t<T>;
    const int64_t H = args.q.size(1), D = args.q.size(2), group = H / args.k.size(1);
    const auto scale = static_cast<C>(args.scale);
    std::vector<C> dq(static_cast<size_t>(D)), dk(static_cast<size_t>(sequence.keys() * D)),
        dv(static_cast<size_t>(sequence.keys() * D));
    for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h) {
        for (int64_t i = 0; i < sequence.queries(); ++i) {
            const int64_t row = sequence.query_begin + i;
            const T *q = head_row<T>(args.q, row, h), *dout = head_row<T>(args.dout, row, h);
            const C log_sum_exp = args.log_sum_exp.data<C>()[row * H + h];
            const C delta = dot<C>(dout, head_row<T>(args.out, row, h), D);
            std::fill(dq.begin(), dq.end(), C(0));
            for (int64_t j = 0; j < sequence.visible(i, args.causal); ++j) {
                const T* k = head_row<T>(args.k, sequence.key_begin + j, key_head);
                const T* v = head_row<T>(args.v, sequence.key_begin + j, key_head);
                const C p = std::exp(scale * dot<C>(q, k, D) - log_sum_exp);
                const C ds = scale * p * (dot<C>(dout, v, D) - delta);
                for (int64_t d = 0; d < D; ++d) {
                    dq[d] += ds * static_cast<C>(k[d]);
                    dk[j * D + d] += ds * static_cast<C>(q[d]);
                    dv[j * D + d] += p * static_cast<C>(dout[d]);
                }
            }
            T* out = head_row<T>(args.dq, row, h);
            for (int64_t d = 0; d < D; ++d) out[d] = T(dq[d]);
        }
    }
    for (int64_t j = 0; j < sequence.keys(); ++j) {
        T* dk_out = head_row<T>(args.dk, sequence.key_begin + j, key_head);
        T* dv_out = head_row<T>(args.dv, sequence.key_begin + j, key_head);
        for (int64_t d = 0; d < D; ++d) {
            dk_out[d] = T(dk[j * D + d]);
            dv_out[d] = T(dv[j * D + d]);
        }
    }
}

}  // namespace

void attention_forward(const AttentionForwardArgs& args) {
    const int64_t B = args.query_starts.numel() - 1, H = args.q.size(1);
    const int64_t cost = args.q.numel() * args.k.size(0) / std::max<int64_t>(1, B * B * H);
    for_float("attention_forward", args.q.dtype(), [&](auto element) {
        parallel_for(cpu(args.q), B * H, cost, [&](int64_t begin, int64_t end) {
            for (int64_t item = begin; item < end; ++item)
                forward_reference<decltype(element)>(
                    args, sequence_at(args.query_starts, args.key_starts, item / H), item % H);
        });
    });
}

void attention_backward(const AttentionBackwardArgs& args) {
    const int64_t B = args.query_starts.numel() - 1, K = args.k.size(1);
    const int64_t cost = args.q.numel() * args.k.size(0) / std::max<int64_t>(1, B * B * K);
    for_float("attention_backward", args.q.dtype(), [&](auto element) {
        parallel_for(cpu(args.q), B * K, cost, [&](int64_t begin, int64_t end) {
            for (int64_t item = begin; item < end; ++item)
                backward_reference<decltype(element)>(
                    args, sequence_at(args.query_starts, args.key_starts, item / K), item % K);
        });
    });
}

}  // namespace vila::cpu_kernels
