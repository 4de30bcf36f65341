// cuBLASLt, emulated: column-major matrices in host memory, computed by the blocked product of
// tensor/cpu/. It fails, as the library does or more often, when
//  - a matrix's columns overlap, or extents do not fit together;
//  - an algorithm is used for another product, or with worse aligned addresses, than it was chosen
//    for, or with less workspace than it said (which it fills);
//  - dtypes are mixed in a way the library does not have;
//  - GELU's argument is to be kept in rows that are no multiple of 8 long, or not aligned to 16;
//  - sums may be put together in an order that changes from run to run.

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

struct LtProduct {
    LtComputeType compute = kLtComputeF32;
    int32_t transpose_a = kLtAsItIs, transpose_b = kLtAsItIs;
    int epilogue = kLtNoEpilogue;
    const void* bias = nullptr;
    int bias_type = -1;  // that of d
    void* keep = nullptr;
    int64_t keep_step = 0;
};

struct LtLayout {
    int type = kLtF32;
    int64_t rows = 0, columns = 0, step = 0;
    int32_t batch = 1;
    int64_t batch_step = 0;

    bool operator==(const LtLayout&) const = default;
};

struct LtPreference {
    uint64_t workspace = 0;
    uint32_t reductions = 7;
    uint32_t alignment[4] = {256, 256, 256, 256};
};

