// Compares the blocked matrix product, and the one for few rows, with loops in f64, for every set
// of kernels that this processor can run, also those that the dispatcher does not choose. The rows
// of operands are longer than their matrix, so that writes beside c are detected.

#include "tensor/cpu/gemm/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/random.h"

namespace vila::cpu_kernels {

namespace {

constexpr DType F32 = DType::F32, BF16 = DType::BF16;

struct NamedKernels {
    std::string name;
    GemmKernels kernels;
};

std::vector<NamedKernels> all_kernels() {
    std::vector<NamedKernels> all = {{"portable", gemm_kernels_portable()}};
#if defined(__x86_64__)
    if (detect_isa() >= Isa::Avx2) all.push_back({"avx2", gemm_kernels_avx2()});
    if (detect_isa() >= Isa::Avx512) all.push_back({"avx512", gemm_kernels_avx512()});
    if (detect_isa() >= Isa::Avx512Bf16) all.push_back({"avx512_bf16", gemm_kernels_avx512_bf16()});
    if (detect_isa() >= Isa::Amx) all.push_back({"amx", gemm_kernels_amx()});
#endif
    return all;
}

// A matrix of random numbers in rows longer than needed, in f32 or bf16, and its values.
struct Matrix {
    Matrix(int64_t rows, int64_t columns, DType dtype, uint64_t key)
        : row(columns + 3), dtype(dtype), values(static_cast<size_t>(rows * row)) {
        for (size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<float>(random_normal(key, i));
            if (dtype == DType::BF16) values[i] = static_cast<float>(BFloat16(values[i]));
        }
        round_to_bf16();
    }
    void round_to_bf16() {
        bf16.clear();
        for (const float value : values) bf16.emplace_back(value);
    }
    void* data() {
        return dtype == DType::F32 ? static_cast<void*>(values.data())
                                   : static_cast<void*>(bf16.data());
    }
    // Returns the matrix as an operand, transposed or not.
    MatrixView view(bool transpose) {
        return {data(), transpose ? 1 : row, transpose ? row : 1, dtype};
    }
    double at(int64_t i, int64_t j, bool transpose) const {
        return values[static_cast<size_t>(transpose ? j * row + i : i * row + j)];
    }

    int64_t row;
    DType dtype;
    std::vector<float> values;
    std::vector<BFloat16> bf16;
};

struct Case {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
    DType a, b, c;  // and of the bias, that of b
    bool accumulate, bias;
    float alpha;

    std::string text() const {
        return str(m, " x ", n, " x ", k, " ", transpose_a ? "T" : "N", transpose_b ? "T" : "N",
                   " ", a, " ", b, " to ", c, accumulate ? " accumulate" : "", bias ? " bias" : "",
                   " alpha ", alpha);
    }
};

// A case with its operands, expected result and permitted error per element of c.
struct Experiment {
    explicit Experiment(const Case& c)
        : what(c),
          a(c.transpose_a ? c.k : c.m, c.transpose_a ? c.m : c.k, c.a, 1),
          b(c.transpose_b ? c.n : c.k, c.transpose_b ? c.k : c.n, c.b, 2),
          bias(1, c.n, c.b, 3),
          before(c.m, c.n, c.c, 4) {
        const double rounding = c.c == DType::BF16 ? 0x1.01p-8 : 0x1p-24;
        for (int64_t i = 0; i < c.m; ++i) {
            for (int64_t j = 0; j < c.n; ++j) {
                double sum = 0.0, squares = 0.0;
                for (int64_t p = 0; p < c.k; ++p) {
                    const double term =
                        a.at(i, p, c.transpose_a) * b.at(p, j, c.transpose_b) * c.alpha;
                    sum += term;
                    squares += term * term;
                }
                if (c.bias) sum += bias.at(0, j, false);
                if (c.accumulate) sum += before.at(i, j, false);
                expected.push_back(sum);
                // Partial sums of k terms grow with sqrt(k), and each of k additions rounds: the
                // error is about 2^-24 k rms / sqrt(2). Six standard deviations, and the last
                // roundings.
                permitted.push_back(rounding * std::fabs(sum) +
                                    0x1p-24 * ((4.0 * std::sqrt(c.k) + 4.0) * std::sqrt(squares) +
                                               4.0 * std::fabs(sum) + 8.0));
            }
        }
    }

