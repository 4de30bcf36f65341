#pragma once

// cuBLASLt, NVIDIA's library of matrix products: its C interface as far as gemm_cublas.cpp uses it,
// as a struct of functions. open_cublas_lt.cpp fills it from the shared library; the emulation in
// tests/ fills it with the CPU's product. Declared here by name and number, so that nothing of the
// library is needed to build; where its header is at hand, open_cublas_lt.cpp compares.
//
// Matrices are column-major there.

#include <cstddef>
#include <cstdint>
#include <string>

struct CUstream_st;

namespace vila::cuda {

// The library's handles: what they point to is its own affair.
struct LtContext;
struct LtProduct;     // cublasLtMatmulDesc_t
struct LtLayout;      // cublasLtMatrixLayout_t
struct LtPreference;  // cublasLtMatmulPreference_t

using LtStatus = int;  // 0: all is well

enum LtDataType : int { kLtF32 = 0, kLtBf16 = 14 };
enum LtComputeType : int { kLtComputeF32 = 68, kLtComputeTf32 = 77 };
enum LtOperation : int32_t { kLtAsItIs = 0, kLtTransposed = 1 };
// Flags that are added up; GELU is the tanh form, and keeps its argument in a matrix beside d where
// asked.
enum LtEpilogue : int { kLtNoEpilogue = 1, kLtBias = 4, kLtGelu = 32, kLtKeep = 128 };
// How the parts of a sum that was cut up come together: in a workspace, in a fixed order.
enum LtReduction : uint32_t { kLtReduceInWorkspace = 2 };

enum LtProductAttribute : int {
    kLtTransposeA = 3,
    kLtTransposeB = 4,
    kLtEpilogue = 7,
    kLtBiasPointer = 8,
    kLtKeepPointer = 11,
    kLtKeepStep = 12,
    kLtBiasDataType = 26,
};
enum LtLayoutAttribute : int { kLtBatchCount = 5, kLtBatchStride = 6 };
enum LtPreferenceAttribute : int {
    kLtMostWorkspace = 1,
    kLtReductionMask = 3,
    kLtAlignmentA = 5,
    kLtAlignmentB = 6,
    kLtAlignmentC = 7,
    kLtAlignmentD = 8,
};

struct LtAlgorithm {
    uint64_t data[8];
};
struct LtChoice {
    LtAlgorithm algorithm;
    size_t workspace_bytes;
    LtStatus status;
    float waves;
    int reserved[4];
};

// Each is the function cublasLt... of the name in the comment.
struct CublasLt {
    std::string file;  // that was opened
    size_t (*version)() = nullptr;
    const char* (*status_name)(LtStatus) = nullptr;
    LtStatus (*create)(LtContext**) = nullptr;
    LtStatus (*destroy)(LtContext*) = nullptr;
    // MatmulDesc: what to compute
    LtStatus (*create_product)(LtProduct**, LtComputeType, LtDataType scale) = nullptr;
    LtStatus (*destroy_product)(LtProduct*) = nullptr;
    LtStatus (*set_product)(LtProduct*, LtProductAttribute, const void*, size_t) = nullptr;
    // MatrixLayout: where a matrix lies
    LtStatus (*create_layout)(LtLayout**, LtDataType, uint64_t rows, uint64_t columns,
                              int64_t column_step) = nullptr;
    LtStatus (*destroy_layout)(LtLayout*) = nullptr;
    LtStatus (*set_layout)(LtLayout*, LtLayoutAttribute, const void*, size_t) = nullptr;
    // MatmulPreference: what an algorithm may do
    LtStatus (*create_preference)(LtPreference**) = nullptr;
    LtStatus (*destroy_preference)(LtPreference*) = nullptr;
    LtStatus (*set_preference)(LtPreference*, LtPreferenceAttribute, const void*, size_t) = nullptr;
    // MatmulAlgoGetHeuristic: the `wanted` algorithms that should be fastest, without trying
    LtStatus (*choose)(LtContext*, LtProduct*, LtLayout* a, LtLayout* b, LtLayout* c, LtLayout* d,
                       LtPreference*, int wanted, LtChoice* choices, int* found) = nullptr;
    // Matmul: d = alpha op(a) op(b) + beta c [+ bias], or gelu of that, launched on a stream
    LtStatus (*multiply)(LtContext*, LtProduct*, const void* alpha, const void* a, LtLayout*,
                         const void* b, LtLayout*, const void* beta, const void* c, LtLayout*,
                         void* d, LtLayout*, const LtAlgorithm*, void* workspace,
                         size_t workspace_bytes, CUstream_st*) = nullptr;
};

// Opens the library. Throws Error that says where it was looked for.
CublasLt open_cublas_lt();

}  // namespace vila::cuda
