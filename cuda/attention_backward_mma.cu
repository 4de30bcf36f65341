// Attention backward on tensor cores: bf16 with f32 sums. As in attention_backward.cu, one kernel
// computes dq and one dk and dv, so that no two blocks add to the same element.
//
// Formula   p = exp(scale q k^T - log_sum_exp), delta = <dout, out>
//           ds = scale p (dout v^T - delta)
//           dq = ds k, dk = ds^T q, dv = p^T dout
// Mapping   dq: a block of 4 warps owns 64 queries of a head
//           dk, dv: a block owns 64 keys of a key head and loops over all query heads that share it
//           a warp owns 16 rows of the block, with their sums in registers
// Loop      tiles of 32 rows of the other two tensors; the next tile is copied while this one is
//           used
// Shared    64 rows of the two tensors that the block owns, and two tiles of 32 rows of each of the
//           other two: 256 x (D + 8) bf16, 70 KB for D = 128

#include "cuda/attention_mma.h"
#include "cuda/kernels.h"
#include "cuda/math.h"

namespace vila::cuda {

namespace {

constexpr int kOther = 32;          // rows of a tile of the other tensors
constexpr int kTiles = kOther / 8;  // 16 x 8 tiles of scores per warp

struct BackwardCall {
    HeadRows<BFloat16> q, k, v, out, dout, dq, dk, dv;
    const float* log_sum_exp;  // (R, H)
    float* delta;              // (R, H)
    Sequences sequences;
    int64_t H, group, D;
    bool causal;
    float scale;
};

// delta (R, H) = <dout, out>. One warp per row and head.
struct Delta {
    BackwardCall call;

    __device__ void operator()(int64_t item, int lane) const {
        const BFloat16* a = call.dout(item / call.H, item % call.H);
        const BFloat16* b = call.out(item / call.H, item % call.H);
        const auto sum =
            row_sum<float>(call.D, lane, [a, b](int64_t d) { return widen(a[d]) * widen(b[d]); });
        if (lane == 0) call.delta[item] = sum;
    }
};

// The tiles in shared memory: two that the block owns, and two buffers for each of the other two
// tensors.
template <int width>
struct Tiles {
    using Tile = MmaTile<width>;
    BFloat16* memory;

