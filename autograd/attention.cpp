// Attention over packed sequences.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

namespace {

void check_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& cu_seqlens_q,
                     const Tensor& cu_seqlens_k) {
    check_float("attention", "q", q, 3);
    check_float("attention", "k", k, 3);
    const Device& device = q.device();
    check_operand("attention", "k", k, {k.size(0), k.size(1), q.size(2)}, q.dtype(), device);
    check_operand("attention", "v", v, k.shape(), q.dtype(), device);
    VILA_CHECK(k.size(1) > 0 && q.size(1) % k.size(1) == 0, "[attention] ", q.size(1),
               " query heads over ", k.size(1), " key heads: expected a multiple");
    check_index("attention", "cu_seqlens_q", cu_seqlens_q, device);
    check_operand("attention", "cu_seqlens_k", cu_seqlens_k, cu_seqlens_q.shape(), DType::I32,
                  device);
}

// Allocates the results.
AttentionForwardArgs forward_args(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k,
                                  bool causal, double scale) {
    return {.q = q,
            .k = k,
            .v = v,
            .cu_seqlens_q = cu_seqlens_q,
            .cu_seqlens_k = cu_seqlens_k,
            .causal = causal,
            .scale = scale,
            .out = Tensor::empty(q.device(), q.shape(), q.dtype()),           // (R, H, D)
            .log_sum_exp = Tensor::empty(q.device(), {q.size(0), q.size(1)},  // (R, H)
                                         accumulation_dtype(q.dtype()))};
}

}  // namespace

Variable attention(const Variable& q, const Variable& k, const Variable& v,
                   const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k, bool causal,
                   double scale) {
    check_attention(q.value(), k.value(), v.value(), cu_seqlens_q, cu_seqlens_k);
    const ActivityScope scope(q.device(), {"", "attention"});
    const AttentionForwardArgs forward =
        forward_args(q.value(), k.value(), v.value(), cu_seqlens_q, cu_seqlens_k, causal, scale);
    call(q.device(), "attention_forward", &Kernels::attention_forward, forward);
    return record(
        "attention", forward.out, {q, k, v},
        [q_edge = q.edge(), k_edge = k.edge(), v_edge = v.edge(), forward](const Tensor& dout) {
            const auto& [q, k, v, cu_seqlens_q, cu_seqlens_k, causal, scale, out, log_sum_exp,
                         pages] = forward;
            const Tensor dq = Tensor::empty(q.device(), q.shape(), q.dtype());  // (R, H, D)
            const Tensor dk = Tensor::empty(q.device(), k.shape(), q.dtype());  // (M, K, D)
            const Tensor dv = Tensor::empty(q.device(), v.shape(), q.dtype());  // (M, K, D)
            call(q.device(), "attention_backward", &Kernels::attention_backward,
                 {.q = q,
                  .k = k,
                  .v = v,
                  .cu_seqlens_q = cu_seqlens_q,
                  .cu_seqlens_k = cu_seqlens_k,
                  .causal = causal,
                  .scale = scale,
                  .out = out,
                  .log_sum_exp = log_sum_exp,
                  .dout = dout,
                  .dq = dq,
                  .dk = dk,
                  .dv = dv});
            if (q_edge.wanted()) q_edge.add(dq);
            if (k_edge.wanted()) k_edge.add(dk);
            if (v_edge.wanted()) v_edge.add(dv);
        });
}

Tensor paged_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k, const Tensor& pages,
                       double scale) {
    check_attention(q, k, v, cu_seqlens_q, cu_seqlens_k);
    VILA_CHECK(pages.rank() == 2, "[attention] pages of shape ", pages.shape(),
               ": expected (B, W)");
    check_operand("attention", "pages", pages, {cu_seqlens_q.size(0) - 1, pages.size(1)},
                  DType::I32, q.device());
    const ActivityScope scope(q.device(), {"", "attention"});
    AttentionForwardArgs forward = forward_args(q, k, v, cu_seqlens_q, cu_seqlens_k, true, scale);
    forward.pages = pages;
    call(q.device(), "attention_forward", &Kernels::attention_forward, forward);
    return forward.out;
}

Tensor equal_cu_seqlens(Device& device, int64_t count, int64_t length) {
    std::vector<int32_t> cu_seqlens;
    for (int64_t b = 0; b <= count; ++b) cu_seqlens.push_back(static_cast<int32_t>(b * length));
    return Tensor::from_values(device, {count + 1}, cu_seqlens);
}

}  // namespace vila::autograd
