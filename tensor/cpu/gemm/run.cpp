// Runs matrix products on the threads of a device: chooses between gemm_part() and gemv_columns(),
// sets the number of threads, and allocates the workspace.

#include <algorithm>

#include "tensor/cpu/gemm/gemm.h"
#include "tensor/cpu/gemm/pack.h"
#include "tensor/cpu/parallel.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

namespace {

// The least work for a thread, per element of device.elements_per_thread: 2 million multiply-adds,
// about 25 microseconds, or 256 KiB of weights.
constexpr int64_t kProductPerElement = 128;
constexpr int64_t kBytesPerElement = 16;
// Weights of an item of skinny_gemm(): 80 microseconds, so that threads end together.
constexpr int64_t kBytesPerItem = 1 << 20;

// Calls body(task, slot) for every task. Slots run in parallel.
template <typename Body>
void run_tasks(const CpuDevice& device, int64_t tasks, int64_t slots, const Body& body) {
    parallel_parts(device, slots, [&](int64_t slot) {
        for (int64_t task = tasks * slot / slots; task < tasks * (slot + 1) / slots; ++task)
            body(task, slot);
    });
}

void skinny_gemm(CpuDevice& device, const GemmKernels& kernels, const GemmProblem& problem) {
    const int64_t bytes = problem.n * problem.k * problem.b.element_size();
    const int64_t threads = std::clamp<int64_t>(
        bytes / (kBytesPerElement * device.elements_per_thread), 1, device.threads());
    // Memory does not serve all cores alike: a thread that is done takes the next panels.
    const int64_t panel_bytes = bytes / problem.n * kernels.nr;
    const int64_t columns =
        threads == 1 ? problem.n : ceil_div(kBytesPerItem, panel_bytes) * kernels.nr;
    const GemmPlan plan = plan_gemm(kernels, problem, 1);
    Tensor copy;
    SkinnyRows a = {static_cast<const float*>(problem.a.data), problem.a.row_stride, 1};
    if (problem.a.dtype != DType::F32 || problem.a.column_stride != 1) {
        copy = Tensor::empty(device, {problem.m * plan.k}, DType::F32);
        a = pack_skinny_rows(kernels, problem, plan, copy.data<float>());
    }
    parallel_items(device, static_cast<int>(threads), ceil_div(problem.n, columns),
                   [&](int64_t item, int) {
                       gemv_columns(kernels, problem, plan, a, item * columns,
                                    std::min((item + 1) * columns, problem.n));
                   });
}

}  // namespace

void gemm(CpuDevice& device, int64_t count, const std::function<GemmProblem(int64_t)>& problem) {
    if (count == 0) return;
    const GemmProblem first = problem(0);
    const GemmKernels kernels = gemm_kernels(device.isa(), first);
    if (first.m <= std::ssize(kernels.skinny) && first.b.row_stride == 1) {
        for (int64_t i = 0; i < count; ++i) skinny_gemm(device, kernels, problem(i));
        return;
    }
    const int64_t threads = std::clamp<int64_t>(
        count * first.m * first.n * first.k / (kProductPerElement * device.elements_per_thread), 1,
        device.threads());
    // Threads get whole matrices where there are enough of them.
    const GemmPlan plan = plan_gemm(kernels, first, ceil_div(threads, count));
    const int64_t tasks = count * plan.parts(), slots = std::min(threads, tasks);
    const Tensor workspace = Tensor::empty(device, {slots, plan.workspace()}, DType::F32);
    run_tasks(device, tasks, slots, [&](int64_t task, int64_t slot) {
        gemm_part(kernels, problem(task / plan.parts()), plan, task % plan.parts(),
                  workspace.data<float>() + slot * plan.workspace());
    });
}

}  // namespace vila::cpu_kernels
