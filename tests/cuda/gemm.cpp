// Matrix products of the CUDA device: by cuBLASLt (emulated) and by gemm_tiled.

#include <gtest/gtest.h>

#include "cuda/gemm.h"
#include "cuda/gemm_cublas.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "tests/cuda/emulation/cublas_lt.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using cuda::BatchedGemm;
using cuda::CudaDevice;

// Restores the emulated library at the end of a test.
class CudaGemm : public ::testing::Test {
  protected:
    CudaGemm() : before_(emulation::blas()) {}
    ~CudaGemm() override { emulation::blas() = before_; }

    emulation::Blas& blas() { return emulation::blas(); }

  private:
    emulation::Blas before_;
};

// c (2, 3, m, n) = 0.75 op(a) op(b) [+ c] [+ bias], on operands that are windows of larger tensors.
struct Case {
    int64_t m, n, k;
    DType a, b, c;
    bool transpose_a, transpose_b, accumulate, bias;
    bool odd = false;  // the first element of every operand has an odd offset
};

struct Operands {
    Tensor a, b, c, bias;
    Operands(Device& device, const Case& x) {
        const int64_t skip = x.odd ? 1 : 0;
        const auto window = [&](const char* name, int64_t rows, int64_t columns, DType dtype) {
            const Shape whole = {3, 2, rows + 1, columns + 8};
            return make_tensor(device, {whole, draw_normal(name, whole.numel())}, dtype)
                .transpose(0, 1)
                .slice(2, 1, rows + 1)
                .slice(3, skip, skip + columns);
        };
        a = x.transpose_a ? window("a", x.k, x.m, x.a) : window("a", x.m, x.k, x.a);
        b = x.transpose_b ? window("b", x.n, x.k, x.b) : window("b", x.k, x.n, x.b);
        c = window("c", x.m, x.n, x.c);
        if (x.bias) bias = make_tensor(device, {{x.n}, draw_normal("bias", x.n)}, x.b);
    }

    MatmulArgs args(const Case& x) const {
        return {.a = a,
                .b = b,
                .c = c,
                .transpose_a = x.transpose_a,
                .transpose_b = x.transpose_b,
                .accumulate = x.accumulate,
                .alpha = 0.75,
                .bias = bias};
    }
};

// Returns "" when both implementations agree, else the difference.
std::string compare(const Case& x, int order) {
    GuardedDevice device(order);
    const Operands tiled(device, x), cublas(device, x);
    cuda::gemm_tiled(cuda::device_of(tiled.c), cuda::gemm_problem(tiled.args(x)));
    const int64_t products = emulation::blas().products;
    cuda::matmul(cublas.args(x));
    if (x.a == x.b && x.k > 0 && emulation::blas().products == products)
        return "cuBLASLt was not called";
    const Array expected = to_array(tiled.c.contiguous()), got = to_array(cublas.c.contiguous());
    for (int64_t i = 0; i < expected.shape.numel(); ++i)
        if (!is_close(got[i], expected[i], tolerance(x.c), 10.0))
            return str("element ", i, ": gemm_tiled ", expected[i], ", cuBLASLt ", got[i]);
    return device.damaged() ? "memory outside c was written" : "";
}

std::string describe(const Case& x) {
    return str(x.m, " x ", x.n, " x ", x.k, ", ", x.a, " ", x.b, " ", x.c,
               x.transpose_a ? " T" : " N", x.transpose_b ? "T" : "N", x.accumulate ? " +=" : "",
               x.bias ? " bias" : "", x.odd ? " odd" : "");
}

BatchedGemm small_problem(const Tensor& a, const Tensor& b, const Tensor& c) {
    return cuda::gemm_problem({.a = a, .b = b, .c = c});
}

}  // namespace

