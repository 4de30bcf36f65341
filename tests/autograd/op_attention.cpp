// attention, compared with its formula; properties of packing, grouping and causal masks.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

// The lengths of the sequences of one call.
struct Lengths {
    std::vector<int64_t> queries, keys;
};

// The cases of Attention::sizes() below. Lengths meet the edges of the tiles (blocks of 6 rows, 16
// lanes, 64 columns, 128 keys); queries of 1 and 2 rows take the decode path.
const std::vector<Lengths>& lengths() {
    static const std::vector<Lengths> kLengths = {
        {{3}, {3}},
        {{5, 0, 1, 7}, {5, 3, 1, 7}},  // an empty query sequence that has keys
        {{3, 4, 2}, {0, 9, 4}},        // no keys at all; more keys than queries
        {{6, 1, 2}, {2, 1, 2}},        // queries before the first key see nothing
        {{1, 17, 2}, {130, 17, 140}},  // decoding with a cache
        {{63, 1, 64, 65}, {63, 65, 64, 65}},
        {{130, 40}, {257, 129}},
        {{0}, {0}},
    };
    return kLengths;
}

std::vector<double> cu_seqlens_of(const std::vector<int64_t>& lengths) {
    std::vector<double> cu_seqlens = {0.0};
    for (const int64_t length : lengths) cu_seqlens.push_back(cu_seqlens.back() + double(length));
    return cu_seqlens;
}

// Sizes: case, H, K, D, causal.
class Attention : public OpTest {
  public:
    std::string name() const override { return "attention"; }
    std::vector<Sizes> sizes() const override {
        if (GuardedDevice::slow())
            return {{0, 1, 1, 1, 0},  {1, 2, 2, 8, 1},  {1, 4, 2, 5, 0},   {2, 7, 1, 32, 1},
                    {3, 2, 1, 24, 1}, {3, 2, 1, 96, 0}, {4, 2, 1, 64, 1},  {4, 1, 1, 72, 0},
                    {5, 1, 1, 72, 1}, {5, 1, 1, 80, 0}, {6, 1, 1, 128, 1}, {7, 2, 2, 16, 1},
                    {1, 2, 1, 40, 1}};
        return {{0, 1, 1, 1, 0},  {1, 2, 2, 8, 1},  {1, 4, 2, 5, 0},  {2, 7, 1, 32, 1},
                {2, 4, 4, 32, 0}, {3, 2, 1, 24, 1}, {3, 2, 1, 96, 0}, {4, 4, 1, 64, 1},
                {4, 2, 2, 72, 0}, {5, 2, 1, 72, 1}, {5, 1, 1, 80, 0}, {6, 2, 1, 128, 1},
                {6, 1, 1, 64, 0}, {7, 2, 2, 16, 1}, {1, 2, 1, 40, 1}, {3, 2, 2, 48, 0}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        const std::vector<double> cu_seqlens_q = cu_seqlens_of(lengths()[n[0]].queries);
        const std::vector<double> cu_seqlens_k = cu_seqlens_of(lengths()[n[0]].keys);
        const int64_t R = std::llround(cu_seqlens_q.back()), M = std::llround(cu_seqlens_k.back());
        return {normal("q", {R, n[1], n[3]}), normal("k", {M, n[2], n[3]}),
                normal("v", {M, n[2], n[3]}), index("cu_seqlens_q", cu_seqlens_q),
                index("cu_seqlens_k", cu_seqlens_k)};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const int64_t H = n[1], K = n[2], D = n[3];
        const Array &q = in.at("q"), &k = in.at("k"), &v = in.at("v");
        Array out = Array::of(q.shape);
        int64_t row = 0, key_begin = 0;
        const Lengths& cut = lengths()[n[0]];
        for (size_t b = 0; b < cut.queries.size(); ++b) {
            for (int64_t i = 0; i < cut.queries[b]; ++i, ++row)
                for (int64_t h = 0; h < H; ++h)
                    attend(q, k, v, (row * H + h) * D, key_begin,
                           n[4] != 0 ? cut.keys[b] - cut.queries[b] + 1 + i : cut.keys[b],
                           h * K / H, out);
            key_begin += cut.keys[b];
        }
        return out;
    }
    autograd::Variable apply(const Sizes& n, const Variables& in) const override {
        return autograd::attention(in.at("q"), in.at("k"), in.at("v"),
                                   in.at("cu_seqlens_q").value(), in.at("cu_seqlens_k").value(),
                                   n[4] != 0, scale(n[3]));
    }
    // Backward computes sum(dout * out) from the rounded output. In bf16 that is an error of 2^-9
    // in a term that may cancel all others. AgreesInBf16 tests everything with the usual bound.
    double tolerance_factor(DType dtype) const override { return dtype == DType::BF16 ? 2048 : 2; }
    static double scale(int64_t D) { return 1.0 / std::sqrt(double(D)); }

  private:
    // Returns the attention of the query row at q[at] over `visible` keys.
    static void attend(const Array& q, const Array& k, const Array& v, int64_t at,
                       int64_t key_begin, int64_t visible, int64_t key_head, Array& out) {
        const int64_t K = k.shape[1], D = k.shape[2];
        double total = 0.0;
        for (int64_t j = key_begin; j < key_begin + visible; ++j) {
            double score = 0.0;
            for (int64_t d = 0; d < D; ++d) score += q[at + d] * k[(j * K + key_head) * D + d];
            const double weight = std::exp(scale(D) * score);
            total += weight;
            for (int64_t d = 0; d < D; ++d) out[at + d] += weight * v[(j * K + key_head) * D + d];
        }
        for (int64_t d = 0; d < D && visible > 0; ++d) out[at + d] /= total;
    }
};

// Inputs and results of both kernels, called directly.
struct Case {
    Tensor q, k, v, dout, cu_seqlens_q, cu_seqlens_k;
    Tensor out, log_sum_exp, dq, dk, dv;

