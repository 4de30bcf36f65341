// Attention backward. The probabilities are computed again from the scores and log_sum_exp. dq is a
// sum over keys, dk and dv are sums over queries: two kernels, so that no two blocks add to the
// same element.
//
// Formula   p = exp(scale q k^T - log_sum_exp), delta = <dout, out>
//           ds = scale p (dout v^T - delta)
//           dq = ds k, dk = ds^T q, dv = p^T dout
// Mapping   dq: a block owns 32 queries of a head
//           dk, dv: a block owns 32 keys of a key head and loops over all query heads that share it
//           a warp owns 8 rows of the block; lane j takes row j of the other tile
// Shared    dq: q, dout, dq, k, v. dk and dv: k, v, dk, dv, q, dout; 6 x 32 x D elements, 97 KB for
//           D = 128. And two rows of weights per warp

#include "cuda/attention.h"
#include "cuda/kernels.h"
#include "cuda/math.h"

namespace vila::cuda {

namespace {

template <typename T>
struct BackwardCall {
    HeadRows<T> q, k, v, out, dout, dq, dk, dv;
    const compute_t<T>* log_sum_exp;  // (R, H)
    compute_t<T>* delta;              // (R, H)
    Sequences sequences;
    int64_t H, group, D;
    bool causal;
    compute_t<T> scale;
};

// delta (R, H) = <dout, out>. One warp per row and head.
template <typename T>
struct Delta {
    BackwardCall<T> call;