namespace {

constexpr LtStatus kInvalidValue = 7, kNotSupported = 15;
constexpr size_t kWorkspaceBytes = 1000;

// What the emulated library writes into an LtAlgorithm.
struct Promise {
    uint16_t a_rows, a_columns, b_rows, b_columns;
    int32_t batch, transposes, epilogue, types;
    uint32_t alignment[4];
};
static_assert(sizeof(Promise) <= sizeof(LtAlgorithm));

Promise promise(const LtProduct& product, const LtLayout& a, const LtLayout& b, const LtLayout& d,
                const uint32_t* alignment) {
    Promise made = {static_cast<uint16_t>(a.rows),
                    static_cast<uint16_t>(a.columns),
                    static_cast<uint16_t>(b.rows),
                    static_cast<uint16_t>(b.columns),
                    a.batch,
                    product.transpose_a + 2 * product.transpose_b,
                    product.epilogue,
                    a.type + 100 * d.type,
                    {}};
    std::memcpy(made.alignment, alignment, sizeof(made.alignment));
    return made;
}

bool is_aligned(const void* address, uint32_t alignment) {
    return reinterpret_cast<uintptr_t>(address) % alignment == 0;
}

DType dtype_of_type(int type) {
    return type == kLtBf16 ? DType::BF16 : DType::F32;
}

bool possible(const LtProduct& product, const LtLayout& a, const LtLayout& b, const LtLayout& c,
              const LtLayout& d) {
    const bool across_a = product.transpose_a == kLtTransposed;
    const bool across_b = product.transpose_b == kLtTransposed;
    const int64_t m = across_a ? a.columns : a.rows, k = across_a ? a.rows : a.columns;
    const int64_t n = across_b ? b.rows : b.columns, b_k = across_b ? b.columns : b.rows;
    const bool types = (a.type == kLtF32 || a.type == kLtBf16) && b.type == a.type &&
                       (d.type == a.type || d.type == kLtF32);
    const bool bias =
        (product.epilogue & kLtBias) == 0 || product.bias_type == -1 || product.bias_type == d.type;
    const bool keeps = (product.epilogue & kLtKeep) != 0;
    const bool epilogue =
        product.epilogue == kLtNoEpilogue || product.epilogue == kLtBias ||
        ((product.epilogue & kLtGelu) != 0 && (product.epilogue & kLtNoEpilogue) == 0);
    if (keeps && (product.keep_step % 8 != 0 || product.keep_step < d.rows || d.batch != 1))
        return false;
    for (const LtLayout* x : {&a, &b, &d})
        if (x->step < x->rows || x->batch < 1 || x->batch != d.batch) return false;
    return c == d && m == d.rows && n == d.columns && k == b_k && k > 0 && types && bias &&
           epilogue && (product.compute == kLtComputeF32 || a.type == kLtF32);
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

LtStatus create_product(LtProduct** made, LtComputeType compute, LtDataType scale) {
    if (scale != kLtF32 || (compute != kLtComputeF32 && compute != kLtComputeTf32))
        return kInvalidValue;
    return make(made, compute);
}

LtStatus set_product(LtProduct* product, LtProductAttribute attribute, const void* value,
                     size_t bytes) {
    switch (attribute) {
        case kLtTransposeA:
            return assign(product->transpose_a, value, bytes);
        case kLtTransposeB:
            return assign(product->transpose_b, value, bytes);
        case kLtEpilogue:
            return assign(product->epilogue, value, bytes);
        case kLtBiasPointer:
            return assign(product->bias, value, bytes);
        case kLtKeepPointer:
            return assign(product->keep, value, bytes);
        case kLtKeepStep:
            return assign(product->keep_step, value, bytes);
        case kLtBiasDataType:
            return assign(product->bias_type, value, bytes);
    }
    return kInvalidValue;
}

LtStatus create_layout(LtLayout** made, LtDataType type, uint64_t rows, uint64_t columns,
                       int64_t step) {
    return make(made, type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), step);
}

LtStatus set_layout(LtLayout* layout, LtLayoutAttribute attribute, const void* value,
                    size_t bytes) {
    return attribute == kLtBatchCount ? assign(layout->batch, value, bytes)
                                      : assign(layout->batch_step, value, bytes);
}

LtStatus set_preference(LtPreference* preference, LtPreferenceAttribute attribute,
                        const void* value, size_t bytes) {
    switch (attribute) {
        case kLtMostWorkspace:
            return assign(preference->workspace, value, bytes);
        case kLtReductionMask:
            return assign(preference->reductions, value, bytes);
        default:
            return assign(preference->alignment[attribute - kLtAlignmentA], value, bytes);
    }
}

LtStatus choose(LtContext* /*context*/, LtProduct* product, LtLayout* a, LtLayout* b, LtLayout* c,
                LtLayout* d, LtPreference* preference, int wanted, LtChoice* choices, int* found) {
    *found = 0;
    if (wanted < 1 || (preference->reductions & ~uint32_t{kLtReduceInWorkspace}) != 0)
        return kInvalidValue;
    if (!possible(*product, *a, *b, *c, *d)) return kInvalidValue;
    if (!emulation::blas().has_algorithms || preference->workspace < kWorkspaceBytes)
        return kNotSupported;
    ++emulation::blas().choices;
    choices[0] = {};
    const Promise made = promise(*product, *a, *b, *d, preference->alignment);
    std::memcpy(&choices[0].algorithm, &made, sizeof(made));
    choices[0].workspace_bytes = kWorkspaceBytes;
    *found = 1;
    return 0;
}

// Element (i, p) of op(x)^T, where op(x) is a column-major matrix or its transpose.
cpu_kernels::MatrixView transposed_view(const void* data, const LtLayout& x, int32_t operation) {
    const bool across = operation == kLtTransposed;
    return {data, across ? 1 : x.step, across ? x.step : 1, dtype_of_type(x.type)};
}

// d^T = op(b)^T op(a)^T, all row-major.
void compute(const LtProduct& product, float alpha, const void* a, const LtLayout& a_layout,
             const void* b, const LtLayout& b_layout, bool accumulate, void* d,
             const LtLayout& d_layout) {
    thread_local const std::unique_ptr<CpuDevice> device = make_cpu_device(1);
    const auto at = [](const void* data, const LtLayout& layout, int64_t batch) {
        return static_cast<const char*>(data) +
               batch * layout.batch_step * dtype_size(dtype_of_type(layout.type));
    };
    const bool across_b = product.transpose_b == kLtTransposed;
    cpu_kernels::gemm(*device, d_layout.batch, [&](int64_t i) {
        return cpu_kernels::GemmProblem{
            .m = d_layout.columns,
            .n = d_layout.rows,
            .k = across_b ? b_layout.columns : b_layout.rows,
            .a = transposed_view(at(b, b_layout, i), b_layout, product.transpose_b),
            .b = transposed_view(at(a, a_layout, i), a_layout, product.transpose_a),
            .c = const_cast<char*>(at(d, d_layout, i)),
            .c_row = d_layout.step,
            .c_dtype = dtype_of_type(d_layout.type),
            .accumulate = accumulate,
            .alpha = alpha,
            .bias = (product.epilogue & kLtBias) != 0 ? product.bias : nullptr,
            .bias_dtype = dtype_of_type(d_layout.type)};
    });
}

float gelu(float x) {
    const float inner = 0.7978845608F * (x + 0.044715F * x * x * x);
    return 0.5F * x * (1.0F + std::tanh(inner));
}

// d = c first where c is another matrix, so that the product can be added to it.
void bring_addend(const void* c, void* d, const LtLayout& layout) {
    const int64_t size = dtype_size(dtype_of_type(layout.type));
    for (int64_t column = 0; column < layout.columns; ++column)
        std::memcpy(static_cast<char*>(d) + column * layout.step * size,
                    static_cast<const char*>(c) + column * layout.step * size,
                    static_cast<size_t>(layout.rows * size));
}

// The product in f32, of which d gets the GELU and `keep` the rounded value.
void compute_gelu(const LtProduct& product, float alpha, const void* a, const LtLayout& a_layout,
                  const void* b, const LtLayout& b_layout, bool accumulate, void* d,
                  const LtLayout& d_layout) {
    const auto count = static_cast<size_t>(d_layout.rows * d_layout.columns);
    std::vector<float> exact(count), bias(static_cast<size_t>(d_layout.rows));
    const auto read = [&](const void* data, int64_t i) {
        return d_layout.type == kLtBf16 ? static_cast<float>(static_cast<const BFloat16*>(data)[i])
                                        : static_cast<const float*>(data)[i];
    };
    const auto write = [&](void* data, int64_t i, float value) {
        if (d_layout.type == kLtBf16) {
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
            exact[place(column, row)] = read(d, column * d_layout.step + row);
    LtProduct plain = product;
    plain.epilogue &= kLtBias;
    if (plain.epilogue != 0)
        for (int64_t row = 0; row < d_layout.rows; ++row)
            bias[static_cast<size_t>(row)] = read(product.bias, row);
    plain.bias = bias.data();
    const LtLayout wide = {kLtF32, d_layout.rows, d_layout.columns, d_layout.rows, 1, 0};
    compute(plain, alpha, a, a_layout, b, b_layout, accumulate, exact.data(), wide);
    for (int64_t column = 0; column < d_layout.columns; ++column)
        for (int64_t row = 0; row < d_layout.rows; ++row) {
            const float value = exact[place(column, row)];
            write(d, column * d_layout.step + row, gelu(value));
            if ((product.epilogue & kLtKeep) != 0)
                write(product.keep, column * product.keep_step + row, value);
        }
}

LtStatus multiply(LtContext* /*context*/, LtProduct* product, const void* alpha, const void* a,
                  LtLayout* a_layout, const void* b, LtLayout* b_layout, const void* beta,
                  const void* c, LtLayout* c_layout, void* d, LtLayout* d_layout,
                  const LtAlgorithm* algorithm, void* workspace, size_t workspace_bytes,
                  CUstream_st* stream) {
    Promise given;
    std::memcpy(&given, algorithm, sizeof(given));
    const Promise now = promise(*product, *a_layout, *b_layout, *d_layout, given.alignment);
    const bool aligned = is_aligned(a, given.alignment[0]) && is_aligned(b, given.alignment[1]) &&
                         is_aligned(c, given.alignment[2]) && is_aligned(d, given.alignment[3]);
    const bool keeps = (product->epilogue & kLtKeep) != 0;
    if (std::memcmp(&given, &now, sizeof(now)) != 0 || !aligned ||
        (keeps && (product->keep == nullptr || !is_aligned(product->keep, 16))) ||
        workspace_bytes < kWorkspaceBytes ||
        !possible(*product, *a_layout, *b_layout, *c_layout, *d_layout) ||
        ((product->epilogue & kLtBias) != 0 && product->bias == nullptr))
        return kInvalidValue;
    float alpha_value = 0.0F, beta_value = 0.0F;
    std::memcpy(&alpha_value, alpha, sizeof(float));
    std::memcpy(&beta_value, beta, sizeof(float));
    if (beta_value != 0.0F && beta_value != 1.0F) return kNotSupported;
    ++emulation::blas().products;
    if (product->compute == kLtComputeTf32) ++emulation::blas().tf32_products;
    const bool adds = beta_value == 1.0F;
    const bool takes_gelu = (product->epilogue & kLtGelu) != 0;
    if (adds && c != d) ++emulation::blas().added;
    if (takes_gelu) ++emulation::blas().gelus;
    emulation::in_stream(stream, [=, product = *product, a_layout = *a_layout, b_layout = *b_layout,
                                  d_layout = *d_layout] {
        std::memset(workspace, 0xff, kWorkspaceBytes);
        if (adds && c != d) bring_addend(c, d, d_layout);
        (takes_gelu ? compute_gelu : compute)(product, alpha_value, a, a_layout, b, b_layout, adds,
                                              d, d_layout);
    });
    return 0;
}

const char* status_name(LtStatus status) {
    return status == kInvalidValue ? "CUBLAS_STATUS_INVALID_VALUE" : "CUBLAS_STATUS_NOT_SUPPORTED";
}

}  // namespace

CublasLt open_cublas_lt() {
    VILA_CHECK(emulation::blas().installed, "cuBLASLt was not found (looked for nothing)");
    return {.file = "the emulated cuBLASLt",
            .version = [] { return size_t{130000}; },
            .status_name = status_name,
            .create = [](LtContext** made) { return make(made); },
            .destroy = unmake<LtContext>,
            .create_product = create_product,
            .destroy_product = unmake<LtProduct>,
            .set_product = set_product,
            .create_layout = create_layout,
            .destroy_layout = unmake<LtLayout>,
            .set_layout = set_layout,
            .create_preference = [](LtPreference** made) { return make(made); },
            .destroy_preference = unmake<LtPreference>,
            .set_preference = set_preference,
            .choose = choose,
            .multiply = multiply};
}

}  // namespace vila::cuda

namespace vila::emulation {

Blas& blas() {
    thread_local Blas emulated;
    return emulated;
}

}  // namespace vila::emulation