    __device__ Tile own(int which) const { return {memory + which * Tile::elements(kMmaRows)}; }
    __device__ Tile other(int which, int64_t i) const {
        return {memory + Tile::elements(2 * kMmaRows) +
                (i % 2 * 2 + which) * Tile::elements(kOther)};
    }
    static constexpr size_t bytes() {
        return Tile::elements(2 * kMmaRows + 4 * kOther) * sizeof(BFloat16);
    }
};

template <int width>
__global__ void attention_dq_mma_kernel(BackwardCall call) {
    Sequence sequence{};
    int64_t first = 0;
    if (!call.sequences.find(blockIdx.x, false, sequence, first, kMmaRows)) return;
    const int64_t head = blockIdx.y, key_head = head / call.group, D = call.D;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp_row = static_cast<int>(threadIdx.x) / kWarp * 16;
    const Tiles<width> shared = {shared_array<BFloat16>()};

    const int64_t query = sequence.query_begin + first;
    const int64_t query_end = sequence.query_begin + sequence.queries;
    const int64_t last = first + kMmaRows < sequence.queries ? first + kMmaRows : sequence.queries;
    const int64_t tiles = ceil_div(sequence.visible(last - 1, call.causal), kOther);
    const auto begin_load = [&](int64_t i) {
        const int64_t row = sequence.key_begin + i * kOther;
        const int64_t end = sequence.key_begin + sequence.keys;
        if (i < tiles) {
            shared.other(0, i).begin_load(call.k, row, end, key_head, D, kOther);
            shared.other(1, i).begin_load(call.v, row, end, key_head, D, kOther);
        }
        ptx::cp_async_commit_group();
    };
    shared.own(0).begin_load(call.q, query, query_end, head, D, kMmaRows);
    shared.own(1).begin_load(call.dout, query, query_end, head, D, kMmaRows);
    begin_load(0);

    // One value for each of the lane's two rows.
    float log_sum_exp[2], delta[2];
    int64_t visible[2];
    for (int half = 0; half < 2; ++half) {
        const int64_t r = first + warp_row + lane / 4 + half * 8;
        const bool exists = r < sequence.queries;
        const int64_t at = (sequence.query_begin + r) * call.H + head;
        visible[half] = exists ? sequence.visible(r, call.causal) : 0;
        log_sum_exp[half] = exists ? call.log_sum_exp[at] : 0.0F;
        delta[half] = exists ? call.delta[at] : 0.0F;
    }
    float dq[width / 8][4] = {};
    for (int64_t i = 0; i < tiles; ++i) {
        begin_load(i + 1);
        ptx::cp_async_wait_group<1>();
        __syncthreads();  // the copies of tile i, q and dout by all threads are complete
        float scores[kTiles][4], dp[kTiles][4];
        multiply_rows(scores, shared.own(0), warp_row, shared.other(0, i));
        multiply_rows(dp, shared.own(1), warp_row, shared.other(1, i));
        for (int tile = 0; tile < kTiles; ++tile) {
            for (int j = 0; j < 4; ++j) {
                const int half = j / 2;
                const bool seen = i * kOther + tile * 8 + lane % 4 * 2 + j % 2 < visible[half];
                const float p = math::exp(call.scale * scores[tile][j] - log_sum_exp[half]);
                scores[tile][j] = seen ? call.scale * p * (dp[tile][j] - delta[half]) : 0.0F;
            }
        }
        add_weighted_rows<width>(dq, scores, shared.other(0, i));
        __syncthreads();  // all threads are done reading tile i; tile i + 2 will overwrite it
    }
    ptx::cp_async_wait_group<0>();
    store_sums<width>(dq, {1.0F, 1.0F}, call.dq, query + warp_row, query_end, head, D);
}

template <int width>
__global__ void attention_dkv_mma_kernel(BackwardCall call) {
    Sequence sequence{};
    int64_t first = 0;
    if (!call.sequences.find(blockIdx.x, true, sequence, first, kMmaRows)) return;
    const int64_t key_head = blockIdx.y, D = call.D;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp_row = static_cast<int>(threadIdx.x) / kWarp * 16;
    const Tiles<width> shared = {shared_array<BFloat16>()};

    const int64_t key = sequence.key_begin + first, key_end = sequence.key_begin + sequence.keys;
    // The first query that sees the block's first key. Earlier queries see no key of the block.
    // Tiles of queries are numbered through all heads of the group.
    const int64_t sees = call.causal ? first + sequence.queries - sequence.keys : 0;
    const int64_t query_begin = sees < 0 ? 0 : sees;
    const int64_t tiles_of_head =
        query_begin < sequence.queries ? ceil_div(sequence.queries - query_begin, kOther) : 0;
    const int64_t tiles = tiles_of_head * call.group;
    const auto head_of = [&](int64_t i) { return key_head * call.group + i / tiles_of_head; };
    const auto query_of = [&](int64_t i) { return query_begin + i % tiles_of_head * kOther; };
    const auto begin_load = [&](int64_t i) {
        const int64_t end = sequence.query_begin + sequence.queries;
        if (i < tiles) {
            const int64_t row = sequence.query_begin + query_of(i);
            shared.other(0, i).begin_load(call.q, row, end, head_of(i), D, kOther);
            shared.other(1, i).begin_load(call.dout, row, end, head_of(i), D, kOther);
        }
        ptx::cp_async_commit_group();
    };
    shared.own(0).begin_load(call.k, key, key_end, key_head, D, kMmaRows);
    shared.own(1).begin_load(call.v, key, key_end, key_head, D, kMmaRows);
    begin_load(0);

    float dk[width / 8][4] = {}, dv[width / 8][4] = {};
    for (int64_t i = 0; i < tiles; ++i) {
        begin_load(i + 1);
        ptx::cp_async_wait_group<1>();
        __syncthreads();  // the copies of tile i, k and v by all threads are complete
        // Rows are keys, columns are queries.
        float weights[kTiles][4], dp[kTiles][4];
        multiply_rows(weights, shared.own(0), warp_row, shared.other(0, i));
        multiply_rows(dp, shared.own(1), warp_row, shared.other(1, i));
        for (int tile = 0; tile < kTiles; ++tile) {
            for (int j = 0; j < 4; ++j) {
                const int64_t r = query_of(i) + tile * 8 + lane % 4 * 2 + j % 2;
                const int64_t row_key = first + warp_row + lane / 4 + j / 2 * 8;
                float p = 0.0F, ds = 0.0F;
                if (r < sequence.queries && row_key < sequence.visible(r, call.causal)) {
                    const int64_t at = (sequence.query_begin + r) * call.H + head_of(i);
                    p = math::exp(call.scale * weights[tile][j] - call.log_sum_exp[at]);
                    ds = call.scale * p * (dp[tile][j] - call.delta[at]);
                }
                weights[tile][j] = p;
                dp[tile][j] = ds;
            }
        }
        add_weighted_rows<width>(dv, weights, shared.other(1, i));
        add_weighted_rows<width>(dk, dp, shared.other(0, i));
        __syncthreads();  // all threads are done reading tile i; tile i + 2 will overwrite it
    }
    ptx::cp_async_wait_group<0>();
    store_sums<width>(dk, {1.0F, 1.0F}, call.dk, key + warp_row, key_end, key_head, D);
    store_sums<width>(dv, {1.0F, 1.0F}, call.dv, key + warp_row, key_end, key_head, D);
}

}  // namespace

bool attention_backward_mma(const AttentionBackwardArgs& args) {
    if (!fits_tensor_cores(args.q)) return false;
    CudaDevice& device = device_of(args.q);
    const Tensor q = with_rows_of_16_bytes(args.q), k = with_rows_of_16_bytes(args.k),
                 v = with_rows_of_16_bytes(args.v), dout = with_rows_of_16_bytes(args.dout);
    const AlignedResult dq(args.dq), dk(args.dk), dv(args.dv);
    const int64_t R = args.q.size(0), H = args.q.size(1), D = args.q.size(2), K = args.k.size(1);
    const Tensor delta = Tensor::empty(device, {R, H}, DType::F32);
    const BackwardCall call = {
        .q = HeadRows<BFloat16>(q),
        .k = HeadRows<BFloat16>(k),
        .v = HeadRows<BFloat16>(v),
        .out = HeadRows<BFloat16>(args.out),
        .dout = HeadRows<BFloat16>(dout),
        .dq = HeadRows<BFloat16>(dq.rows()),
        .dk = HeadRows<BFloat16>(dk.rows()),
        .dv = HeadRows<BFloat16>(dv.rows()),
        .log_sum_exp = args.log_sum_exp.data<float>(),
        .delta = delta.data<float>(),
        .sequences = Sequences(args.cu_seqlens_q, args.cu_seqlens_k, R, args.k.size(0)),
        .H = H,
        .group = H / K,
        .D = D,
        .causal = args.causal,
        .scale = static_cast<float>(args.scale)};
    const bool done = for_width(D, [&](auto width) {
        for_rows(device, R * H, Delta{call});
        launch(device, attention_dq_mma_kernel<width.value>,
               {call.sequences.max_tiles(false, kMmaRows), H}, {kAttentionThreads},
               Tiles<width.value>::bytes(), call);
        launch(device, attention_dkv_mma_kernel<width.value>,
               {call.sequences.max_tiles(true, kMmaRows), K}, {kAttentionThreads},
               Tiles<width.value>::bytes(), call);
    });
    VILA_ASSERT(done);
    for (const AlignedResult* result : {&dq, &dk, &dv}) result->finish();
    return true;
}

}  // namespace vila::cuda