    std::vector<Tensor> outputs() const { return {out, log_sum_exp, dq, dk, dv}; }
};

Tensor random(Device& device, const std::string& name, const Shape& shape, DType dtype) {
    return make_tensor(device, {shape, rounded(draw_normal(name, shape.numel()), DType::BF16)},
                       dtype);
}

Tensor cu_seqlens_tensor(Device& device, const std::vector<int64_t>& lengths) {
    const std::vector<double> cu_seqlens = cu_seqlens_of(lengths);
    return make_tensor(device, {{int64_t(cu_seqlens.size())}, cu_seqlens}, DType::I32);
}

Case make_case(Device& device, const Lengths& cut, int64_t H, int64_t K, int64_t D, DType dtype) {
    Case made;
    made.cu_seqlens_q = cu_seqlens_tensor(device, cut.queries);
    made.cu_seqlens_k = cu_seqlens_tensor(device, cut.keys);
    const int64_t R = std::llround(cu_seqlens_of(cut.queries).back());
    const int64_t M = std::llround(cu_seqlens_of(cut.keys).back());
    made.q = random(device, "q", {R, H, D}, dtype);
    made.k = random(device, "k", {M, K, D}, dtype);
    made.v = random(device, "v", {M, K, D}, dtype);
    made.dout = random(device, "dout", {R, H, D}, dtype);
    return made;
}

void run_forward(Case& made, bool causal) {
    Device& device = made.q.device();
    const DType wide = made.q.dtype() == DType::F64 ? DType::F64 : DType::F32;
    made.out = Tensor::full(device, made.q.shape(), made.q.dtype(), 7.0);
    made.log_sum_exp = Tensor::full(device, {made.q.size(0), made.q.size(1)}, wide, 7.0);
    call(device, "attention_forward", &Kernels::attention_forward,
         {made.q, made.k, made.v, made.cu_seqlens_q, made.cu_seqlens_k, causal,
          Attention::scale(made.q.size(2)), made.out, made.log_sum_exp});
}

void run_backward(Case& made, bool causal) {
    Device& device = made.q.device();
    made.dq = Tensor::full(device, made.q.shape(), made.q.dtype(), 7.0);
    made.dk = Tensor::full(device, made.k.shape(), made.q.dtype(), 7.0);
    made.dv = Tensor::full(device, made.v.shape(), made.q.dtype(), 7.0);
    call(device, "attention_backward", &Kernels::attention_backward,
         {made.q, made.k, made.v, made.cu_seqlens_q, made.cu_seqlens_k, causal,
          Attention::scale(made.q.size(2)), made.out, made.log_sum_exp, made.dout, made.dq, made.dk,
          made.dv});
}

void expect_same_rows(const Tensor& got, int64_t got_begin, const Tensor& expected,
                      int64_t expected_begin, int64_t rows) {
    const Tensor a = got.slice(0, got_begin, got_begin + rows).contiguous();
    const Tensor b = expected.slice(0, expected_begin, expected_begin + rows).contiguous();
    EXPECT_EQ(a.to_vector<double>(), b.to_vector<double>());
}

// Returns sequence b of `packed` as a call of its own.
Case alone(Device& device, const Case& packed, size_t b, const Lengths& cut, int64_t query_begin,
           int64_t key_begin) {
    Case made;
    made.cu_seqlens_q = cu_seqlens_tensor(device, {cut.queries[b]});
    made.cu_seqlens_k = cu_seqlens_tensor(device, {cut.keys[b]});
    const auto rows = [](const Tensor& x, int64_t begin, int64_t count) {
        return x.slice(0, begin, begin + count).contiguous();
    };
    made.q = rows(packed.q, query_begin, cut.queries[b]);
    made.dout = rows(packed.dout, query_begin, cut.queries[b]);
    made.k = rows(packed.k, key_begin, cut.keys[b]);
    made.v = rows(packed.v, key_begin, cut.keys[b]);
    return made;
}

const Lengths kMixed = {{17, 1, 64, 2, 0, 257, 65}, {17, 63, 64, 130, 3, 257, 66}};

}  // namespace

