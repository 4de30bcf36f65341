// Times our matrix product, OpenBLAS's and a loop of multiply-adds, taking turns in one process. It
// is not part of the build. From the root, with libopenblas0-openmp and libopenblas-openmp-dev
// installed:
//
//   g++ -std=c++20 -O3 -fopenmp -I. tests/peers/openblas_gemm.cpp tools/base/machine_limits.cpp
//       build/tensor/libvila_tensor.a -lopenblas -o build/openblas_gemm
//   OPENBLAS_CORETYPE=SkylakeX build/openblas_gemm THREADS [f32|bf16]
//
// The core type matters: OpenBLAS 0.3.21 does not know Zen 4 and chooses slower kernels for it. It
// has no bf16 product here, so for bf16 the peer is the loop of bf16 dot products.

#include <omp.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tensor/cpu/cpu_device.h"
#include "tensor/kernels.h"
#include "tensor/random.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"

extern "C" {
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float* a, int a_stride, const float* b, int b_stride, float beta, float* c,
                 int c_stride);
void openblas_set_num_threads(int threads);
char* openblas_get_corename();
}

namespace vila {
namespace {

constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112, kRounds = 11;

struct Product {
    int m, n, k;
    bool transpose_a, transpose_b;
    Tensor a, b, ours, theirs;

    Product(CpuDevice& device, int rows, int columns, int inner, const std::string& layout)
        : m(rows),
          n(columns),
          k(inner),
          transpose_a(layout[0] == 'T'),
          transpose_b(layout[1] == 'T') {
        const auto random = [&](Shape shape, uint64_t key) {
            std::vector<float> values(static_cast<size_t>(shape.numel()));
            for (size_t i = 0; i < values.size(); ++i)
                values[i] = static_cast<float>(random_uniform(key, i)) - 0.5F;
            return Tensor::from_values<float>(device, shape, values);
        };
        a = random(transpose_a ? Shape{k, m} : Shape{m, k}, 1);
        b = random(transpose_b ? Shape{n, k} : Shape{k, n}, 2);
        ours = Tensor::zeros(device, {m, n}, DType::F32);
        theirs = Tensor::zeros(device, {m, n}, DType::F32);
    }

    double flop() const { return 2.0 * m * n * k; }

    void run_ours(Device& device) {
        call(device, "matmul", &Kernels::matmul,
             {.a = a, .b = b, .c = ours, .transpose_a = transpose_a, .transpose_b = transpose_b});
    }

    void run_theirs() {
        cblas_sgemm(kRowMajor, transpose_a ? kTransposed : kPlain,
                    transpose_b ? kTransposed : kPlain, m, n, k, 1.0F, a.data<float>(),
                    static_cast<int>(a.size(1)), b.data<float>(), static_cast<int>(b.size(1)), 0.0F,
                    theirs.data<float>(), n);
    }
};

void measure(CpuDevice& device, Product& product, const char* layout, bool bf16) {
    if (bf16)
        for (Tensor* tensor : {&product.a, &product.b, &product.ours})
            *tensor = tensor->to(DType::BF16);
    const int calls = std::max(1, static_cast<int>(4e9 / product.flop()));
    std::vector<double> rates, ratios, shares;
    for (int round = 0; round < kRounds; ++round) {
        const double limit = bf16 ? tools::bf16_dot_rate(device) : tools::multiply_add_rate(device);
        const double ours = tools::seconds_of([&] {
            for (int i = 0; i < calls; ++i) product.run_ours(device);
        });
        const double theirs = bf16 ? 0.0 : tools::seconds_of([&] {
            for (int i = 0; i < calls; ++i) product.run_theirs();
        });
        rates.push_back(calls * product.flop() / ours);
        ratios.push_back(theirs / ours);
        shares.push_back(rates.back() / limit);
    }
    std::printf("%5d x %5d x %5d %s  %7.1f GF/s  %.3f of %s", product.m, product.n, product.k,
                layout, tools::median(rates) * 1e-9, tools::median(shares),
                bf16 ? "the dot loop\n" : "FMA");
    if (!bf16) std::printf("  %.3f of OpenBLAS\n", tools::median(ratios));
    std::fflush(stdout);
}

int run(int threads, bool bf16) {
    const auto device = make_cpu_device(threads);
    openblas_set_num_threads(threads);
    std::printf("%s, %d threads, OpenBLAS for %s\n", device->name().c_str(), threads,
                openblas_get_corename());
    constexpr int kShapes[][3] = {
        {1024, 1024, 1024}, {2048, 2048, 2048}, {512, 4096, 4096}, {512, 2048, 5632}};
    for (const auto& [m, n, k] : kShapes)
        for (const char* layout : {"NN", "NT", "TN"}) {
            Product product(*device, m, n, k, layout);
            measure(*device, product, layout, bf16);
        }
    return 0;
}

}  // namespace
}  // namespace vila

int main(int argc, char** argv) {
    return vila::run(argc > 1 ? std::atoi(argv[1]) : 1, argc > 2 && std::string(argv[2]) == "bf16");
}
