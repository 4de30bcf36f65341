// Matrix products by cuBLASLt. The library's heuristic picks an algorithm from shapes, layouts and
// alignments; a Plan keeps the descriptors and the algorithm under a key of all of these, so that a
// warm step only launches.
//
// Our matrices are row-major and the library's are column-major. It computes c^T = b^T a^T, with a
// and b exchanged and n rows by m columns, from the same memory.
//
// f32 is computed in f32 (in TF32 on request), bf16 is summed in f32. The library may split k, but
// only where it adds the partial sums in a fixed order: the same bits every time on the same GPU
// and library. Unlike in gemm_tiled, the bits of a row may depend on the number of rows.
//
// An epilogue saves one read and one write of c. A residual is passed as the library's matrix c
// with beta 1, where an accumulating product passes d itself; GELU is an epilogue of the library.

#include "cuda/gemm_cublas.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/gemm_batch.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "tensor/tensor.h"

namespace vila::cuda {

namespace {

// The workspace that NVIDIA recommends for compute capability 9.0; other GPUs need less.
constexpr uint64_t kMaxWorkspaceBytes = 32 << 20;
// No algorithm asks for a larger alignment.
constexpr uint64_t kMaxAlignment = 256;

LtDataType data_type(DType dtype) {
    VILA_ASSERT(dtype == DType::F32 || dtype == DType::BF16);
    return dtype == DType::F32 ? kLtR32F : kLtR16BF;
}

// A row-major matrix x as the library sees its memory: a column-major one with leading dimension
// `ld`. Where the rows of x are contiguous it holds x^T, which is what the product needs; else it
// holds x and `transposed` is true.
struct ColumnMajor {
    int64_t rows, columns, ld;
    bool transposed;
};

ColumnMajor column_major(const MatrixView& view, int64_t rows, int64_t columns) {
    if (view.column_stride == 1) return {columns, rows, view.row_stride, false};
    return {rows, columns, view.column_stride, true};
}

// Returns true if the columns of the matrix do not overlap. The leading dimension of a single
// column has no meaning.
bool has_separate_columns(const ColumnMajor& x) {
    return x.columns == 1 || x.ld >= x.rows;
}

// The leading dimension to pass to the library, which requires at least `rows`.
int64_t leading_dimension(const ColumnMajor& x) {
    return std::max(x.ld, x.rows);
}

// The largest power of two, up to kMaxAlignment, that divides an address.
int64_t alignment(const void* address) {
    const auto bits = reinterpret_cast<uintptr_t>(address) | kMaxAlignment;
    return static_cast<int64_t>(bits & (~bits + 1));
}

// Requirements on the auxiliary matrix that receives GELU's argument: its leading dimension is a
// multiple of 8, its address a multiple of 16 bytes.
constexpr int64_t kAuxLdMultiple = 8, kAuxAlignment = 16;

bool supports_epilogue(const BatchedGemm& problem) {
    if (!problem.has_epilogue()) return true;
    const bool has_aux = problem.pre_activation != nullptr;
    return problem.batch.count() == 1 && !problem.accumulate &&
           (!has_aux || (problem.c_row_stride % kAuxLdMultiple == 0 &&
                         alignment(problem.pre_activation) >= kAuxAlignment));
}

bool supports(const BatchedGemm& problem) {
    const DType dtype = problem.a.dtype;
    return (dtype == DType::F32 || dtype == DType::BF16) && problem.b.dtype == dtype &&
           (problem.c_dtype == dtype || problem.c_dtype == DType::F32) && problem.k > 0 &&
           has_separate_columns(column_major(problem.a, problem.m, problem.k)) &&
           has_separate_columns(column_major(problem.b, problem.k, problem.n)) &&
           has_separate_columns({problem.n, problem.m, problem.c_row_stride, false}) &&
           supports_epilogue(problem);
}

// Calls one of the library's ...SetAttribute functions.
template <typename Function, typename Object, typename Attribute, typename Value>
LtStatus set(Function function, Object* object, Attribute attribute, const Value& value) {
    return function(object, attribute, &value, sizeof(value));
}

}  // namespace

// The descriptors of one kind of product, and the algorithm that the heuristic picked for it.
struct CublasGemm::Plan {
    const CublasLt* lt;
    LtMatmulDesc* desc = nullptr;
    LtMatrixLayout *a = nullptr, *b = nullptr, *c = nullptr;  // of our a, b and c
    bool has_algorithm = false;
    LtMatmulAlgo algo = {};
    int64_t workspace_bytes = 0;