TEST(OpAttention, Agrees) {
    EXPECT_EQ(check_op(Attention()), "");
}

TEST(OpAttention, AgreesInBf16) {
    GuardedDevice device;
    for (const bool causal : {false, true}) {
        Case rounded_case = make_case(device, kMixed, 4, 2, 72, DType::BF16);
        run_forward(rounded_case, causal);
        run_backward(rounded_case, causal);
        // The formula of the backward pass, from the same rounded output.
        Case exact = make_case(device, kMixed, 4, 2, 72, DType::F64);
        run_forward(exact, causal);
        const Tensor exact_out = exact.out;
        exact.out = rounded_case.out.to(DType::F64);
        run_backward(exact, causal);
        // Weights have a relative rounding error of up to 2^-9, and so have the terms of a sum,
        // which may cancel.
        Tolerance bound = tolerance(DType::BF16);
        if (GuardedDevice::rounds_weights()) bound.absolute = 0x1p-8;
        for (const auto& [got, expected] : {std::pair{rounded_case.out, exact_out},
                                            {rounded_case.dq, exact.dq},
                                            {rounded_case.dk, exact.dk},
                                            {rounded_case.dv, exact.dv}}) {
            const auto a = got.to_vector<double>(), b = expected.to_vector<double>();
            const double scale = scale_of(b);
            for (size_t i = 0; i < a.size(); ++i)
                ASSERT_TRUE(is_close(a[i], b[i], bound, scale)) << a[i] << " for " << b[i];
        }
    }
}

TEST(OpAttention, PackedEqualsSeparate) {
    GuardedDevice device(2);
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
        Case packed = make_case(device, kMixed, 4, 2, 32, dtype);
        run_forward(packed, true);
        run_backward(packed, true);
        int64_t query_begin = 0, key_begin = 0;
        for (size_t b = 0; b < kMixed.queries.size(); ++b) {
            Case one = alone(device, packed, b, kMixed, query_begin, key_begin);
            run_forward(one, true);
            run_backward(one, true);
            expect_same_rows(packed.out, query_begin, one.out, 0, kMixed.queries[b]);
            expect_same_rows(packed.log_sum_exp, query_begin, one.log_sum_exp, 0,
                             kMixed.queries[b]);
            expect_same_rows(packed.dq, query_begin, one.dq, 0, kMixed.queries[b]);
            expect_same_rows(packed.dk, key_begin, one.dk, 0, kMixed.keys[b]);
            expect_same_rows(packed.dv, key_begin, one.dv, 0, kMixed.keys[b]);
            query_begin += kMixed.queries[b];
            key_begin += kMixed.keys[b];
        }
    }
    EXPECT_FALSE(device.damaged());
}

