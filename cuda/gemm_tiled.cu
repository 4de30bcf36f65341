// A plain tiled matrix product: the reference for faster ones, and the fallback without cuBLASLt.
//
// Formula   c(i, j) = alpha * sum over p of a(i, p) b(p, j) [+ c(i, j)] [+ bias(j)]
//           The sum is taken in order, on three levels: the 32 terms of a tile, 32 tiles (a chunk),
//           and all chunks. So a sum over a vocabulary loses no more digits than one over a hundred
//           terms
// Mapping   a block owns 32 x 32 elements of c, each of its 64 threads 4 x 4 of them
// Loop      loads 32 columns of a and 32 rows of b to shared memory; every element is used 32 times
// Shared    2 x 32 x 33 elements, 8448 bytes in f32; the odd row stride puts the elements of a
//           column in different banks

#include "cuda/gemm.h"
#include "cuda/launch.h"
#include "cuda/number.h"
#include "cuda/shared.h"

namespace vila::cuda {

namespace {

constexpr int kTile = 32;  // rows and columns of c, and columns of a, per tile
constexpr int kGrid = 8;   // a block is a grid of 8 x 8 threads
constexpr int kThreads = kGrid * kGrid;
constexpr int kEach = kTile / kGrid;  // rows and columns of c per thread

template <typename Compute>
struct GemmTiles {
    Compute a[kTile][kTile + 1];  // a(i, p)
    Compute b[kTile][kTile + 1];  // b(p, j)
};

// A BatchedGemm as kernel arguments.
template <typename A, typename B, typename C>
struct GemmCall {
    int64_t m, n, k;
    const A* a;
    const B* b;
    C* c;
    int64_t a_row_stride, a_column_stride, b_row_stride, b_column_stride, c_row_stride;
    bool accumulate;
    compute_t<A> alpha;
    const A* bias_a;  // the bias, if any, is one of these two, according to its dtype
    const B* bias_b;
    BatchAxes batch;
};

// Loads a tile of a matrix to shared memory, with zeros outside the matrix. Consecutive threads
// read along the axis that is contiguous in memory.
template <typename T, typename Compute>
__device__ void load_tile(const T* matrix, int64_t rows, int64_t columns, int64_t row_stride,
                          int64_t column_stride, int64_t first_row, int64_t first_column,
                          Compute (*tile)[kTile + 1]) {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kTile; i += kThreads) {
        const int slow = i / kTile, fast = i % kTile;
        const int row = column_stride == 1 ? slow : fast, column = column_stride == 1 ? fast : slow;
        const bool inside = first_row + row < rows && first_column + column < columns;
        tile[row][column] =
            inside ? static_cast<Compute>(widen(matrix[(first_row + row) * row_stride +
                                                       (first_column + column) * column_stride]))
                   : Compute(0);
    }
}

template <typename A, typename B, typename C>
__global__ void gemm_tiled_kernel(GemmCall<A, B, C> call) {
    using Compute = compute_t<A>;
    GemmTiles<Compute>& tiles = shared_memory<GemmTiles<Compute>>();
    int64_t rest = blockIdx.z;
    for (int axis = 0; axis < call.batch.rank; ++axis) {
        const int64_t index = rest % call.batch.extent[axis];
        rest /= call.batch.extent[axis];
        call.a += index * call.batch.a[axis];
        call.b += index * call.batch.b[axis];
        call.c += index * call.batch.c[axis];
    }
    const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kTile;
    const int64_t first_column = static_cast<int64_t>(blockIdx.y) * kTile;
    // The rows and columns of a thread are kGrid apart, so that consecutive threads read
    // consecutive columns.
    const int thread_row = static_cast<int>(threadIdx.x) / kGrid;
    const int thread_column = static_cast<int>(threadIdx.x) % kGrid;

    Compute sum[kEach][kEach] = {}, chunk_sum[kEach][kEach] = {};
    for (int64_t k = 0; k < call.k; k += kTile) {
        load_tile(call.a, call.m, call.k, call.a_row_stride, call.a_column_stride, first_row, k,
                  tiles.a);
        load_tile(call.b, call.k, call.n, call.b_row_stride, call.b_column_stride, k, first_column,
                  tiles.b);
        __syncthreads();  // the tiles are complete
        const int depth = call.k - k < kTile ? static_cast<int>(call.k - k) : kTile;
        Compute tile_sum[kEach][kEach] = {};
        for (int p = 0; p < depth; ++p) {
            for (int i = 0; i < kEach; ++i) {
                const Compute a = tiles.a[thread_row + i * kGrid][p];
                for (int j = 0; j < kEach; ++j)
                    tile_sum[i][j] += a * tiles.b[p][thread_column + j * kGrid];
            }
        }
        const bool chunk_ends = k / kTile % kTile == kTile - 1 || k + kTile >= call.k;
        for (int i = 0; i < kEach; ++i) {
            for (int j = 0; j < kEach; ++j) {
                chunk_sum[i][j] += tile_sum[i][j];
                if (!chunk_ends) continue;
                sum[i][j] += chunk_sum[i][j];
                chunk_sum[i][j] = 0;
            }
        }
        __syncthreads();  // all threads are done reading the tiles
    }
    for (int i = 0; i < kEach; ++i) {
        const int64_t row = first_row + thread_row + i * kGrid;
        for (int j = 0; j < kEach; ++j) {
            const int64_t column = first_column + thread_column + j * kGrid;
            if (row >= call.m || column >= call.n) continue;
            C& c = call.c[row * call.c_row_stride + column];
            Compute total = sum[i][j] * call.alpha;
            if (call.accumulate) total += static_cast<Compute>(widen(c));
            if (call.bias_a != nullptr) total += static_cast<Compute>(widen(call.bias_a[column]));
            if (call.bias_b != nullptr) total += static_cast<Compute>(widen(call.bias_b[column]));
            c = narrow<C>(total);
        }
    }
}

template <typename A, typename B, typename C>
void run(CudaDevice& device, const BatchedGemm& problem) {
    const bool bias_has_dtype_of_a = problem.bias_dtype == dtype_of<A>;
    const GemmCall<A, B, C> call = {
        .m = problem.m,
        .n = problem.n,
        .k = problem.k,
        .a = static_cast<const A*>(problem.a.data),
        .b = static_cast<const B*>(problem.b.data),
        .c = static_cast<C*>(problem.c),
        .a_row_stride = problem.a.row_stride,
        .a_column_stride = problem.a.column_stride,
        .b_row_stride = problem.b.row_stride,
        .b_column_stride = problem.b.column_stride,
        .c_row_stride = problem.c_row_stride,
        .accumulate = problem.accumulate,
        .alpha = static_cast<compute_t<A>>(problem.alpha),
        .bias_a = bias_has_dtype_of_a ? static_cast<const A*>(problem.bias) : nullptr,
        .bias_b = bias_has_dtype_of_a ? nullptr : static_cast<const B*>(problem.bias),
        .batch = problem.batch};
    launch(device, gemm_tiled_kernel<A, B, C>,
           {ceil_div(problem.m, kTile), ceil_div(problem.n, kTile), problem.batch.count()},
           {kThreads}, sizeof(GemmTiles<compute_t<A>>), call);
}

template <typename A, typename B>
void run_for_c(CudaDevice& device, const BatchedGemm& problem) {
    if (problem.c_dtype == DType::F32) return run<A, B, float>(device, problem);
    VILA_ASSERT(problem.c_dtype == dtype_of<B>);
    run<A, B, B>(device, problem);
}

}  // namespace

void gemm_tiled(CudaDevice& device, const BatchedGemm& problem) {
    const DType a = problem.a.dtype, b = problem.b.dtype;
    if (a == DType::F64 && b == DType::F64) return run_for_c<double, double>(device, problem);
    if (a == DType::F32 && b == DType::F32) return run_for_c<float, float>(device, problem);
    if (a == DType::F32 && b == DType::BF16) return run_for_c<float, BFloat16>(device, problem);
    VILA_CHECK(a == DType::BF16 && b == DType::BF16, "[matmul] dtypes ", a, " and ", b,
               ": expected f32, bf16 or f64");
    run_for_c<BFloat16, BFloat16>(device, problem);
}

}  // namespace vila::cuda
