// Attention forward on tensor cores: bf16 with f32 sums (Dao 2023, FlashAttention-2).
//
// Formula   out = softmax(scale q k^T) v inside each sequence; log_sum_exp of the scores
// Mapping   a block of 4 warps owns 64 queries of one head; a warp owns 16 of them, with their sums
//           in registers
// Loop      tiles of 64 keys and values; the next tile is copied while this one is used
// Shared    64 rows of q, two tiles of k and two of v: 5 x 64 x (D + 8) bf16, 87 KB for D = 128

#include "cuda/attention_mma.h"
#include "cuda/kernels.h"
#include "cuda/math.h"

namespace vila::cuda {

namespace {

constexpr int kKeys = 64;          // keys of a tile
constexpr int kTiles = kKeys / 8;  // 16 x 8 tiles of scores per warp

struct ForwardCall {
    HeadRows<BFloat16> q, out;
    KeyRows<BFloat16> k, v;
    float* log_sum_exp;  // (R, H)
    Sequences sequences;
    int64_t H, group, D;
    bool causal;
    float scale_log2;  // scale / ln 2: the hardware computes powers of two
};

// Combines the values of the four lanes of a quad; every lane gets the result.
template <typename Combine>
__device__ inline float quad_reduce(float value, const Combine& combine) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, 1));
    return combine(value, __shfl_xor_sync(kAllLanes, value, 2));
}

// The online softmax of the lane's two rows: the largest score so far, and the lane's part of the
// sum of weights.
struct OnlineSoftmax {
    float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0.0F, 0.0F};
};

// Replaces scores by weights 2^(score - largest), and sets `factor` to the scale of earlier sums,
// 2^(old largest - largest). Row `half` sees the first seen[half] keys of the tile.
__device__ inline void softmax_step(float (&scores)[kTiles][4], const int64_t (&seen)[2],
                                    float scale_log2, OnlineSoftmax& running, float (&factor)[2]) {
    const int column = static_cast<int>(threadIdx.x) % 4 * 2;
    for (int half = 0; half < 2; ++half) {
        float largest = running.largest[half];
        for (int tile = 0; tile < kTiles; ++tile) {
            for (int i = 0; i < 2; ++i) {
                float& score = scores[tile][2 * half + i];
                score = tile * 8 + column + i < seen[half] ? score * scale_log2 : -INFINITY;
                largest = score > largest ? score : largest;
            }
        }
        largest = quad_reduce(largest, [](float a, float b) { return b > a ? b : a; });
        // A row that has seen no key keeps -infinity; computing with it would give NaN.
        const float base = largest == -INFINITY ? 0.0F : largest;
        factor[half] = exp2f(running.largest[half] - base);
        running.largest[half] = largest;
        float total = 0.0F;
        for (int tile = 0; tile < kTiles; ++tile) {
            for (int i = 0; i < 2; ++i) {
                float& weight = scores[tile][2 * half + i];
                weight = exp2f(weight - base);
                total += weight;
            }
        }
        running.total[half] = running.total[half] * factor[half] + total;
    }
}