TEST(OpAttention, DoesNotDependOnOtherSequences) {
    GuardedDevice device(2);
    const Lengths cut = {{33, 20, 64}, {33, 20, 64}};
    const auto run = [&](double neighbor) {
        Case made = make_case(device, cut, 2, 2, 64, DType::F32);
        for (const Tensor& x : {made.q, made.k, made.v, made.dout})
            x.slice(0, 33, 53).fill(neighbor);
        run_forward(made, true);
        run_backward(made, true);
        return made;
    };
    const Case ones = run(1.0), bad = run(std::numeric_limits<double>::quiet_NaN());
    for (size_t i = 0; i < ones.outputs().size(); ++i) {
        expect_same_rows(ones.outputs()[i], 0, bad.outputs()[i], 0, 33);
        expect_same_rows(ones.outputs()[i], 53, bad.outputs()[i], 53, 64);
    }
}

// Future keys may hold anything: a causal query never reads them.
TEST(OpAttention, CausalQueriesIgnoreTheFuture) {
    GuardedDevice device;
    const Lengths cut = {{70}, {70}};
    const auto run = [&](double future) {
        Case made = make_case(device, cut, 2, 1, 32, DType::F32);
        made.k.slice(0, 40, 70).fill(future);
        made.v.slice(0, 40, 70).fill(future);
        run_forward(made, true);
        return made;
    };
    expect_same_rows(run(0.5).out, 0, run(-1e4).out, 0, 40);
}

TEST(OpAttention, QueriesWithoutKeysGiveZeros) {
    GuardedDevice device;
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
        Case made = make_case(device, {{9, 2}, {3, 0}}, 2, 2, 8, dtype);
        run_forward(made, true);
        run_backward(made, true);
        const std::vector<double> zeros(6 * 2 * 8, 0.0);
        EXPECT_EQ(made.out.slice(0, 0, 6).contiguous().to_vector<double>(), zeros);
        EXPECT_EQ(made.dq.slice(0, 0, 6).contiguous().to_vector<double>(), zeros);
        EXPECT_EQ(made.log_sum_exp.slice(0, 0, 1).contiguous().to_vector<double>()[0],
                  -std::numeric_limits<double>::infinity());
        EXPECT_EQ(made.out.slice(0, 9, 11).contiguous().to_vector<double>(),
                  std::vector<double>(2 * 2 * 8, 0.0));
    }
}

// One query at a time with a growing cache gives the result of one causal call.
TEST(OpAttention, DecodeFollowsPrefill) {
    GuardedDevice device(2);
    const int64_t S = 150, first = 120;
    for (const DType dtype : {DType::F32, DType::BF16}) {
        Case whole = make_case(device, {{S}, {S}}, 8, 2, 64, dtype);
        run_forward(whole, true);
        for (int64_t i = first; i < S; ++i) {
            Case step = alone(device, whole, 0, {{1}, {i + 1}}, i, 0);
            run_forward(step, true);
            const auto got = step.out.to_vector<double>();
            const auto expected = whole.out.slice(0, i, i + 1).contiguous().to_vector<double>();
            for (size_t d = 0; d < got.size(); ++d)
                ASSERT_TRUE(is_close(got[d], expected[d], tolerance(dtype) * 2, 1.0));
        }
    }
}

// The keys of kMixed lie in pages in any order, and two sequences share a page. The result has the
// same bits as with the keys in one piece. Rows of the pages without a key are not read.
TEST(OpAttention, PagesGiveTheBitsOfOnePiece) {
    GuardedDevice device(2);
    const int64_t W = 6, spare = 3;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
        Case whole = make_case(device, kMixed, 4, 2, 40, dtype);
        // Sequences 2 and 5 begin with the same page.
        const int64_t begin[] = {0, 17, 80, 144, 274, 277, 534};
        for (const Tensor& x : {whole.k, whole.v})
            x.slice(0, begin[5], begin[5] + kPageRows).copy_from(x.slice(0, begin[2], begin[3]));
        run_forward(whole, true);

        Case paged = whole;
        std::vector<double> table(kMixed.keys.size() * W, 0.0);
        int64_t next = 13 + spare;  // pages are taken from the last to the first
        for (Tensor* x : {&paged.k, &paged.v})
            *x = Tensor::full(device, {next * kPageRows, 2, 40}, dtype, nan);
        for (size_t b = 0; b < kMixed.keys.size(); ++b)
            for (int64_t first = 0; first < kMixed.keys[b]; first += kPageRows) {
                const bool shared = b == 5 && first == 0;
                const int64_t page = shared ? std::llround(table[2 * W]) : --next;
                const int64_t rows = std::min(kPageRows, kMixed.keys[b] - first);
                table[b * W + first / kPageRows] = double(page);
                const auto fill = [&](const Tensor& from, const Tensor& to) {
                    to.slice(0, page * kPageRows, page * kPageRows + rows)
                        .copy_from(from.slice(0, begin[b] + first, begin[b] + first + rows));
                };
                fill(whole.k, paged.k);
                fill(whole.v, paged.v);
            }
        EXPECT_EQ(next, spare);
        const Tensor pages =
            make_tensor(device, {{int64_t(kMixed.keys.size()), W}, table}, DType::I32);
        paged.out = autograd::paged_attention(paged.q, paged.k, paged.v, paged.cu_seqlens_q,
                                              paged.cu_seqlens_k, pages, Attention::scale(40));
        EXPECT_EQ(paged.out.to_vector<double>(), whole.out.to_vector<double>()) << dtype;
    }
    EXPECT_FALSE(device.damaged());
}

