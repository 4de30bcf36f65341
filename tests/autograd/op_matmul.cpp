// matmul, compared with its formula; its kernel on strided batches.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tensor/kernels.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

// Returns the sum over p of op(a)(i, p) op(b)(p, j), for one matrix of a batch.
double product(const Array& a, const Array& b, int64_t batch, int64_t i, int64_t j,
               bool transpose_a, bool transpose_b) {
    const int64_t a_rows = a.shape[-2], a_columns = a.shape[-1];
    const int64_t b_rows = b.shape[-2], b_columns = b.shape[-1];
    double sum = 0.0;
    for (int64_t p = 0; p < (transpose_a ? a_rows : a_columns); ++p)
        sum +=
            a[batch * a_rows * a_columns + (transpose_a ? p * a_columns + i : i * a_columns + p)] *
            b[batch * b_rows * b_columns + (transpose_b ? j * b_columns + p : p * b_columns + j)];
    return sum;
}

class Matmul : public OpTest {
  public:
    Matmul(bool transpose_a, bool transpose_b)
        : transpose_a_(transpose_a), transpose_b_(transpose_b) {}
    std::string name() const override { return "matmul"; }
    // Batch (0: two axes only), m, n, k.
    std::vector<Sizes> sizes() const override {
        return {{0, 0, 3, 2},   {0, 2, 3, 4},    {0, 3, 0, 4},     {0, 1, 1, 1},
                {0, 17, 33, 7}, {0, 14, 32, 16}, {0, 1, 70, 65},   {0, 4, 19, 130},
                {3, 5, 6, 7},   {2, 15, 33, 17}, {0, 61, 67, 385}, {0, 2, 3, 0}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        Shape a = {transpose_a_ ? n[3] : n[1], transpose_a_ ? n[1] : n[3]};
        Shape b = {transpose_b_ ? n[2] : n[3], transpose_b_ ? n[3] : n[2]};
        if (n[0] > 0) {
            a = {n[0], a[0], a[1]};
            b = {n[0], b[0], b[1]};
        }
        return {normal("a", a), normal("b", b)};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array c = Array::of(n[0] > 0 ? Shape{n[0], n[1], n[2]} : Shape{n[1], n[2]});
        for (int64_t element = 0; element < c.shape.numel(); ++element)
            c[element] = product(in.at("a"), in.at("b"), element / (n[1] * n[2]),
                                 element / n[2] % n[1], element % n[2], transpose_a_, transpose_b_);
        return c;
    }
    autograd::Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::matmul(in.at("a"), in.at("b"), transpose_a_, transpose_b_);
    }

  private:
    bool transpose_a_, transpose_b_;
};

}  // namespace

TEST(OpMatmul, Agrees) {
    for (const bool transpose_a : {false, true})
        for (const bool transpose_b : {false, true})
            EXPECT_EQ(check_op(Matmul(transpose_a, transpose_b)), "");
}

TEST(OpMatmul, NamesTheShapes) {
    GuardedDevice device;
    const autograd::Variable a(Tensor::zeros(device, {2, 4}, DType::F32));
    const autograd::Variable b(Tensor::zeros(device, {3, 5}, DType::F32));
    EXPECT_EQ(expect_error("[matmul] shapes (2, 4) and (3, 5): expected equal inner extents",
                           [&] { autograd::matmul(a, b); }),
              "");
}

// Every operand is a view of a larger tensor, with batch axes that are not adjacent in memory.
TEST(OpMatmul, ReadsAndWritesStridedBatches) {
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
        for (const int threads : {1, 3}) {
            GuardedDevice device(threads);
            const Array a_values = {{3, 2, 21, 18}, draw_normal("a", 3 * 2 * 21 * 18)};
            const Array b_values = {{2, 3, 19, 40}, draw_normal("b", 2 * 3 * 19 * 40)};
            const Tensor a = make_tensor(device, a_values, dtype);
            const Tensor b = make_tensor(device, b_values, dtype);
            const Tensor c = Tensor::full(device, {2, 3, 21, 40}, dtype, 7.0);
            const Tensor a_view =
                a.transpose(0, 1).slice(2, 1, 21).slice(3, 0, 17);    // 2, 3, 20, 17
            const Tensor b_view = b.slice(2, 2, 19).slice(3, 3, 38);  // 2, 3, 17, 35
            const Tensor c_view = c.slice(2, 0, 20).slice(3, 4, 39);  // 2, 3, 20, 35
            call(device, "matmul", &Kernels::matmul, {.a = a_view, .b = b_view, .c = c_view});
            const Array a_dense = to_array(a_view.contiguous());
            const Array b_dense = to_array(b_view.contiguous());
            const Array got = to_array(c);
            for (int64_t batch = 0; batch < 6; ++batch) {
                for (int64_t i = 0; i < 21; ++i) {
                    for (int64_t j = 0; j < 40; ++j) {
                        const bool inside = i < 20 && j >= 4 && j < 39;
                        const double expected =
                            inside ? product(a_dense, b_dense, batch, i, j - 4, false, false) : 7.0;
                        ASSERT_TRUE(is_close(got[(batch * 21 + i) * 40 + j], expected,
                                             tolerance(dtype), 10.0))
                            << dtype << ", batch " << batch << ", c(" << i << ", " << j
                            << "): expected " << expected << ", got "
                            << got[(batch * 21 + i) * 40 + j];
                    }
                }
            }
            EXPECT_FALSE(device.damaged());
        }
    }
}

