// Products by cuBLASLt. The library decides by sizes, layouts and alignments which of its kernels
// to run; what it decided is kept under all of these, so that a warm step only launches.
//
// Our matrices are row-major and the library's column-major: it computes c^T = b^T a^T, with a and
// b exchanged and n rows by m columns, from the same memory.
//
// f32 is computed in f32 (TF32 on request), bf16 is summed in f32. Sums may be cut up, but the
// parts come together in a fixed order: the same bits every time on the same GPU and library.
// Unlike gemm_tiled, a row's bits may depend on how many rows there are.
//
// Epilogues spare the memory a reading and a writing of c each: an addend is the library's matrix
// c with beta 1, where an accumulating product gives d's own memory; GELU is one of its own.

#include "cuda/gemm_cublas.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "tensor/tensor.h"

namespace vila::cuda {

namespace {

// What the library asks for on GPUs of compute capability 9.0; others need less.
constexpr uint64_t kMostWorkspaceBytes = 32 << 20;
// More than this no algorithm wants to know.
constexpr uint64_t kMostAlignment = 256;

LtDataType data_type(DType dtype) {
    VILA_ASSERT(dtype == DType::F32 || dtype == DType::BF16);
    return dtype == DType::F32 ? kLtF32 : kLtBf16;
}

// A matrix as it lies in memory: `lines` of `length` elements, `step` apart; the matrix itself
// or, with `across`, its transpose.
struct Lines {
    int64_t lines, length, step;
    bool across;
};

Lines lines_of(const MatrixView& view, int64_t rows, int64_t columns) {
    if (view.column_step == 1) return {rows, columns, view.row_step, false};
    return {columns, rows, view.column_step, true};
}

// Lines that follow each other. The step of a single line means nothing.
bool apart(const Lines& x) {
    return x.lines == 1 || x.step >= x.length;
}

int64_t step_of(const Lines& x) {
    return std::max(x.step, x.length);
}

// The largest power of two, up to kMostAlignment, that divides an address.
int64_t alignment(const void* address) {
    const auto bits = reinterpret_cast<uintptr_t>(address) | kMostAlignment;
    return static_cast<int64_t>(bits & (~bits + 1));
}

// The same batches with fewer axes: those of one are left out, and two that lie in memory like one
// become one.
BatchAxes merged(const BatchAxes& batch) {
    BatchAxes result;
    for (int axis = 0; axis < batch.rank; ++axis) {
        if (batch.extent[axis] == 1) continue;
        const int last = result.rank - 1;
        const auto follows = [&](const int64_t* merged_steps, const int64_t* steps) {
            return steps[axis] == merged_steps[last] * result.extent[last];
        };
        if (last >= 0 && follows(result.a, batch.a) && follows(result.b, batch.b) &&
            follows(result.c, batch.c)) {
            result.extent[last] *= batch.extent[axis];
            continue;
        }
        const int at = result.rank++;
        result.extent[at] = batch.extent[axis];
        result.a[at] = batch.a[axis];
        result.b[at] = batch.b[axis];
        result.c[at] = batch.c[axis];
    }
    return result;
}

// Problem number `index` along all batch axes but the innermost.
GemmProblem outer_problem(const GemmProblem& problem, const BatchAxes& batch, int64_t index) {
    int64_t a = 0, b = 0, c = 0;
    for (int axis = 1; axis < batch.rank; ++axis) {
        const int64_t i = index % batch.extent[axis];
        index /= batch.extent[axis];
        a += i * batch.a[axis];
        b += i * batch.b[axis];
        c += i * batch.c[axis];
    }
    GemmProblem one = problem;
    one.a.data = static_cast<const char*>(one.a.data) + a * dtype_size(one.a.dtype);
    one.b.data = static_cast<const char*>(one.b.data) + b * dtype_size(one.b.dtype);
    one.c = static_cast<char*>(one.c) + c * dtype_size(one.c_dtype);
    one.batch = {};
    one.batch.rank = 1;
    one.batch.extent[0] = batch.rank == 0 ? 1 : batch.extent[0];
    one.batch.a[0] = batch.a[0];
    one.batch.b[0] = batch.b[0];
    one.batch.c[0] = batch.c[0];
    return one;
}

// What the library wants of the rows in which it keeps GELU's argument.
constexpr int64_t kKeptColumns = 8, kKeptAlignment = 16;

bool epilogue_is_ours(const GemmProblem& problem) {
    if (!problem.has_epilogue()) return true;
    const bool keeps = problem.before_gelu != nullptr;
    return problem.batch.count() == 1 && !problem.accumulate &&
           (!keeps || (problem.c_row % kKeptColumns == 0 &&
                       alignment(problem.before_gelu) >= kKeptAlignment));
}

bool is_ours(const GemmProblem& problem) {
    const DType dtype = problem.a.dtype;
    return (dtype == DType::F32 || dtype == DType::BF16) && problem.b.dtype == dtype &&
           (problem.c_dtype == dtype || problem.c_dtype == DType::F32) && problem.k > 0 &&
           apart(lines_of(problem.a, problem.m, problem.k)) &&
           apart(lines_of(problem.b, problem.k, problem.n)) &&
           apart({problem.m, problem.n, problem.c_row, false}) && epilogue_is_ours(problem);
}

// Hands a value to one of the library's set functions.
template <typename Function, typename Object, typename Attribute, typename Value>
LtStatus set(Function function, Object* object, Attribute attribute, const Value& value) {
    return function(object, attribute, &value, sizeof(value));
}

}  // namespace

// What was decided about one kind of product.
struct CublasGemm::Plan {
    const CublasLt* lt;
    LtProduct* product = nullptr;
    LtLayout *a = nullptr, *b = nullptr, *c = nullptr;  // of our a, b and c
    bool possible = false;                              // the library has an algorithm
    LtAlgorithm algorithm = {};
    int64_t workspace_bytes = 0;