    explicit Plan(const CublasLt& library) : lt(&library) {}
    ~Plan() {
        for (LtMatrixLayout* layout : {a, b, c})
            if (layout != nullptr) static_cast<void>(lt->matrix_layout_destroy(layout));
        if (desc != nullptr) static_cast<void>(lt->matmul_desc_destroy(desc));
    }
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;
};

CublasGemm::CublasGemm() : lt_(open_cublas_lt()) {
    check(lt_.create(&context_), "cublasLtCreate");
}

CublasGemm::~CublasGemm() {
    plans_.clear();
    static_cast<void>(lt_.destroy(context_));
}

void CublasGemm::check(LtStatus status, const char* call) const {
    VILA_CHECK(status == 0, "[matmul] ", call, " failed: ", lt_.get_status_name(status), " (",
               lt_.file, ", version ", lt_.get_version(), ")");
}

bool CublasGemm::multiply(CudaDevice& device, const BatchedGemm& problem) {
    if (!supports(problem)) return false;
    const BatchAxes batch = merge_axes(problem.batch);
    const int64_t outer = batch.rank == 0 ? 1 : batch.count() / batch.extent[0];
    std::vector<std::pair<BatchedGemm, const Plan*>> calls;
    for (int64_t i = 0; i < outer; ++i) {
        const BatchedGemm one = outer_problem(problem, batch, i);
        calls.emplace_back(one, &plan_for(device, one));
        if (!calls.back().second->has_algorithm) return false;
    }
    device.make_current();
    for (const auto& [one, plan] : calls) launch(device, one, *plan);
    return true;
}

const CublasGemm::Plan& CublasGemm::plan_for(CudaDevice& device, const BatchedGemm& problem) {
    const ColumnMajor a = column_major(problem.a, problem.m, problem.k);
    const ColumnMajor b = column_major(problem.b, problem.k, problem.n);
    const BatchAxes& batch = problem.batch;
    const Key key = {problem.m,
                     problem.n,
                     problem.k,
                     leading_dimension(a),
                     a.transposed,
                     leading_dimension(b),
                     b.transposed,
                     problem.c_row_stride,
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
                     device.options.allow_tf32,
                     problem.residual == nullptr ? 0 : alignment(problem.residual),
                     problem.gelu,
                     problem.pre_activation == nullptr ? 0 : alignment(problem.pre_activation)};
    std::unique_ptr<Plan>& plan = plans_[key];
    if (plan != nullptr) return *plan;
    auto made = std::make_unique<Plan>(lt_);
    create_descriptors(device, problem, *made);
    choose_algorithm(problem, *made);
    if (!made->has_algorithm && !problem.has_epilogue())
        device.options.warn(str(device.name(), ": [matmul] cuBLASLt has no algorithm for (",
                                problem.m, ", ", problem.k, ") x (", problem.k, ", ", problem.n,
                                ") in ", problem.a.dtype,
                                "; a plain kernel computes it, many times slower"));
    plan = std::move(made);
    return *plan;
}

void CublasGemm::create_descriptors(const CudaDevice& device, const BatchedGemm& problem,
                                    Plan& plan) {
    const BatchAxes& batch = problem.batch;
    const auto create_layout = [&](LtMatrixLayout*& made, DType dtype, const ColumnMajor& x,
                                   int64_t batch_stride) {
        check(lt_.matrix_layout_create(&made, data_type(dtype), static_cast<uint64_t>(x.rows),
                                       static_cast<uint64_t>(x.columns), leading_dimension(x)),
              "cublasLtMatrixLayoutCreate");
        const auto set_attribute = [&](LtMatrixLayoutAttribute attribute, const auto& value) {
            check(set(lt_.matrix_layout_set_attribute, made, attribute, value),
                  "cublasLtMatrixLayoutSetAttribute");
        };
        set_attribute(kLtMatrixLayoutBatchCount, static_cast<int32_t>(batch.extent[0]));
        set_attribute(kLtMatrixLayoutStridedBatchOffset, batch_stride);
    };
    const ColumnMajor a = column_major(problem.a, problem.m, problem.k);
    const ColumnMajor b = column_major(problem.b, problem.k, problem.n);
    create_layout(plan.a, problem.a.dtype, a, batch.a[0]);
    create_layout(plan.b, problem.b.dtype, b, batch.b[0]);
    create_layout(plan.c, problem.c_dtype, {problem.n, problem.m, problem.c_row_stride, false},
                  batch.c[0]);

    const bool tf32 = device.options.allow_tf32 && problem.a.dtype == DType::F32;
    check(lt_.matmul_desc_create(&plan.desc, tf32 ? kLtCompute32FFastTf32 : kLtCompute32F, kLtR32F),
          "cublasLtMatmulDescCreate");
    const auto operation = [](const ColumnMajor& x) { return x.transposed ? kLtOpT : kLtOpN; };
    set_desc(plan, kLtMatmulDescTransA, operation(b));
    set_desc(plan, kLtMatmulDescTransB, operation(a));
    const bool has_bias = problem.bias != nullptr, has_aux = problem.pre_activation != nullptr;
    const int epilogue = (has_bias ? kLtEpilogueBias : 0) | (problem.gelu ? kLtEpilogueGelu : 0) |
                         (has_aux ? kLtEpilogueAux : 0);
    if (epilogue == 0) return;
    set_desc(plan, kLtMatmulDescEpilogue, epilogue);
    if (has_aux) {
        set_desc(plan, kLtMatmulDescEpilogueAuxLd, problem.c_row_stride);
        set_desc(plan, kLtMatmulDescEpilogueAuxPointer, problem.pre_activation);
    }
    if (has_bias) {
        set_desc(plan, kLtMatmulDescBiasDataType, data_type(problem.c_dtype));
        set_desc(plan, kLtMatmulDescBiasPointer, problem.bias);
    }
}

template <typename Value>
void CublasGemm::set_desc(const Plan& plan, LtMatmulDescAttribute attribute,
                          const Value& value) const {
    check(set(lt_.matmul_desc_set_attribute, plan.desc, attribute, value),
          "cublasLtMatmulDescSetAttribute");
}

void CublasGemm::choose_algorithm(const BatchedGemm& problem, Plan& plan) {
    LtMatmulPreference* made = nullptr;
    check(lt_.matmul_preference_create(&made), "cublasLtMatmulPreferenceCreate");
    const std::unique_ptr<LtMatmulPreference, LtStatus (*)(LtMatmulPreference*)> preference(
        made, lt_.matmul_preference_destroy);
    const auto set_preference = [&](LtMatmulPreferenceAttribute attribute, const auto& value) {
        check(set(lt_.matmul_preference_set_attribute, preference.get(), attribute, value),
              "cublasLtMatmulPreferenceSetAttribute");
    };
    const auto aligned = [](const void* address) {
        return static_cast<uint32_t>(alignment(address));
    };
    set_preference(kLtMatmulPrefMaxWorkspaceBytes, kMaxWorkspaceBytes);
    set_preference(kLtMatmulPrefReductionSchemeMask, kLtReductionSchemeComputeType);
    set_preference(kLtMatmulPrefMinAlignmentABytes, aligned(problem.b.data));
    set_preference(kLtMatmulPrefMinAlignmentBBytes, aligned(problem.a.data));
    set_preference(kLtMatmulPrefMinAlignmentCBytes,
                   aligned(problem.residual != nullptr ? problem.residual : problem.c));
    set_preference(kLtMatmulPrefMinAlignmentDBytes, aligned(problem.c));
    LtHeuristicResult result = {};
    int returned = 0;
    const LtStatus status =
        lt_.matmul_algo_get_heuristic(context_, plan.desc, plan.b, plan.a, plan.c, plan.c,
                                      preference.get(), 1, &result, &returned);
    plan.has_algorithm = status == 0 && returned > 0 && result.state == 0;
    plan.algo = result.algo;
    plan.workspace_bytes = static_cast<int64_t>(result.workspace_size);
}

void CublasGemm::launch(CudaDevice& device, const BatchedGemm& problem, const Plan& plan) {
    // Freed when this function returns; the stream orders the kernels that use the block.
    const Tensor workspace = Tensor::empty(device, {plan.workspace_bytes}, DType::U8);
    Tensor bias;
    if (problem.bias != nullptr) {
        // The library needs the bias in the dtype of c.
        const auto keep = [] {};
        bias = Tensor::from_external(device, const_cast<void*>(problem.bias), {problem.n},
                                     problem.bias_dtype, keep)
                   .to(problem.c_dtype);
        set_desc(plan, kLtMatmulDescBiasPointer, bias.raw());
    }
    if (problem.pre_activation != nullptr)
        set_desc(plan, kLtMatmulDescEpilogueAuxPointer, problem.pre_activation);
    const auto alpha = static_cast<float>(problem.alpha);
    const void* const residual = problem.residual != nullptr ? problem.residual : problem.c;
    const float beta = problem.accumulate || problem.residual != nullptr ? 1.0F : 0.0F;
    check(lt_.matmul(context_, plan.desc, &alpha, problem.b.data, plan.b, problem.a.data, plan.a,
                     &beta, residual, plan.c, problem.c, plan.c, &plan.algo, workspace.raw(),
                     static_cast<size_t>(plan.workspace_bytes), device.stream()),
          "cublasLtMatmul");
    device.launched();
}

}  // namespace vila::cuda
