// cuBLASLt, emulated: column-major matrices in host memory, multiplied by the blocked product of
// tensor/cpu/. It fails where the library does, and in some more cases:
//  - the columns of a matrix overlap, or the extents do not match;
//  - an algorithm is used for a different product than the one it was chosen for, or with less
//    aligned addresses, or with less workspace than it asked for (it overwrites the workspace);
//  - the library does not support this combination of dtypes;
//  - the leading dimension of GELU's auxiliary matrix is not a multiple of 8, or its address is not
//    a multiple of 16 bytes;
//  - the preference allows sums whose order changes from run to run.

#include "tests/cuda/emulation/cublas_lt.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "cuda/cublas_lt.h"
#include "tensor/cpu/gemm/gemm.h"
#include "tests/cuda/emulation/stream.h"

namespace vila::cuda {

struct LtContext {};

struct LtMatmulDesc {
    LtComputeType compute = kLtCompute32F;
    int32_t transpose_a = kLtOpN, transpose_b = kLtOpN;
    int epilogue = kLtEpilogueDefault;
    const void* bias = nullptr;
    int bias_type = -1;  // -1: the type of d
    void* aux = nullptr;
    int64_t aux_ld = 0;
};

struct LtMatrixLayout {
    int type = kLtR32F;
    int64_t rows = 0, columns = 0, ld = 0;
    int32_t batch = 1;
    int64_t batch_stride = 0;