    explicit Plan(const CublasLt& library) : lt(&library) {}
    ~Plan() {
        for (LtLayout* layout : {a, b, c})
            if (layout != nullptr) static_cast<void>(lt->destroy_layout(layout));
        if (product != nullptr) static_cast<void>(lt->destroy_product(product));
    }
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;
};

CublasGemm::CublasGemm() : lt_(open_cublas_lt()) {
    check(lt_.create(&context_), "start");
}

CublasGemm::~CublasGemm() {
    plans_.clear();
    static_cast<void>(lt_.destroy(context_));
}

void CublasGemm::check(LtStatus status, const char* what) const {
    VILA_CHECK(status == 0, "[matmul] ", lt_.file, " (version ", lt_.version(), ") failed to ",
               what, ": ", lt_.status_name(status));
}

bool CublasGemm::multiply(CudaDevice& device, const GemmProblem& problem) {
    if (!is_ours(problem)) return false;
    const BatchAxes batch = merged(problem.batch);
    const int64_t outer = batch.rank == 0 ? 1 : batch.count() / batch.extent[0];
    std::vector<std::pair<GemmProblem, const Plan*>> calls;
    for (int64_t i = 0; i < outer; ++i) {
        const GemmProblem one = outer_problem(problem, batch, i);
        calls.emplace_back(one, &plan_for(device, one));
        if (!calls.back().second->possible) return false;
    }
    device.make_current();
    for (const auto& [one, plan] : calls) launch(device, one, *plan);
    return true;
}

const CublasGemm::Plan& CublasGemm::plan_for(CudaDevice& device, const GemmProblem& problem) {
    const Lines a = lines_of(problem.a, problem.m, problem.k);
    const Lines b = lines_of(problem.b, problem.k, problem.n);
    const BatchAxes& batch = problem.batch;
    const Key key = {problem.m,
                     problem.n,
                     problem.k,
                     step_of(a),
                     a.across,
                     step_of(b),
                     b.across,
                     problem.c_row,
                     static_cast<int64_t>(problem.a.dtype),
                     static_cast<int64_t>(problem.c_dtype),
                     problem.bias != nullptr,
                     batch.extent[0],
                     batch.a[0],
                     batch.b[0],
                     batch.c[0],
                     alignment(problem.a.data),
                     alignment(problem.b.data),
                     alignment(problem.c),
                     device.uses_tf32,
                     problem.addend == nullptr ? 0 : alignment(problem.addend),
                     problem.gelu,
                     problem.before_gelu == nullptr ? 0 : alignment(problem.before_gelu)};
    std::unique_ptr<Plan>& plan = plans_[key];
    if (plan != nullptr) return *plan;
    auto made = std::make_unique<Plan>(lt_);
    describe(device, problem, *made);
    choose(problem, *made);
    if (!made->possible && !problem.has_epilogue())
        device.say(str(device.name(), ": [matmul] cuBLASLt has no algorithm for (", problem.m, ", ",
                       problem.k, ") x (", problem.k, ", ", problem.n, ") in ", problem.a.dtype,
                       "; a plain kernel computes it, many times slower"));
    plan = std::move(made);
    return *plan;
}

void CublasGemm::describe(const CudaDevice& device, const GemmProblem& problem, Plan& plan) {
    const BatchAxes& batch = problem.batch;
    const auto layout = [&](LtLayout*& made, DType dtype, const Lines& lines, int64_t batch_step) {
        check(lt_.create_layout(&made, data_type(dtype), static_cast<uint64_t>(lines.length),
                                static_cast<uint64_t>(lines.lines), step_of(lines)),
              "describe a matrix");
        check(set(lt_.set_layout, made, kLtBatchCount, static_cast<int32_t>(batch.extent[0])),
              "set the batch");
        check(set(lt_.set_layout, made, kLtBatchStride, batch_step), "set the batch's step");
    };
    const Lines a = lines_of(problem.a, problem.m, problem.k);
    const Lines b = lines_of(problem.b, problem.k, problem.n);
    layout(plan.a, problem.a.dtype, a, batch.a[0]);
    layout(plan.b, problem.b.dtype, b, batch.b[0]);
    layout(plan.c, problem.c_dtype, {problem.m, problem.n, problem.c_row, false}, batch.c[0]);

    const bool tf32 = device.uses_tf32 && problem.a.dtype == DType::F32;
    check(lt_.create_product(&plan.product, tf32 ? kLtComputeTf32 : kLtComputeF32, kLtF32),
          "describe a product");
    // Lines are the library's columns: a matrix whose lines are its rows is already transposed.
    const auto operation = [](const Lines& x) { return x.across ? kLtTransposed : kLtAsItIs; };
    check(set(lt_.set_product, plan.product, kLtTransposeA, operation(b)), "set b's order");
    check(set(lt_.set_product, plan.product, kLtTransposeB, operation(a)), "set a's order");
    const bool keeps = problem.before_gelu != nullptr;
    const int epilogue = (problem.bias != nullptr ? kLtBias : 0) | (problem.gelu ? kLtGelu : 0) |
                         (keeps ? kLtKeep : 0);
    if (epilogue == 0) return;
    check(set(lt_.set_product, plan.product, kLtEpilogue, epilogue), "ask for an epilogue");
    if (keeps) {
        check(set(lt_.set_product, plan.product, kLtKeepStep, problem.c_row), "set kept rows");
        check(set(lt_.set_product, plan.product, kLtKeepPointer, problem.before_gelu),
              "set what is kept");
    }
    if (problem.bias == nullptr) return;
    check(set(lt_.set_product, plan.product, kLtBiasDataType, data_type(problem.c_dtype)),
          "set the bias's dtype");
    check(set(lt_.set_product, plan.product, kLtBiasPointer, problem.bias), "set the bias");
}

void CublasGemm::choose(const GemmProblem& problem, Plan& plan) {
    LtPreference* made = nullptr;
    check(lt_.create_preference(&made), "describe wishes");
    const std::unique_ptr<LtPreference, LtStatus (*)(LtPreference*)> wishes(made,
                                                                            lt_.destroy_preference);
    const auto wish = [&](LtPreferenceAttribute attribute, const auto& value) {
        check(set(lt_.set_preference, made, attribute, value), "set a wish");
    };
    const auto aligned = [](const void* address) {
        return static_cast<uint32_t>(alignment(address));
    };
    wish(kLtMostWorkspace, kMostWorkspaceBytes);
    wish(kLtReductionMask, kLtReduceInWorkspace);
    wish(kLtAlignmentA, aligned(problem.b.data));
    wish(kLtAlignmentB, aligned(problem.a.data));
    wish(kLtAlignmentC, aligned(problem.addend != nullptr ? problem.addend : problem.c));
    wish(kLtAlignmentD, aligned(problem.c));
    LtChoice choice = {};
    int found = 0;
    const LtStatus status = lt_.choose(context_, plan.product, plan.b, plan.a, plan.c, plan.c, made,
                                       1, &choice, &found);
    plan.possible = status == 0 && found > 0 && choice.status == 0;
    plan.algorithm = choice.algorithm;
    plan.workspace_bytes = static_cast<int64_t>(choice.workspace_bytes);
}

void CublasGemm::launch(CudaDevice& device, const GemmProblem& problem, const Plan& plan) {
    // Freed when the host leaves; the stream keeps the order in which they are used.
    const Tensor workspace = Tensor::empty(device, {plan.workspace_bytes}, DType::U8);
    Tensor bias;
    if (problem.bias != nullptr) {
        // The library wants it in the dtype of c.
        const auto keep = [] {};
        bias = Tensor::from_external(device, const_cast<void*>(problem.bias), {problem.n},
                                     problem.bias_dtype, keep)
                   .to(problem.c_dtype);
        check(set(lt_.set_product, plan.product, kLtBiasPointer, bias.raw()), "set the bias");
    }
    if (problem.before_gelu != nullptr)
        check(set(lt_.set_product, plan.product, kLtKeepPointer, problem.before_gelu),
              "set what is kept");
    const auto alpha = static_cast<float>(problem.alpha);
    const void* const addend = problem.addend != nullptr ? problem.addend : problem.c;
    const float beta = problem.accumulate || problem.addend != nullptr ? 1.0F : 0.0F;
    check(lt_.multiply(context_, plan.product, &alpha, problem.b.data, plan.b, problem.a.data,
                       plan.a, &beta, addend, plan.c, problem.c, plan.c, &plan.algorithm,
                       workspace.raw(), static_cast<size_t>(plan.workspace_bytes), device.stream()),
          "multiply");
    device.launched();
}

}  // namespace vila::cuda