    GemmProblem problem(void* c) {
        return {.m = what.m,
                .n = what.n,
                .k = what.k,
                .a = a.view(what.transpose_a),
                .b = b.view(what.transpose_b),
                .c = c,
                .c_row_stride = before.row,
                .c_dtype = what.c,
                .accumulate = what.accumulate,
                .alpha = what.alpha,
                .bias = what.bias ? bias.data() : nullptr,
                .bias_dtype = what.b};
    }

    // Runs `compute` on a new copy of c and returns the elements of c. Describes an element that is
    // wrong in `bad`.
    template <typename Compute>
    std::vector<float> run(const Compute& compute, std::string& bad) {
        Matrix c = before;
        compute(problem(c.data()));
        std::vector<float> got;
        for (int64_t i = 0; i < what.m; ++i) {
            for (int64_t j = 0; j < c.row; ++j) {
                const auto at = static_cast<size_t>(i * c.row + j);
                const float value =
                    what.c == DType::F32 ? c.values[at] : static_cast<float>(c.bf16[at]);
                if (j >= what.n) {
                    if (value != before.values[at]) bad = str("wrote beyond row ", i);
                    continue;
                }
                const size_t element = got.size();
                got.push_back(value);
                if (!(std::fabs(value - expected[element]) <= permitted[element]))
                    bad = str("c(", i, ", ", j, "): expected ", expected[element], " within ",
                              permitted[element], ", got ", value);
            }
        }
        return got;
    }