    bool operator==(const LtMatrixLayout&) const = default;
};

struct LtMatmulPreference {
    uint64_t workspace = 0;
    uint32_t reductions = 7;
    uint32_t alignment[4] = {256, 256, 256, 256};
};

namespace {

constexpr LtStatus kInvalidValue = 7, kNotSupported = 15;
constexpr size_t kWorkspaceBytes = 1000;

// The product that an algorithm was chosen for, which the emulated library stores in LtMatmulAlgo.
struct ChosenFor {
    uint16_t a_rows, a_columns, b_rows, b_columns;
    int32_t batch, transposes, epilogue, types;
    uint32_t alignment[4];
};
static_assert(sizeof(ChosenFor) <= sizeof(LtMatmulAlgo));

ChosenFor chosen_for(const LtMatmulDesc& desc, const LtMatrixLayout& a, const LtMatrixLayout& b,
                     const LtMatrixLayout& d, const uint32_t* alignment) {
    ChosenFor made = {static_cast<uint16_t>(a.rows),
                      static_cast<uint16_t>(a.columns),
                      static_cast<uint16_t>(b.rows),
                      static_cast<uint16_t>(b.columns),
                      a.batch,
                      desc.transpose_a + 2 * desc.transpose_b,
                      desc.epilogue,
                      a.type + 100 * d.type,
                      {}};
    std::memcpy(made.alignment, alignment, sizeof(made.alignment));
    return made;
}

bool is_aligned(const void* address, uint32_t alignment) {
    return reinterpret_cast<uintptr_t>(address) % alignment == 0;
}

DType dtype_of_type(int type) {
    return type == kLtR16BF ? DType::BF16 : DType::F32;
}

bool is_supported(const LtMatmulDesc& desc, const LtMatrixLayout& a, const LtMatrixLayout& b,
                  const LtMatrixLayout& c, const LtMatrixLayout& d) {
    const bool transposed_a = desc.transpose_a == kLtOpT;
    const bool transposed_b = desc.transpose_b == kLtOpT;
    const int64_t m = transposed_a ? a.columns : a.rows, k = transposed_a ? a.rows : a.columns;
    const int64_t n = transposed_b ? b.rows : b.columns, b_k = transposed_b ? b.columns : b.rows;
    const bool types = (a.type == kLtR32F || a.type == kLtR16BF) && b.type == a.type &&
                       (d.type == a.type || d.type == kLtR32F);
    const bool bias =
        (desc.epilogue & kLtEpilogueBias) == 0 || desc.bias_type == -1 || desc.bias_type == d.type;
    const bool has_aux = (desc.epilogue & kLtEpilogueAux) != 0;
    const bool epilogue =
        desc.epilogue == kLtEpilogueDefault || desc.epilogue == kLtEpilogueBias ||
        ((desc.epilogue & kLtEpilogueGelu) != 0 && (desc.epilogue & kLtEpilogueDefault) == 0);
    if (has_aux && (desc.aux_ld % 8 != 0 || desc.aux_ld < d.rows || d.batch != 1)) return false;
    for (const LtMatrixLayout* x : {&a, &b, &d})
        if (x->ld < x->rows || x->batch < 1 || x->batch != d.batch) return false;
    return c == d && m == d.rows && n == d.columns && k == b_k && k > 0 && types && bias &&
           epilogue && (desc.compute == kLtCompute32F || a.type == kLtR32F);
}

template <typename T, typename... Values>
LtStatus make(T** made, const Values&... values) {
    *made = std::make_unique<T>(T{values...}).release();
    return 0;
}

template <typename T>
LtStatus unmake(T* object) {
    const std::unique_ptr<T> owner(object);
    return 0;
}

template <typename T>
LtStatus assign(T& field, const void* value, size_t bytes) {
    if (bytes != sizeof(T)) return kInvalidValue;
    std::memcpy(&field, value, bytes);
    return 0;
}

LtStatus matmul_desc_create(LtMatmulDesc** made, LtComputeType compute, LtDataType scale) {
    if (scale != kLtR32F || (compute != kLtCompute32F && compute != kLtCompute32FFastTf32))
        return kInvalidValue;
    return make(made, compute);
}

LtStatus matmul_desc_set_attribute(LtMatmulDesc* desc, LtMatmulDescAttribute attribute,
                                   const void* value, size_t bytes) {
    switch (attribute) {
        case kLtMatmulDescTransA:
            return assign(desc->transpose_a, value, bytes);
        case kLtMatmulDescTransB:
            return assign(desc->transpose_b, value, bytes);
        case kLtMatmulDescEpilogue:
            return assign(desc->epilogue, value, bytes);
        case kLtMatmulDescBiasPointer:
            return assign(desc->bias, value, bytes);
        case kLtMatmulDescEpilogueAuxPointer:
            return assign(desc->aux, value, bytes);
        case kLtMatmulDescEpilogueAuxLd:
            return assign(desc->aux_ld, value, bytes);
        case kLtMatmulDescBiasDataType:
            return assign(desc->bias_type, value, bytes);
    }
    return kInvalidValue;
}

LtStatus matrix_layout_create(LtMatrixLayout** made, LtDataType type, uint64_t rows,
                              uint64_t columns, int64_t ld) {
    return make(made, type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), ld);
}

LtStatus matrix_layout_set_attribute(LtMatrixLayout* layout, LtMatrixLayoutAttribute attribute,
                                     const void* value, size_t bytes) {
    return attribute == kLtMatrixLayoutBatchCount ? assign(layout->batch, value, bytes)
                                                  : assign(layout->batch_stride, value, bytes);
}

LtStatus matmul_preference_set_attribute(LtMatmulPreference* preference,
                                         LtMatmulPreferenceAttribute attribute, const void* value,
                                         size_t bytes) {
    switch (attribute) {
        case kLtMatmulPrefMaxWorkspaceBytes:
            return assign(preference->workspace, value, bytes);
        case kLtMatmulPrefReductionSchemeMask:
            return assign(preference->reductions, value, bytes);
        default:
            return assign(preference->alignment[attribute - kLtMatmulPrefMinAlignmentABytes], value,
                          bytes);
    }
}

LtStatus matmul_algo_get_heuristic(LtContext* /*context*/, LtMatmulDesc* desc, LtMatrixLayout* a,
                                   LtMatrixLayout* b, LtMatrixLayout* c, LtMatrixLayout* d,
                                   LtMatmulPreference* preference, int requested,
                                   LtHeuristicResult* results, int* returned) {
    *returned = 0;
    if (requested < 1 || (preference->reductions & ~uint32_t{kLtReductionSchemeComputeType}) != 0)
        return kInvalidValue;
    if (!is_supported(*desc, *a, *b, *c, *d)) return kInvalidValue;
    if (!emulation::blas().has_algorithms || preference->workspace < kWorkspaceBytes)
        return kNotSupported;
    ++emulation::blas().heuristics;
    results[0] = {};
    const ChosenFor made = chosen_for(*desc, *a, *b, *d, preference->alignment);
    std::memcpy(&results[0].algo, &made, sizeof(made));
    results[0].workspace_size = kWorkspaceBytes;
    *returned = 1;
    return 0;
}

// The row-major view of op(x)^T, where x is column-major and op(x) is x or its transpose.
MatrixView transposed_view(const void* data, const LtMatrixLayout& x, int32_t operation) {
    const bool transposed = operation == kLtOpT;
    return {data, transposed ? 1 : x.ld, transposed ? x.ld : 1, dtype_of_type(x.type)};
}

// Computes d^T = op(b)^T op(a)^T [+ d^T], all row-major.
void compute(const LtMatmulDesc& desc, float alpha, const void* a, const LtMatrixLayout& a_layout,
             const void* b, const LtMatrixLayout& b_layout, bool accumulate, void* d,
             const LtMatrixLayout& d_layout) {
    thread_local const std::unique_ptr<CpuDevice> device = make_cpu_device(1);
    const auto at = [](const void* data, const LtMatrixLayout& layout, int64_t batch) {
        return static_cast<const char*>(data) +
               batch * layout.batch_stride * dtype_size(dtype_of_type(layout.type));
    };
    const bool transposed_b = desc.transpose_b == kLtOpT;
    cpu_kernels::gemm(*device, d_layout.batch, [&](int64_t i) {
        return GemmProblem{.m = d_layout.columns,
                           .n = d_layout.rows,
                           .k = transposed_b ? b_layout.columns : b_layout.rows,
                           .a = transposed_view(at(b, b_layout, i), b_layout, desc.transpose_b),
                           .b = transposed_view(at(a, a_layout, i), a_layout, desc.transpose_a),
                           .c = const_cast<char*>(at(d, d_layout, i)),
                           .c_row_stride = d_layout.ld,
                           .c_dtype = dtype_of_type(d_layout.type),
                           .accumulate = accumulate,
                           .alpha = alpha,
                           .bias = (desc.epilogue & kLtEpilogueBias) != 0 ? desc.bias : nullptr,
                           .bias_dtype = dtype_of_type(d_layout.type)};
    });
}

float gelu(float x) {
    const float inner = 0.7978845608F * (x + 0.044715F * x * x * x);
    return 0.5F * x * (1.0F + std::tanh(inner));
}

// Copies c to d, another matrix, so that the product can be added to d.
void bring_residual(const void* c, void* d, const LtMatrixLayout& layout) {
    const int64_t size = dtype_size(dtype_of_type(layout.type));
    for (int64_t column = 0; column < layout.columns; ++column)
        std::memcpy(static_cast<char*>(d) + column * layout.ld * size,
                    static_cast<const char*>(c) + column * layout.ld * size,
                    static_cast<size_t>(layout.rows * size));
}

// Computes the product in f32; d receives its GELU, the auxiliary matrix its rounded value.
void compute_gelu(const LtMatmulDesc& desc, float alpha, const void* a,
                  const LtMatrixLayout& a_layout, const void* b, const LtMatrixLayout& b_layout,
                  bool accumulate, void* d, const LtMatrixLayout& d_layout) {
    const auto count = static_cast<size_t>(d_layout.rows * d_layout.columns);
    std::vector<float> exact(count), bias(static_cast<size_t>(d_layout.rows));
    const auto read = [&](const void* data, int64_t i) {
        return d_layout.type == kLtR16BF ? static_cast<float>(static_cast<const BFloat16*>(data)[i])
                                         : static_cast<const float*>(data)[i];
    };
    const auto write = [&](void* data, int64_t i, float value) {
        if (d_layout.type == kLtR16BF) {
            static_cast<BFloat16*>(data)[i] = BFloat16(value);
        } else {
            static_cast<float*>(data)[i] = value;
        }
    };
    const auto place = [&](int64_t column, int64_t row) {
        return static_cast<size_t>(column * d_layout.rows + row);
    };
    for (int64_t column = 0; accumulate && column < d_layout.columns; ++column)
        for (int64_t row = 0; row < d_layout.rows; ++row)
            exact[place(column, row)] = read(d, column * d_layout.ld + row);
    LtMatmulDesc plain = desc;
    plain.epilogue &= kLtEpilogueBias;
    if (plain.epilogue != 0)
        for (int64_t row = 0; row < d_layout.rows; ++row)
            bias[static_cast<size_t>(row)] = read(desc.bias, row);
    plain.bias = bias.data();
    const LtMatrixLayout wide = {kLtR32F, d_layout.rows, d_layout.columns, d_layout.rows, 1, 0};
    compute(plain, alpha, a, a_layout, b, b_layout, accumulate, exact.data(), wide);
    for (int64_t column = 0; column < d_layout.columns; ++column)
        for (int64_t row = 0; row < d_layout.rows; ++row) {
            const float value = exact[place(column, row)];
            write(d, column * d_layout.ld + row, gelu(value));
            if ((desc.epilogue & kLtEpilogueAux) != 0)
                write(desc.aux, column * desc.aux_ld + row, value);
        }
}

LtStatus matmul(LtContext* /*context*/, LtMatmulDesc* desc, const void* alpha, const void* a,
                LtMatrixLayout* a_layout, const void* b, LtMatrixLayout* b_layout, const void* beta,
                const void* c, LtMatrixLayout* c_layout, void* d, LtMatrixLayout* d_layout,
                const LtMatmulAlgo* algorithm, void* workspace, size_t workspace_bytes,
                CUstream_st* stream) {
    ChosenFor given;
    std::memcpy(&given, algorithm, sizeof(given));
    const ChosenFor now = chosen_for(*desc, *a_layout, *b_layout, *d_layout, given.alignment);
    const bool aligned = is_aligned(a, given.alignment[0]) && is_aligned(b, given.alignment[1]) &&
                         is_aligned(c, given.alignment[2]) && is_aligned(d, given.alignment[3]);
    const bool has_aux = (desc->epilogue & kLtEpilogueAux) != 0;
    if (std::memcmp(&given, &now, sizeof(now)) != 0 || !aligned ||
        (has_aux && (desc->aux == nullptr || !is_aligned(desc->aux, 16))) ||
        workspace_bytes < kWorkspaceBytes ||
        !is_supported(*desc, *a_layout, *b_layout, *c_layout, *d_layout) ||
        ((desc->epilogue & kLtEpilogueBias) != 0 && desc->bias == nullptr))
        return kInvalidValue;
    float alpha_value = 0.0F, beta_value = 0.0F;
    std::memcpy(&alpha_value, alpha, sizeof(float));
    std::memcpy(&beta_value, beta, sizeof(float));
    if (beta_value != 0.0F && beta_value != 1.0F) return kNotSupported;
    ++emulation::blas().products;
    if (desc->compute == kLtCompute32FFastTf32) ++emulation::blas().tf32_products;
    const bool adds = beta_value == 1.0F;
    const bool takes_gelu = (desc->epilogue & kLtEpilogueGelu) != 0;
    if (adds && c != d) ++emulation::blas().residuals;
    if (takes_gelu) ++emulation::blas().gelus;
    emulation::in_stream(stream, [=, desc = *desc, a_layout = *a_layout, b_layout = *b_layout,
                                  d_layout = *d_layout] {
        std::memset(workspace, 0xff, kWorkspaceBytes);
        if (adds && c != d) bring_residual(c, d, d_layout);
        (takes_gelu ? compute_gelu : compute)(desc, alpha_value, a, a_layout, b, b_layout, adds, d,
                                              d_layout);
    });
    return 0;
}

const char* get_status_name(LtStatus status) {
    return status == kInvalidValue ? "CUBLAS_STATUS_INVALID_VALUE" : "CUBLAS_STATUS_NOT_SUPPORTED";
}

}  // namespace

CublasLt open_cublas_lt() {
    VILA_CHECK(emulation::blas().installed, "cuBLASLt was not found (looked for nothing)");
    return {.file = "the emulated cuBLASLt",
            .get_version = [] { return size_t{130000}; },
            .get_status_name = get_status_name,
            .create = [](LtContext** made) { return make(made); },
            .destroy = unmake<LtContext>,
            .matmul_desc_create = matmul_desc_create,
            .matmul_desc_destroy = unmake<LtMatmulDesc>,
            .matmul_desc_set_attribute = matmul_desc_set_attribute,
            .matrix_layout_create = matrix_layout_create,
            .matrix_layout_destroy = unmake<LtMatrixLayout>,
            .matrix_layout_set_attribute = matrix_layout_set_attribute,
            .matmul_preference_create = [](LtMatmulPreference** made) { return make(made); },
            .matmul_preference_destroy = unmake<LtMatmulPreference>,
            .matmul_preference_set_attribute = matmul_preference_set_attribute,
            .matmul_algo_get_heuristic = matmul_algo_get_heuristic,
            .matmul = matmul};
}

}  // namespace vila::cuda

namespace vila::emulation {

Blas& blas() {
    thread_local Blas emulated;
    return emulated;
}

}  // namespace vila::emulation