    __device__ void operator()(int64_t item, int lane) const {
        const T* a = call.dout(item / call.H, item % call.H);
        const T* b = call.out(item / call.H, item % call.H);
        const auto sum = row_sum<compute_t<T>>(
            call.D, lane, [a, b](int64_t d) { return widen(a[d]) * widen(b[d]); });
        if (lane == 0) call.delta[item] = sum;
    }
};

template <typename T>
__global__ void attention_dq_kernel(BackwardCall<T> call) {
    using Compute = compute_t<T>;
    Sequence sequence{};
    int64_t first = 0;
    if (!call.sequences.find(blockIdx.x, false, sequence, first)) return;
    const int64_t head = blockIdx.y, key_head = head / call.group, D = call.D;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    auto* memory = shared_array<Compute>();
    const SharedTile<Compute> q = {memory, D}, dout = {memory + kTileRows * D, D};
    const SharedTile<Compute> dq = {memory + 2 * kTileRows * D, D};
    const SharedTile<Compute> k = {memory + 3 * kTileRows * D, D + 1};
    const SharedTile<Compute> v = {k.data + kTileRows * (D + 1), D + 1};
    Compute* weights = v.data + kTileRows * (D + 1) + warp * kWarp;

    const int64_t query = sequence.query_begin + first;
    const int64_t query_end = sequence.query_begin + sequence.queries;
    load_rows(call.q, query, query_end, head, D, Compute(1), q);
    load_rows(call.dout, query, query_end, head, D, Compute(1), dout);
    clear_rows(D, dq);
    const int64_t end = first + kTileRows < sequence.queries ? first + kTileRows : sequence.queries;
    const int64_t key_end = sequence.visible(end - 1, call.causal);
    for (int64_t key = 0; key < key_end; key += kTileRows) {
        __syncthreads();  // all threads are done reading the previous tile
        const int64_t row = sequence.key_begin + key, last = sequence.key_begin + sequence.keys;
        load_rows(call.k, row, last, key_head, D, Compute(1), k);
        load_rows(call.v, row, last, key_head, D, Compute(1), v);
        __syncthreads();  // the tile is ready; on the first pass, so are q, dout and dq
        for (int i = 0; i < kRowsPerWarp; ++i) {
            const int64_t r = warp * kRowsPerWarp + i;
            if (first + r >= end) break;
            const int64_t seen = sequence.visible(first + r, call.causal) - key;
            const int64_t keys = seen < kTileRows ? seen : kTileRows;
            if (keys <= 0) continue;
            const int64_t at = (query + r) * call.H + head;
            Compute ds = 0;
            if (lane < keys) {
                const Compute score = call.scale * dot(q.row(r), k.row(lane), D);
                const Compute p = math::exp(score - call.log_sum_exp[at]);
                ds = call.scale * p * (dot(dout.row(r), v.row(lane), D) - call.delta[at]);
            }
            weights[lane] = ds;
            __syncwarp();  // the weights are complete
            add_weighted_rows(weights, keys, k, D, lane, dq.row(r));
            __syncwarp();  // all lanes are done reading the weights
        }
    }
    __syncthreads();  // dq is complete
    store_rows(dq, query, query_end, head, D, call.dq);
}

template <typename T>
__global__ void attention_dkv_kernel(BackwardCall<T> call) {
    using Compute = compute_t<T>;
    Sequence sequence{};
    int64_t first = 0;
    if (!call.sequences.find(blockIdx.x, true, sequence, first)) return;
    const int64_t key_head = blockIdx.y, D = call.D;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    auto* memory = shared_array<Compute>();
    const SharedTile<Compute> k = {memory, D}, v = {memory + kTileRows * D, D};
    const SharedTile<Compute> dk = {memory + 2 * kTileRows * D, D};
    const SharedTile<Compute> dv = {memory + 3 * kTileRows * D, D};
    const SharedTile<Compute> q = {memory + 4 * kTileRows * D, D + 1};
    const SharedTile<Compute> dout = {q.data + kTileRows * (D + 1), D + 1};
    Compute* weights = dout.data + kTileRows * (D + 1) + warp * 2 * kWarp;

    const int64_t key = sequence.key_begin + first, key_end = sequence.key_begin + sequence.keys;
    load_rows(call.k, key, key_end, key_head, D, Compute(1), k);
    load_rows(call.v, key, key_end, key_head, D, Compute(1), v);
    clear_rows(D, dk);
    clear_rows(D, dv);
    // The first query that sees the tile's first key. Earlier queries see no key of the tile.
    const int64_t sees = call.causal ? first + sequence.queries - sequence.keys : 0;
    const int64_t query_begin = sees < 0 ? 0 : sees;
    for (int64_t head = key_head * call.group; head < (key_head + 1) * call.group; ++head) {
        for (int64_t query = query_begin; query < sequence.queries; query += kTileRows) {
            __syncthreads();  // all threads are done reading the previous tile
            const int64_t row = sequence.query_begin + query;
            const int64_t last = sequence.query_begin + sequence.queries;
            load_rows(call.q, row, last, head, D, Compute(1), q);
            load_rows(call.dout, row, last, head, D, Compute(1), dout);
            __syncthreads();  // the tile is ready; on the first pass, so are k, v, dk and dv
            const int64_t left = sequence.queries - query;
            const int64_t queries = left < kTileRows ? left : kTileRows;
            const int64_t at = (row + lane) * call.H + head;
            for (int i = 0; i < kRowsPerWarp; ++i) {
                const int64_t r = warp * kRowsPerWarp + i;
                if (first + r >= sequence.keys) break;
                Compute p = 0, ds = 0;
                if (lane < queries && first + r < sequence.visible(query + lane, call.causal)) {
                    const Compute score = call.scale * dot(k.row(r), q.row(lane), D);
                    p = math::exp(score - call.log_sum_exp[at]);
                    ds = call.scale * p * (dot(v.row(r), dout.row(lane), D) - call.delta[at]);
                }
                weights[lane] = p;
                weights[kWarp + lane] = ds;
                __syncwarp();  // the weights are complete
                add_weighted_rows(weights, queries, dout, D, lane, dv.row(r));
                add_weighted_rows(weights + kWarp, queries, q, D, lane, dk.row(r));
                __syncwarp();  // all lanes are done reading the weights
            }
        }
    }
    __syncthreads();  // dk and dv are complete
    store_rows(dk, key, key_end, key_head, D, call.dk);
    store_rows(dv, key, key_end, key_head, D, call.dv);
}

}  // namespace

void attention_backward(const AttentionBackwardArgs& args) {
    CudaDevice& device = device_of(args.q);
    check_attention_cu_seqlens(device, args.cu_seqlens_q, args.q.size(0),
                               FaultKind::AttentionQueries);
    check_attention_cu_seqlens(device, args.cu_seqlens_k, args.k.size(0), FaultKind::AttentionKeys);
    if (attention_backward_mma(args)) return;
    for_float("attention", args.q.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t R = args.q.size(0), H = args.q.size(1), D = args.q.size(2);
        const int64_t K = args.k.size(1);
        const Tensor delta = Tensor::empty(device, {R, H}, dtype_of<Compute>);
        const Sequences sequences(args.cu_seqlens_q, args.cu_seqlens_k, R, args.k.size(0));
        const BackwardCall<T> call = {HeadRows<T>(args.q),
                                      HeadRows<T>(args.k),
                                      HeadRows<T>(args.v),
                                      HeadRows<T>(args.out),
                                      HeadRows<T>(args.dout),
                                      HeadRows<T>(args.dq),
                                      HeadRows<T>(args.dk),
                                      HeadRows<T>(args.dv),
                                      args.log_sum_exp.data<Compute>(),
                                      delta.data<Compute>(),
                                      sequences,
                                      H,
                                      H / K,
                                      D,
                                      args.causal,
                                      static_cast<Compute>(args.scale)};
        for_rows(device, R * H, Delta<T>{call});
        const auto bytes = [](int64_t elements) {
            return static_cast<size_t>(elements) * sizeof(Compute);
        };
        launch(device, attention_dq_kernel<T>, {sequences.max_tiles(false), H}, {kAttentionThreads},
               bytes(kTileRows * (5 * D + 2) + kAttentionThreads), call);
        launch(device, attention_dkv_kernel<T>, {sequences.max_tiles(true), K}, {kAttentionThreads},
               bytes(kTileRows * (6 * D + 2) + 2 * kAttentionThreads), call);
    });
}

}  // namespace vila::cuda