TEST_F(CudaGemm, CublasAndTheTiledKernelAgree) {
    constexpr DType kF32 = DType::F32, kBf16 = DType::BF16;
    const DType dtypes[][3] = {{kF32, kF32, kF32}, {kBf16, kBf16, kBf16}, {kBf16, kBf16, kF32}};
    int64_t cases = 0;
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{1, 1, 1}, {1, 40, 33}, {33, 1, 17}, {37, 35, 32}})
        for (const auto& [a, b, c] : dtypes)
            for (const bool transpose_a : {false, true})
                for (const bool transpose_b : {false, true}) {
                    // Every pair of values of accumulate, bias and odd occurs in some case.
                    const bool first = cases % 2 == 0, second = cases / 2 % 2 == 0;
                    const Case x = {
                        m, n, k, a, b, c, transpose_a, transpose_b, first, second, first == second};
                    EXPECT_EQ(compare(x, static_cast<int>(cases++ % 3) + 1), "") << describe(x);
                }
    EXPECT_EQ(compare({5, 7, 0, kF32, kF32, kF32, false, false, true, true}, 1), "");
    EXPECT_EQ(compare({34, 33, 35, kF32, kBf16, kBf16, true, false, true, false}, 3), "");
}

TEST_F(CudaGemm, PlansAProductOnceAndAllocatesNothingWhenWarm) {
    CudaDevice device(0);
    const Tensor a = Tensor::full(device, {8, 16}, DType::BF16, 1.0);
    const Tensor b = Tensor::full(device, {16, 24}, DType::BF16, 0.5);
    const Tensor c = Tensor::empty(device, {8, 24}, DType::BF16);
    const Tensor bias = Tensor::full(device, {24}, DType::BF16, 2.0);
    const auto multiply = [&] { cuda::matmul({.a = a, .b = b, .c = c, .bias = bias}); };
    multiply();
    const int64_t heuristics = blas().heuristics, allocations = emulation::machine().allocations;
    for (int i = 0; i < 5; ++i) multiply();
    EXPECT_EQ(blas().heuristics, heuristics);
    EXPECT_EQ(emulation::machine().allocations, allocations);
    EXPECT_EQ(device.cublas()->plans(), 1);
    EXPECT_EQ(c.to_vector<float>(), std::vector<float>(8 * 24, 10.0F));
    // An address of a different alignment needs a plan of its own.
    cuda::matmul({.a = a, .b = b.slice(1, 1, 9), .c = c.slice(1, 1, 9)});
    EXPECT_EQ(device.cublas()->plans(), 2);
}

TEST_F(CudaGemm, CublasComputesEpilogues) {
    GuardedDevice guarded;
    Device& device = guarded;
    const auto matrix = [&](const char* name, int64_t rows, int64_t columns, DType dtype) {
        return make_tensor(device, {{rows, columns}, draw_normal(name, rows * columns)}, dtype);
    };
    struct Epilogue {
        int64_t n;
        DType dtype;
        bool residual;
        std::optional<GeluKind> gelu;
        bool has_aux;
        int64_t residuals, gelus;  // computed by cuBLASLt
    };
    const Epilogue cases[] = {
        {24, DType::F32, true, {}, false, 1, 0},
        {23, DType::BF16, true, {}, false, 1, 0},
        {24, DType::BF16, false, GeluKind::Tanh, true, 0, 1},
        {24, DType::BF16, true, GeluKind::Tanh, true, 1, 1},
        {23, DType::BF16, false, GeluKind::Tanh, false, 0, 1},
        {23, DType::BF16, false, GeluKind::Tanh, true, 0, 0},  // rows are not a multiple of 8
        {24, DType::BF16, false, GeluKind::Erf, true, 0, 0},   // not supported by cuBLASLt
        {24, DType::F32, false, GeluKind::Tanh, true, 0, 0},   // cuBLASLt is less precise than f32
    };
    for (const Epilogue& x : cases) {
        const Tensor a = matrix("a", 5, 16, x.dtype), b = matrix("b", x.n, 16, x.dtype);
        const Tensor residual = matrix("residual", 5, x.n, x.dtype);
        const Tensor bias = matrix("bias", 1, x.n, x.dtype).reshape({x.n});
        const Tensor c = Tensor::empty(device, {5, x.n}, x.dtype);
        const Tensor before = Tensor::empty(device, {5, x.n}, x.dtype);
        const emulation::Blas start = blas();
        cuda::matmul({.a = a,
                      .b = b,
                      .c = c,
                      .transpose_b = true,
                      .bias = bias,
                      .residual = x.residual ? residual : Tensor(),
                      .gelu = x.gelu,
                      .pre_activation = x.has_aux ? before : Tensor()});
        const std::string what = str(x.n, " ", x.dtype, x.residual ? " residual" : "",
                                     x.gelu ? " gelu" : "", x.has_aux ? " aux" : "");
        EXPECT_EQ(blas().residuals - start.residuals, x.residuals) << what;
        EXPECT_EQ(blas().gelus - start.gelus, x.gelus) << what;
        EXPECT_EQ(blas().products - start.products, 1) << what;
        // The expected result, computed in f32.
        const Tensor exact = Tensor::empty(device, {5, x.n}, DType::F32);
        cuda::gemm_tiled(cuda::device_of(a), cuda::gemm_problem({.a = a.to(DType::F32),
                                                                 .b = b.to(DType::F32),
                                                                 .c = exact,
                                                                 .transpose_b = true,
                                                                 .bias = bias.to(DType::F32)}));
        if (x.residual) cuda::add({.a = exact, .b = residual.to(DType::F32), .y = exact});
        const auto expect_near = [&](const Tensor& got) {
            const Array expected = to_array(exact), values = to_array(got);
            // In bf16 without a fused epilogue the product is rounded before the epilogue.
            const Tolerance allowed =
                x.dtype == DType::BF16 ? Tolerance{0x1p-7, 0x1p-8} : tolerance(x.dtype);
            for (int64_t i = 0; i < expected.shape.numel(); ++i)
                EXPECT_TRUE(is_close(values[i], expected[i], allowed, scale_of(expected.values)))
                    << what << ", element " << i << ": " << values[i] << ", " << expected[i];
        };
        if (x.has_aux) expect_near(before);
        if (x.gelu) cuda::gelu_forward({.x = exact, .kind = *x.gelu, .y = exact});
        expect_near(c);
    }
    EXPECT_FALSE(guarded.damaged());
}