// The sum has as many terms as a vocabulary: adding them one by one would lose three digits.
TEST(OpMatmul, IsAccurateForLongSums) {
    GuardedDevice device;
    const int64_t k = 40009;
    Array a = {{1, k}, draw_normal("a", k)}, b = {{k, 1}, {}};
    a.values = rounded(a.values, DType::BF16);
    double expected = 0.0;
    for (int64_t p = 0; p < k; ++p) {
        b.values.push_back(1.0 + double(p % 7) / 8.0);
        a[p] += 1.0;
        expected += a[p] * b[p];
    }
    const Tensor c = Tensor::empty(device, {1, 1}, DType::F32);
    call(
        device, "matmul", &Kernels::matmul,
        {.a = make_tensor(device, a, DType::F32), .b = make_tensor(device, b, DType::F32), .c = c});
    EXPECT_NEAR(c.item() / expected, 1.0, 1e-6);
}

// Computes c = 0.75 op(a) op(b) + bias on one device, for any range of rows of a.
class RowProducts {
  public:
    static constexpr int64_t kRows = 40;

    RowProducts(int threads, Isa isa, DType dtype, int64_t n, int64_t k, bool transpose_a,
                bool transpose_b)
        : device_(threads, isa), n_(n), transpose_a_(transpose_a), transpose_b_(transpose_b) {
        const auto make = [&](const char* name, const Shape& shape) {
            return make_tensor(device_, {shape, draw_normal(name, shape.numel())}, dtype);
        };
        a_ = make("a", transpose_a ? Shape{k, kRows} : Shape{kRows, k});
        b_ = make("b", transpose_b ? Shape{n, k} : Shape{k, n});
        bias_ = make("bias", {n});
    }

    std::vector<float> operator()(int64_t first, int64_t rows) const {
        const Tensor c = Tensor::empty(a_.device(), {rows, n_}, a_.dtype());
        call(a_.device(), "matmul", &Kernels::matmul,
             {.a = a_.slice(transpose_a_ ? 1 : 0, first, first + rows),
              .b = b_,
              .c = c,
              .transpose_a = transpose_a_,
              .transpose_b = transpose_b_,
              .alpha = 0.75,
              .bias = bias_});
        return c.to(DType::F32).to_vector<float>();
    }

  private:
    GuardedDevice device_;
    int64_t n_;
    bool transpose_a_, transpose_b_;
    Tensor a_, b_, bias_;
};

// Row i of c depends only on row i of a, bit for bit: not on the number of rows, the values of
// other rows, or the threads. So packed sequences give the same results as separate ones.
class MatmulRows : public ::testing::TestWithParam<Isa> {
  protected:
    static int64_t every_count_up_to() { return GuardedDevice::slow() ? 2 : 16; }
    static void check(DType dtype, int64_t n, int64_t k, bool transpose_a, bool transpose_b) {
        std::vector<float> alone;  // the rows, one after another
        for (const int threads : {1, 2, 3}) {
            const RowProducts multiply(threads, GetParam(), dtype, n, k, transpose_a, transpose_b);
            for (int64_t row = 0; threads == 1 && row < RowProducts::kRows; ++row)
                for (const float value : multiply(row, 1)) alone.push_back(value);
            for (int64_t rows = 1; rows <= RowProducts::kRows;
                 rows += rows < every_count_up_to() ? 1 : 8) {
                const int64_t first = (RowProducts::kRows - rows) / 2;
                const auto begin = alone.begin() + first * n;
                ASSERT_EQ(multiply(first, rows), std::vector<float>(begin, begin + rows * n))
                    << rows << " rows, " << n << " columns, k " << k << ", " << dtype << ", "
                    << (transpose_a ? "T" : "N") << (transpose_b ? "T" : "N") << ", " << threads
                    << " threads";
            }
        }
    }
};

TEST_P(MatmulRows, DoNotDependOnEachOther) {
    const int64_t sizes[][2] = {{3, 2}, {1, 70}, {37, 70}, {70, 385}, {33, 1000}};
    for (const auto& [n, k] : sizes) {
        for (const DType dtype : {DType::F32, DType::BF16}) {
            check(dtype, n, k, false, false);
            check(dtype, n, k, false, true);
            check(dtype, n, k, true, false);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Every, MatmulRows, ::testing::ValuesIn(GuardedDevice::levels()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

}  // namespace vila::testing