template <int width>
__global__ void attention_forward_mma_kernel(ForwardCall call) {
    Sequence sequence{};
    int64_t first = 0;
    if (!call.sequences.find(blockIdx.x, false, sequence, first, kMmaRows)) return;
    const int64_t head = blockIdx.y, key_head = head / call.group;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp_row = static_cast<int>(threadIdx.x) / kWarp * 16;
    using Tile = MmaTile<width>;
    auto* memory = shared_array<BFloat16>();
    const Tile q = {memory};
    const auto k = [&](int64_t i) {
        return Tile{memory + Tile::elements(kMmaRows) + Tile::elements(kKeys) * (i % 2)};
    };
    const auto v = [&](int64_t i) { return Tile{k(i).data + 2 * Tile::elements(kKeys)}; };

    const int64_t query = sequence.query_begin + first;
    const int64_t query_end = sequence.query_begin + sequence.queries;
    const int64_t last = first + kMmaRows < sequence.queries ? first + kMmaRows : sequence.queries;
    const int64_t tiles = ceil_div(sequence.visible(last - 1, call.causal), kKeys);
    const auto begin_load = [&](int64_t i) {
        const int64_t row = sequence.key_begin + i * kKeys;
        const int64_t end = sequence.key_begin + sequence.keys;
        if (i < tiles) {
            k(i).begin_load(call.k, row, end, key_head, call.D, kKeys);
            v(i).begin_load(call.v, row, end, key_head, call.D, kKeys);
        }
        ptx::cp_async_commit_group();
    };
    q.begin_load(call.q, query, query_end, head, call.D, kMmaRows);
    begin_load(0);

    float out[width / 8][4] = {};
    OnlineSoftmax running;
    for (int64_t i = 0; i < tiles; ++i) {
        begin_load(i + 1);
        ptx::cp_async_wait_group<1>();
        __syncthreads();  // the copies of tile i and q by all threads are complete
        float scores[kTiles][4];
        multiply_rows(scores, q, warp_row, k(i));
        int64_t seen[2];
        for (int half = 0; half < 2; ++half)
            seen[half] =
                sequence.visible(first + warp_row + lane / 4 + half * 8, call.causal) - i * kKeys;
        // Rows after the last query are limited to existing keys; they are not stored.
        for (int64_t& keys : seen)
            if (keys > sequence.keys - i * kKeys) keys = sequence.keys - i * kKeys;
        float factor[2];
        softmax_step(scores, seen, call.scale_log2, running, factor);
        for (int tile = 0; tile < width / 8; ++tile)
            for (int j = 0; j < 4; ++j) out[tile][j] *= factor[j / 2];
        add_weighted_rows<width>(out, scores, v(i));
        __syncthreads();  // all threads are done reading tile i; tile i + 2 will overwrite it
    }
    ptx::cp_async_wait_group<0>();

    float inverse[2];
    for (int half = 0; half < 2; ++half) {
        const float total =
            quad_reduce(running.total[half], [](float a, float b) { return a + b; });
        const int64_t r = first + warp_row + lane / 4 + half * 8;
        const bool any = r < sequence.queries && sequence.visible(r, call.causal) > 0;
        inverse[half] = any ? 1.0F / total : 0.0F;
        if (lane % 4 == 0 && r < sequence.queries)
            call.log_sum_exp[(sequence.query_begin + r) * call.H + head] =
                any ? running.largest[half] * kLn2 + math::log(total) : -INFINITY;
    }
    store_sums<width>(out, inverse, call.out, query + warp_row, query_end, head, call.D);
}

}  // namespace

bool attention_forward_mma(const AttentionForwardArgs& args) {
    if (!fits_tensor_cores(args.q)) return false;
    CudaDevice& device = device_of(args.q);
    const Tensor q = with_rows_of_16_bytes(args.q), k = with_rows_of_16_bytes(args.k),
                 v = with_rows_of_16_bytes(args.v);
    const AlignedResult out(args.out);
    const int64_t H = args.q.size(1), D = args.q.size(2);
    const ForwardCall call = {.q = HeadRows<BFloat16>(q),
                              .out = HeadRows<BFloat16>(out.rows()),
                              .k = KeyRows<BFloat16>(k, args.pages),
                              .v = KeyRows<BFloat16>(v, args.pages),
                              .log_sum_exp = args.log_sum_exp.data<float>(),
                              .sequences = Sequences(args),
                              .H = H,
                              .group = H / args.k.size(1),
                              .D = D,
                              .causal = args.causal,
                              .scale_log2 = static_cast<float>(args.scale) * kLog2E};
    const bool done = for_width(D, [&](auto width) {
        constexpr int kElements = MmaTile<width.value>::elements(kMmaRows + 4 * kKeys);
        launch(device, attention_forward_mma_kernel<width.value>,
               {call.sequences.max_tiles(false, kMmaRows), H}, {kAttentionThreads},
               kElements * sizeof(BFloat16), call);
    });
    VILA_ASSERT(done);
    out.finish();
    return true;
}

}  // namespace vila::cuda