// Slices of one fused projection (R, (H + 2K) D) give the same result as separate tensors.
TEST(OpAttention, ReadsSlicesOfAFusedProjection) {
    GuardedDevice device;
    const int64_t R = 40, H = 4, K = 2, D = 24;
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
        Case separate = make_case(device, {{R}, {R}}, H, K, D, dtype);
        const auto fuse = [&](const Tensor& q, const Tensor& k, const Tensor& v, Case& made) {
            const Tensor fused = Tensor::full(device, {R, H + 2 * K, D}, dtype, 3.0);
            made.q = fused.slice(1, 0, H);
            made.k = fused.slice(1, H, H + K);
            made.v = fused.slice(1, H + K, H + 2 * K);
            made.q.copy_from(q);
            made.k.copy_from(k);
            made.v.copy_from(v);
        };
        Case fused = separate;
        fuse(separate.q, separate.k, separate.v, fused);
        run_forward(separate, true);
        run_backward(separate, true);
        run_forward(fused, true);
        expect_same_rows(fused.out, 0, separate.out, 0, R);
        // Gradients are written into slices too.
        Case gradients;
        fuse(separate.q, separate.k, separate.v, gradients);
        call(device, "attention_backward", &Kernels::attention_backward,
             {fused.q, fused.k, fused.v, fused.cu_seqlens_q, fused.cu_seqlens_k, true,
              Attention::scale(D), fused.out, fused.log_sum_exp, fused.dout, gradients.q,
              gradients.k, gradients.v});
        expect_same_rows(gradients.q, 0, separate.dq, 0, R);
        expect_same_rows(gradients.k, 0, separate.dk, 0, R);
        expect_same_rows(gradients.v, 0, separate.dv, 0, R);
    }
}

TEST(OpAttention, NamesRowsOutsideEverySequence) {
    GuardedDevice device;
    for (const DType dtype : {DType::F64, DType::F32}) {
        Case made = make_case(device, {{2, 3}, {2, 3}}, 2, 2, 8, dtype);
        run_forward(made, true);
        const Tensor cu_seqlens = made.cu_seqlens_k;
        made.cu_seqlens_k = make_tensor(device, {{3}, {0, 2, 4}}, DType::I32);
        const std::string message = "[attention] cu_seqlens_k run from 0 to 4: expected 0 to 5";
        EXPECT_EQ(expect_error(message, [&] { run_backward(made, true); }), "");
        made.cu_seqlens_k = cu_seqlens;
        made.cu_seqlens_q = make_tensor(device, {{3}, {0, 6, 5}}, DType::I32);
        EXPECT_EQ(expect_error("[attention] cu_seqlens decrease from 6 to 5 at sequence 1",
                               [&] { run_forward(made, true); }),
                  "");
    }
}

TEST(OpAttention, NamesHeadsThatDoNotDivide) {
    GuardedDevice device;
    const Case made = make_case(device, {{2}, {2}}, 4, 3, 8, DType::F32);
    EXPECT_EQ(expect_error("[attention] 4 query heads over 3 key heads: expected a multiple",
                           [&] {
                               autograd::attention(autograd::Variable(made.q),
                                                   autograd::Variable(made.k),
                                                   autograd::Variable(made.v), made.cu_seqlens_q,
                                                   made.cu_seqlens_k, true, 1.0);
                           }),
              "");
}

}  // namespace vila::testing