TEST_F(CudaGemm, UsesTf32OnlyWhenAllowed) {
    CudaDevice device(0);
    const Tensor a = Tensor::full(device, {8, 16}, DType::F32, 1.0);
    const Tensor c = Tensor::empty(device, {8, 8}, DType::F32);
    const auto multiply = [&] { cuda::matmul({.a = a, .b = a, .c = c, .transpose_b = true}); };
    multiply();
    EXPECT_EQ(blas().tf32_products, 0);
    device.options.allow_tf32 = true;
    multiply();
    EXPECT_EQ(blas().tf32_products, 1);
}

TEST_F(CudaGemm, WarnsOnceWhenCublasIsMissing) {
    blas().installed = false;
    CudaDevice device(0);
    std::vector<std::string> warnings;
    device.options.warn = [&](const std::string& message) { warnings.push_back(message); };
    const Tensor a = Tensor::full(device, {3, 4}, DType::F32, 1.0);
    const Tensor c = Tensor::empty(device, {3, 3}, DType::F32);
    EXPECT_EQ(device.name(), "cuda:0 emulated GPU");
    for (int i = 0; i < 3; ++i) {
        cuda::matmul({.a = a, .b = a, .c = c, .transpose_b = true});
        EXPECT_EQ(c.to_vector<float>(), std::vector<float>(9, 4.0F));
    }
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_EQ(warnings[0],
              "cuda:0 emulated GPU: cuBLASLt was not found (looked for nothing); matrix products "
              "run on a plain kernel, many times slower");
    EXPECT_EQ(device.name(), "cuda:0 emulated GPU without cuBLASLt");
}

TEST_F(CudaGemm, WarnsOnceWhenCublasHasNoAlgorithm) {
    blas().has_algorithms = false;
    CudaDevice device(0);
    std::vector<std::string> warnings;
    device.options.warn = [&](const std::string& message) { warnings.push_back(message); };
    const Tensor a = Tensor::full(device, {3, 4}, DType::F32, 1.0);
    const Tensor b = Tensor::full(device, {4, 2}, DType::F32, 1.0);
    const Tensor c = Tensor::empty(device, {3, 2}, DType::F32);
    for (int i = 0; i < 3; ++i) {
        cuda::gemm(device, small_problem(a, b, c));
        EXPECT_EQ(c.to_vector<float>(), std::vector<float>(6, 4.0F));
    }
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_EQ(
        warnings[0],
        "cuda:0 emulated GPU: [matmul] cuBLASLt has no algorithm for (3, 4) x (4, 2) in f32; a "
        "plain kernel computes it, many times slower");
}

}  // namespace vila::testing
