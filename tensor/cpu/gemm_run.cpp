// Matrix products on the threads of a device: which road, how many threads, whose workspace.

#include <algorithm>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/gemm_pack.h"

namespace vila::cpu_kernels {

namespace {

// What a thread should get at least, per element of device.elements_per_thread: 2 million
// multiply-adds, about 25 microseconds, or 256 KiB of weights.
constexpr int64_t kProductPerElement = 128;
constexpr int64_t kBytesPerElement = 16;

// Calls body(task, slot) for every task, slots running in parallel.
template <typename Body>
void run_tasks(int64_t tasks, int64_t slots, const Body& body) {
    const auto run_slot = [&](int64_t slot) {
        for (int64_t task = tasks * slot / slots; task < tasks * (slot + 1) / slots; ++task)
            body(task, slot);
    };
    if (slots <= 1) return run_slot(0);
#pragma omp parallel for num_threads(static_cast <int>(slots)) schedule(static)
    for (int64_t slot = 0; slot < slots; ++slot) run_slot(slot);
}

// a (m, k) in f32, rows k apart.
void widen(const GemmProblem& problem, float* out) {
    const MatrixView& a = problem.a;
    for (int64_t i = 0; i < problem.m; ++i) {
        for (int64_t p = 0; p < problem.k; ++p) {
            const int64_t at = i * a.row + p * a.column;
            out[i * problem.k + p] =
                a.dtype == DType::F32
                    ? static_cast<const float*>(a.data)[at]
                    : static_cast<float>(static_cast<const BFloat16*>(a.data)[at]);
        }
    }
}

void few_rows(CpuDevice& device, const GemmKernels& kernels, const GemmProblem& problem) {
    const int64_t bytes = problem.n * problem.k * problem.b.element_size();
    const int64_t slots = std::clamp<int64_t>(
        bytes / (kBytesPerElement * device.elements_per_thread), 1, device.threads());
    const Tensor a_f32 = Tensor::empty(device, {problem.m * problem.k}, DType::F32);
    widen(problem, a_f32.data<float>());
    run_tasks(slots, slots, [&](int64_t task, int64_t) {
        gemv_columns(kernels, problem, a_f32.data<float>(), problem.n * task / slots,
                     problem.n * (task + 1) / slots);
    });
}

}  // namespace

void gemm(CpuDevice& device, int64_t count, const std::function<GemmProblem(int64_t)>& problem) {
    if (count == 0) return;
    const GemmProblem first = problem(0);
    const GemmKernels kernels = gemm_kernels(device.isa(), first);
    if (first.m <= kMaxDotRows && first.b.row == 1) {
        for (int64_t i = 0; i < count; ++i) few_rows(device, kernels, problem(i));
        return;
    }
    const int64_t threads = std::clamp<int64_t>(
        count * first.m * first.n * first.k / (kProductPerElement * device.elements_per_thread), 1,
        device.threads());
    // Whole matrices to threads where there are enough of them.
    const GemmPlan plan = plan_gemm(kernels, first, (threads + count - 1) / count);
    const int64_t tasks = count * plan.parts(), slots = std::min(threads, tasks);
    const Tensor workspace = Tensor::empty(device, {slots, plan.workspace()}, DType::F32);
    run_tasks(tasks, slots, [&](int64_t task, int64_t slot) {
        gemm_part(kernels, problem(task / plan.parts()), plan, task % plan.parts(),
                  workspace.data<float>() + slot * plan.workspace());
    });
}

}  // namespace vila::cpu_kernels