    Case what;
    Matrix a, b, bias, before;
    std::vector<double> expected, permitted;
};

// Runs all parts, one after another, each with a workspace of NaNs that ends with a guard.
void run_parts(const GemmKernels& kernels, const GemmProblem& problem, int64_t threads) {
    const GemmPlan plan = plan_gemm(kernels, problem, threads);
    ASSERT_LE(plan.parts(), threads);
    constexpr float kGuard = 12345.0F;
    std::vector<float> workspace(static_cast<size_t>(plan.workspace() + 1));
    for (int64_t part = 0; part < plan.parts(); ++part) {
        workspace.assign(workspace.size(), std::numeric_limits<float>::quiet_NaN());
        workspace.back() = kGuard;
        gemm_part(kernels, problem, plan, part, workspace.data());
        ASSERT_EQ(workspace.back(), kGuard) << "wrote beyond the workspace";
    }
}

void check(const Case& c) {
    Experiment experiment(c);
    for (const NamedKernels& set : all_kernels()) {
        const bool pairs_possible = c.a == DType::BF16 && c.b == DType::BF16 && c.k % 2 == 0;
        if (set.kernels.vnni_pairs && !pairs_possible) continue;
        std::vector<float> one_part;
        for (const int64_t threads : {1, 2, 3, 7}) {
            std::string bad;
            const std::vector<float> got = experiment.run(
                [&](const GemmProblem& problem) { run_parts(set.kernels, problem, threads); }, bad);
            ASSERT_EQ(bad, "") << set.name << ", " << threads << " parts, " << c.text();
            if (threads == 1) one_part = got;
            ASSERT_EQ(std::memcmp(got.data(), one_part.data(), got.size() * sizeof(float)), 0)
                << set.name << ", " << threads << " parts change bits, " << c.text();
        }
    }
}

// Checks one size with both dtypes of c, with and without everything that can be added to it.
void check_size(int64_t m, int64_t n, int64_t k) {
    for (const bool transpose_a : {false, true}) {
        for (const bool transpose_b : {false, true}) {
            Case c = {m, n, k, transpose_a, transpose_b, F32, F32, F32, false, false, 1.0F};
            check(c);
            c.accumulate = c.bias = true;
            c.alpha = -0.5F;
            check(c);
            c.b = BF16;
            check(c);
            c.a = BF16;
            check(c);
            c.c = BF16;
            check(c);
            c.accumulate = c.bias = false;
            c.alpha = 1.0F;
            check(c);
            c.b = F32;
            check(c);
        }
    }
}

TEST(CpuGemm, TinyAndPrime) {
    check_size(1, 1, 1);
    check_size(2, 3, 2);
    check_size(7, 5, 11);
    check_size(17, 37, 23);
}

// One below, at and one above a tile of every level, and the vectors of the packing.
TEST(CpuGemm, TileEdges) {
    for (const int64_t m : {5, 6, 7, 13, 14, 15, 28}) check_size(m, 33, 18);
    for (const int64_t n : {7, 8, 9, 15, 16, 17, 31, 32, 64}) check_size(15, n, 18);
    for (const int64_t k : {7, 8, 9, 15, 16, 17, 32, 34}) check_size(9, 33, k);
}

TEST(CpuGemm, StepBlockEdges) {
    for (const int64_t k : {383, 384, 385, 386, 768, 770, 1154}) check_size(15, 33, k);
    for (const int64_t k : {2048, 2050, 4100}) check_size(2, 33, k);
}

TEST(CpuGemm, RowAndColumnBlockEdges) {
    check_size(671, 3, 20);
    check_size(673, 3, 400);
    check_size(1349, 5, 402);
    check_size(3, 771, 402);
    check_size(3, 4101, 6);
}

// Rows 4 KiB apart are copied, others are not; both give the same numbers.
TEST(CpuGemm, RowsThatShareCacheSets) {
    check_size(20, 40, 1021);
    check_size(20, 40, 2045);
}

// Compares gemv_columns() with the formula, and bit for bit with the blocked product.
void check_few_rows(const Case& c) {
    Experiment experiment(c);
    for (const NamedKernels& set : all_kernels()) {
        const bool pairs = set.kernels.vnni_pairs;
        if (c.m > std::ssize(set.kernels.skinny)) continue;
        if (pairs && (c.a != BF16 || c.b != BF16 || c.k % 2 != 0)) continue;
        const int64_t cut = std::min<int64_t>(5, c.n);
        std::string bad;
        const std::vector<float> skinny = experiment.run(
            [&](const GemmProblem& problem) {
                const GemmPlan plan = plan_gemm(set.kernels, problem, 1);
                std::vector<float> copy(static_cast<size_t>(c.m * plan.k));
                const SkinnyRows a = pack_skinny_rows(set.kernels, problem, plan, copy.data());
                const auto run = [&](int64_t begin, int64_t end) {
                    gemv_columns(set.kernels, problem, plan, a, begin, end);
                };
                run(cut, c.n);
                run(0, cut);
            },
            bad);
        ASSERT_EQ(bad, "") << set.name << ", " << c.text();
        const std::vector<float> tiles = experiment.run(
            [&](const GemmProblem& problem) { run_parts(set.kernels, problem, 1); }, bad);
        ASSERT_EQ(std::memcmp(skinny.data(), tiles.data(), tiles.size() * sizeof(float)), 0)
            << set.name << ": skinny kernels and tiles differ in bits, " << c.text();
    }
}

TEST(CpuGemm, FewRows) {
    for (const int64_t m : {1, 2, 3, 4}) {
        for (const int64_t n : {3, 17, 32, 75}) {
            for (const int64_t k : {1, 7, 16, 31, 64, 65, 130, 384, 386, 1000}) {
                for (const DType input : {F32, BF16}) {
                    for (const DType output : {F32, BF16}) {
                        check_few_rows(
                            {m, n, k, false, true, input, input, output, false, false, 1.0F});
                        check_few_rows(
                            {m, n, k, false, true, input, input, output, true, true, 0.25F});
                    }
                }
                check_few_rows({m, n, k, false, true, F32, BF16, F32, false, true, 1.0F});
            }
        }
    }
    for (const int64_t m : {5, 11, 16})
        for (const int64_t k : {34, 130, 1000})
            check_few_rows({m, 75, k, false, true, BF16, BF16, BF16, true, true, 0.25F});
    for (const bool add : {false, true})
        check_few_rows({3, 35, 4100, false, true, BF16, BF16, F32, add, true, 0.25F});
}

// Tiles of every height add in the same order: the first rows of c have the same bits whatever
// follows.
TEST(CpuGemm, RowsDoNotDependOnTheirNumber) {
    for (const NamedKernels& set : all_kernels()) {
        for (const DType dtype : {F32, BF16}) {
            if (set.kernels.vnni_pairs && dtype == F32) continue;
            std::vector<float> most;
            for (int64_t m = 40; m > 0; --m) {
                Experiment experiment(
                    {m, 35, 390, false, true, dtype, dtype, F32, true, true, 0.75F});
                std::string bad;
                const std::vector<float> got = experiment.run(
                    [&](const GemmProblem& problem) { run_parts(set.kernels, problem, 1); }, bad);
                if (m == 40) most = got;
                ASSERT_EQ(std::memcmp(got.data(), most.data(), got.size() * sizeof(float)), 0)
                    << set.name << ", " << dtype << ", " << m << " rows";
            }
        }
    }
}

TEST(CpuGemm, PropagatesNanAndInfinity) {
    for (const NamedKernels& set : all_kernels()) {
        for (const DType dtype : {F32, BF16}) {
            if (set.kernels.vnni_pairs && dtype == F32) continue;
            const Case c = {16, 40, 20, false, true, dtype, dtype, F32, false, false, 1.0F};
            Experiment experiment(c);
            const size_t a_3_5 = static_cast<size_t>(3 * experiment.a.row + 5);
            const size_t a_9_7 = static_cast<size_t>(9 * experiment.a.row + 7);
            experiment.a.values[a_3_5] = std::numeric_limits<float>::quiet_NaN();
            experiment.a.values[a_9_7] = std::numeric_limits<float>::infinity();
            experiment.a.round_to_bf16();
            std::string bad;
            const std::vector<float> got = experiment.run(
                [&](const GemmProblem& problem) { run_parts(set.kernels, problem, 1); }, bad);
            for (int64_t i = 0; i < c.m; ++i) {
                for (int64_t j = 0; j < c.n; ++j) {
                    const float value = got[static_cast<size_t>(i * c.n + j)];
                    EXPECT_EQ(std::isnan(value), i == 3) << set.name << " " << i << ", " << j;
                    EXPECT_EQ(std::isinf(value), i == 9) << set.name << " " << i << ", " << j;
                }
            }
        }
    }
}

// Weights in a mapped file may begin anywhere, also in the middle of a cache line, and their rows
// may differ in alignment.
TEST(CpuGemm, FewRowsGiveTheSameBitsWhereverTheWeightsBegin) {
    const auto device = make_cpu_device(2);
    for (const int64_t k : {32, 33, 64, 416, 800, 832}) {
        for (const int64_t n : {5, 32, 77}) {
            std::vector<float> numbers(static_cast<size_t>(k * n)), row(static_cast<size_t>(k));
            for (size_t i = 0; i < numbers.size(); ++i)
                numbers[i] = static_cast<float>(random_uniform(1, i) - 0.5);
            for (size_t i = 0; i < row.size(); ++i)
                row[i] = static_cast<float>(random_uniform(2, i) - 0.5);
            for (const DType dtype : {F32, BF16}) {
                const Tensor a = Tensor::from_values(*device, {1, k}, row).to(dtype);
                const Tensor b = Tensor::from_values(*device, {n, k}, numbers).to(dtype);
                const auto product = [&](const Tensor& weights) {
                    const Tensor c = Tensor::zeros(*device, {1, n}, F32);
                    call(*device, "matmul", &Kernels::matmul,
                         {.a = a, .b = weights, .c = c, .transpose_b = true});
                    return c.to_vector<float>();
                };
                const std::vector<float> expected = product(b);
                for (const int64_t before : {1, 2, 4, 12, 16, 28, 31}) {
                    const Tensor room = Tensor::zeros(*device, {before + n * k}, dtype);
                    const Tensor moved = room.slice(0, before, before + n * k).reshape({n, k});
                    call(*device, "copy", &Kernels::copy, {.x = b, .y = moved});
                    ASSERT_EQ(product(moved), expected)
                        << dtype << ", n " << n << ", k " << k << ", " << before << " before";
                }
            }
        }
    }
}

}  // namespace

}  // namespace vila::cpu_kernels
