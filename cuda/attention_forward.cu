// Attention forward with the running softmax of Milakov and Gimelshein (2018).
//
// Formula   out = softmax(scale q k^T) v inside each sequence; log_sum_exp of the scores
// Mapping   a block owns 32 queries of one head, a warp 8 of them; lane j scores key j of a tile
// Loop      loads tiles of 32 keys and values to shared memory; all 32 queries use them
// Shared    q, k, v, out: 4 x 32 x D elements, and a row of weights per warp; 66 KB for D = 128

#include "cuda/attention.h"
#include "cuda/kernels.h"
#include "cuda/math.h"

namespace vila::cuda {

namespace {

template <typename T>
struct ForwardCall {
    HeadRows<T> q, out;
    KeyRows<T> k, v;
    compute_t<T>* log_sum_exp;  // (R, H)
    Sequences sequences;
    int64_t H, group, D;
    bool causal;
    compute_t<T> scale;
};

// Updates the running maximum, the sum of weights and out of one query with a tile of keys, of
// which it sees the first `keys`.
template <typename Compute>
__device__ void attend(const Compute* q, const SharedTile<Compute>& k, const SharedTile<Compute>& v,
                       int64_t keys, int64_t D, int lane, Compute& largest, Compute& total,
                       Compute* weights, Compute* out) {
    const bool seen = lane < keys;
    const Compute score = seen ? dot(q, k.row(lane), D) : -static_cast<Compute>(INFINITY);
    const Compute before = largest;
    largest = warp_max(score > before ? score : before);
    const Compute p = seen ? math::exp(score - largest) : Compute(0);
    const Compute factor =
        before == -static_cast<Compute>(INFINITY) ? Compute(0) : math::exp(before - largest);
    total = total * factor + warp_sum(p);
    weights[lane] = p;
    __syncwarp();  // the weights are complete
    for (int64_t d = lane; d < D; d += kWarp) out[d] *= factor;
    add_weighted_rows(weights, keys, v, D, lane, out);
    __syncwarp();  // all lanes are done reading the weights
}

template <typename T>
__global__ void attention_forward_kernel(ForwardCall<T> call) {
    using Compute = compute_t<T>;
    Sequence sequence{};
    int64_t first = 0;
    if (!call.sequences.find(blockIdx.x, false, sequence, first)) return;
    const int64_t head = blockIdx.y, key_head = head / call.group, D = call.D;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    auto* memory = shared_array<Compute>();
    const SharedTile<Compute> q = {memory, D}, out = {memory + kTileRows * D, D};
    const SharedTile<Compute> v = {memory + 2 * kTileRows * D, D};
    const SharedTile<Compute> k = {memory + 3 * kTileRows * D, D + 1};
    Compute* weights = memory + kTileRows * (4 * D + 1) + warp * kWarp;

    load_rows(call.q, sequence.query_begin + first, sequence.query_begin + sequence.queries, head,
              D, call.scale, q);
    clear_rows(D, out);
    Compute largest[kRowsPerWarp], total[kRowsPerWarp];
    for (int i = 0; i < kRowsPerWarp; ++i) {
        largest[i] = -static_cast<Compute>(INFINITY);
        total[i] = 0;
    }
    const int64_t end = first + kTileRows < sequence.queries ? first + kTileRows : sequence.queries;
    const int64_t key_end = sequence.visible(end - 1, call.causal);
    for (int64_t key = 0; key < key_end; key += kTileRows) {
        __syncthreads();  // all threads are done reading the previous tile
        const int64_t row = sequence.key_begin + key, last = sequence.key_begin + sequence.keys;
        load_rows(call.k, row, last, key_head, D, Compute(1), k);
        load_rows(call.v, row, last, key_head, D, Compute(1), v);
        __syncthreads();  // the tile is ready; on the first pass, so are q and out
        for (int i = 0; i < kRowsPerWarp; ++i) {
            const int64_t r = warp * kRowsPerWarp + i;
            if (first + r >= end) break;
            const int64_t keys = sequence.visible(first + r, call.causal) - key;
            if (keys > 0)
                attend(q.row(r), k, v, keys < kTileRows ? keys : kTileRows, D, lane, largest[i],
                       total[i], weights, out.row(r));
        }
    }
    __syncthreads();  // out is cleared, even where no key was visible
    for (int i = 0; i < kRowsPerWarp; ++i) {
        const int64_t r = warp * kRowsPerWarp + i;
        if (first + r >= end) break;
        const int64_t row = sequence.query_begin + first + r;
        const bool any = sequence.visible(first + r, call.causal) > 0;
        for (int64_t d = lane; d < D; d += kWarp)
            call.out(row, head)[d] = narrow<T>(any ? out.row(r)[d] / total[i] : Compute(0));
        if (lane == 0)
            call.log_sum_exp[row * call.H + head] =
                any ? largest[i] + math::log(total[i]) : -static_cast<Compute>(INFINITY);
    }
}

}  // namespace

void attention_forward(const AttentionForwardArgs& args) {
    CudaDevice& device = device_of(args.q);
    check_attention_cu_seqlens(device, args.cu_seqlens_q, args.q.size(0),
                               FaultKind::AttentionQueries);
    check_cu_seqlens(device, args.cu_seqlens_k, Sequences::key_limit(args),
                     FaultKind::AttentionEnds, FaultKind::AttentionOrder);
    if (attention_forward_mma(args)) return;
    for_float("attention", args.q.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t H = args.q.size(1), D = args.q.size(2);
        const Sequences sequences(args);
        const ForwardCall<T> call = {HeadRows<T>(args.q),
                                     HeadRows<T>(args.out),
                                     KeyRows<T>(args.k, args.pages),
                                     KeyRows<T>(args.v, args.pages),
                                     args.log_sum_exp.data<Compute>(),
                                     sequences,
                                     H,
                                     H / args.k.size(1),
                                     D,
                                     args.causal,
                                     static_cast<Compute>(args.scale)};
        const int64_t elements = kTileRows * (4 * D + 1) + kAttentionThreads;
        launch(device, attention_forward_kernel<T>, {sequences.max_tiles(false), H},
               {kAttentionThreads}, static_cast<size_t>(elements) * sizeof(Compute), call);
    });
}

}  // namespace vila::cuda
