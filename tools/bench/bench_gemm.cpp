#include "tools/bench/bench_gemm.h"

#include <cmath>
#include <cstdio>

#include "tensor/kernels.h"
#include "tensor/random.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"

namespace vila::tools {

namespace {

// Small products are repeated until a sample is long enough to time.
constexpr double kFlopPerSample = 2e8;
constexpr double kMostRepeats = 10000;

Tensor random_matrix(CpuDevice& device, int64_t rows, int64_t columns, DType dtype, uint64_t key) {
    std::vector<float> values;
    for (int64_t i = 0; i < rows * columns; ++i)
        values.push_back(static_cast<float>(random_uniform(key, static_cast<uint64_t>(i)) - 0.5));
    return Tensor::from_values(device, {rows, columns}, values).to(dtype);
}

struct Operands {
    Operands(CpuDevice& device, const GemmShape& s, DType dtype)
        : a(random_matrix(device, s.transpose_a ? s.k : s.m, s.transpose_a ? s.m : s.k, dtype, 1)),
          b(random_matrix(device, s.transpose_b ? s.n : s.k, s.transpose_b ? s.k : s.n, dtype, 2)),
          c(Tensor::zeros(device, {s.m, s.n}, dtype)) {}

    void multiply(const GemmShape& shape) const {
        call(c.device(), "matmul", &Kernels::matmul,
             {.a = a,
              .b = b,
              .c = c,
              .transpose_a = shape.transpose_a,
              .transpose_b = shape.transpose_b});
    }

    Tensor a, b, c;
};

double element(const Tensor& x, int64_t i, int64_t j) {
    return x.slice(0, i, i + 1).slice(1, j, j + 1).item();
}

// Compares a few elements of c with f64.
void check_result(const GemmShape& shape, const Operands& x) {
    for (uint64_t sample = 0; sample < 8; ++sample) {
        const int64_t i = random_below(3, sample, shape.m), j = random_below(4, sample, shape.n);
        double expected = 0.0;
        for (int64_t p = 0; p < shape.k; ++p)
            expected += element(x.a, shape.transpose_a ? p : i, shape.transpose_a ? i : p) *
                        element(x.b, shape.transpose_b ? j : p, shape.transpose_b ? p : j);
        const double got = element(x.c, i, j);
        const double rounding = x.c.dtype() == DType::BF16 ? 0x1p-7 : 0x1p-20;
        VILA_CHECK(std::fabs(got - expected) <= rounding * (std::sqrt(double(shape.k)) + 1.0),
                   "[bench gemm] ", shape.m, " x ", shape.n, " x ", shape.k, ": element (", i, ", ",
                   j, ") is ", got, ", expected ", expected);
    }
}

GemmMeasurement measure(CpuDevice& device, DType dtype, const GemmShape& shape, int repetitions) {
    const Operands x(device, shape, dtype);
    const double flop = 2.0 * double(shape.m) * double(shape.n) * double(shape.k);
    const auto inner = int64_t(std::clamp(kFlopPerSample / flop, 1.0, kMostRepeats));
    std::vector<double> rates, limit_shares, dot_shares, tile_shares;
    x.multiply(shape);
    check_result(shape, x);
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        const double limit = multiply_add_rate(device), dot = bf16_dot_rate(device),
                     tile = tile_product_rate(device);
        const double seconds = seconds_of([&] {
            for (int64_t i = 0; i < inner; ++i) x.multiply(shape);
        });
        rates.push_back(flop * double(inner) / seconds);
        limit_shares.push_back(rates.back() / limit);
        dot_shares.push_back(dot > 0.0 ? rates.back() / dot : 0.0);
        tile_shares.push_back(tile > 0.0 && dtype == DType::BF16 ? rates.back() / tile : 0.0);
    }
    const auto bytes = double(x.a.bytes() + x.b.bytes() + x.c.bytes());
    return {.shape = shape,
            .dtype = dtype,
            .threads = device.threads(),
            .gflops = median(rates) * 1e-9,
            .limit_share = median(limit_shares),
            .dot_share = median(dot_shares),
            .tile_share = median(tile_shares),
            .gigabytes = bytes * median(rates) / flop * 1e-9};
}

std::string transposes(const GemmShape& shape) {
    return std::string(shape.transpose_a ? "T" : "N") + (shape.transpose_b ? "T" : "N");
}

}  // namespace

std::vector<GemmShape> default_gemm_shapes() {
    std::vector<GemmShape> shapes;
    const int64_t sizes[][3] = {{1024, 1024, 1024}, {2048, 2048, 2048}, {512, 4096, 4096},
                                {512, 2048, 5632},  {577, 1024, 4096},  {1000, 128, 128},
                                {1000, 384, 128},   {128, 384, 1000}};
    for (const auto& [m, n, k] : sizes) {
        shapes.push_back({m, n, k, false, false});
        shapes.push_back({m, n, k, false, true});
        shapes.push_back({m, n, k, true, false});
    }
    for (const int64_t rows : {1, 8}) shapes.push_back({rows, 4096, 4096, false, true});
    return shapes;
}

std::vector<GemmMeasurement> bench_gemm(CpuDevice& device, DType dtype,
                                        const std::vector<GemmShape>& shapes, int repetitions) {
    std::vector<GemmMeasurement> measurements;
    for (const GemmShape& shape : shapes)
        measurements.push_back(measure(device, dtype, shape, repetitions));
    return measurements;
}

std::string gemm_table(const CpuDevice& device, const std::vector<GemmMeasurement>& measurements) {
    std::string table = device.name() +
                        "\n  m x n x k                 dtype    GF/s   of FMA  "
                        "of dpbf16   of AMX   GB/s\n";
    for (const GemmMeasurement& x : measurements) {
        const std::string shape =
            str(x.shape.m, " x ", x.shape.n, " x ", x.shape.k, " ", transposes(x.shape));
        char line[128];
        std::snprintf(line, sizeof(line),
                      "  %-25s %-5s %8.1f  %6.1f %%  %7.1f %%  %5.1f %%  %6.1f\n", shape.c_str(),
                      dtype_name(x.dtype), x.gflops, 100.0 * x.limit_share, 100.0 * x.dot_share,
                      100.0 * x.tile_share, x.gigabytes);
        table += line;
    }
    return table;
}

Json gemm_json(const CpuDevice& device, const std::vector<GemmMeasurement>& measurements) {
    Json rows = Json::array();
    for (const GemmMeasurement& x : measurements)
        rows.push_back({{"m", x.shape.m},
                        {"n", x.shape.n},
                        {"k", x.shape.k},
                        {"transposes", transposes(x.shape)},
                        {"dtype", dtype_name(x.dtype)},
                        {"threads", x.threads},
                        {"gflops", x.gflops},
                        {"share_of_multiply_add", x.limit_share},
                        {"share_of_bf16_dot", x.dot_share},
                        {"share_of_tile_product", x.tile_share},
                        {"gigabytes_per_second", x.gigabytes}});
    return {{"device", device.name()}, {"gemm", rows}};
}

}  // namespace vila::tools
