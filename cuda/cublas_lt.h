#pragma once

// The part of cuBLASLt's C interface (NVIDIA's library of matrix products) that gemm_cublas.cpp
// uses, as a struct of function pointers. open_cublas_lt.cpp fills it from the shared library; the
// emulation in tests/ fills it with the product of the CPU.
//
// Names are those of <cublasLt.h> in this project's style: cublasLtMatmulDescCreate() is
// matmul_desc_create, CUBLASLT_EPILOGUE_BIAS is kLtEpilogueBias. They are declared here so that
// building does not need that header; if it is installed, open_cublas_lt.cpp checks every constant
// against it.
//
// The library's matrices are column-major.

#include <cstddef>
#include <cstdint>
#include <string>

struct CUstream_st;

namespace vila::cuda {

// Opaque objects of the library.
struct LtContext;           // a cublasLtHandle_t points to one
struct LtMatmulDesc;        // a cublasLtMatmulDesc_t points to one
struct LtMatrixLayout;      // a cublasLtMatrixLayout_t points to one
struct LtMatmulPreference;  // a cublasLtMatmulPreference_t points to one

using LtStatus = int;  // cublasStatus_t: 0 is success

// cudaDataType_t: the element type of a matrix.
enum LtDataType : int { kLtR32F = 0, kLtR16BF = 14 };
// cublasComputeType_t: the type in which products and sums are computed.
enum LtComputeType : int { kLtCompute32F = 68, kLtCompute32FFastTf32 = 77 };
// cublasOperation_t: a matrix as it is, or its transpose.
enum LtOperation : int32_t { kLtOpN = 0, kLtOpT = 1 };
// cublasLtEpilogue_t: flags, combined with |. GELU is the tanh form; with Aux its argument is
// stored in a second matrix beside d.
enum LtEpilogue : int {
    kLtEpilogueDefault = 1,
    kLtEpilogueBias = 4,
    kLtEpilogueGelu = 32,
    kLtEpilogueAux = 128,
};
// cublasLtReductionScheme_t: how partial sums are added when the library splits k. This one adds
// them in a workspace, in a fixed order.
enum LtReductionScheme : uint32_t { kLtReductionSchemeComputeType = 2 };

// cublasLtMatmulDescAttributes_t.
enum LtMatmulDescAttribute : int {
    kLtMatmulDescTransA = 3,
    kLtMatmulDescTransB = 4,
    kLtMatmulDescEpilogue = 7,
    kLtMatmulDescBiasPointer = 8,
    kLtMatmulDescEpilogueAuxPointer = 11,
    kLtMatmulDescEpilogueAuxLd = 12,
    kLtMatmulDescBiasDataType = 26,
};
// cublasLtMatrixLayoutAttribute_t.
enum LtMatrixLayoutAttribute : int {
    kLtMatrixLayoutBatchCount = 5,
    kLtMatrixLayoutStridedBatchOffset = 6,
};
// cublasLtMatmulPreferenceAttributes_t.
enum LtMatmulPreferenceAttribute : int {
    kLtMatmulPrefMaxWorkspaceBytes = 1,
    kLtMatmulPrefReductionSchemeMask = 3,
    kLtMatmulPrefMinAlignmentABytes = 5,
    kLtMatmulPrefMinAlignmentBBytes = 6,
    kLtMatmulPrefMinAlignmentCBytes = 7,
    kLtMatmulPrefMinAlignmentDBytes = 8,
};

// cublasLtMatmulAlgo_t.
struct LtMatmulAlgo {
    uint64_t data[8];
};
// cublasLtMatmulHeuristicResult_t.
struct LtHeuristicResult {
    LtMatmulAlgo algo;
    size_t workspace_size;
    LtStatus state;
    float waves_count;
    int reserved[4];
};

// The functions of the library: member matmul_desc_create is cublasLtMatmulDescCreate, and so on.
struct CublasLt {
    std::string file;  // the shared library that was opened
    size_t (*get_version)() = nullptr;
    const char* (*get_status_name)(LtStatus) = nullptr;
    LtStatus (*create)(LtContext**) = nullptr;
    LtStatus (*destroy)(LtContext*) = nullptr;
    // A MatmulDesc describes the operation.
    LtStatus (*matmul_desc_create)(LtMatmulDesc**, LtComputeType, LtDataType scale) = nullptr;
    LtStatus (*matmul_desc_destroy)(LtMatmulDesc*) = nullptr;
    LtStatus (*matmul_desc_set_attribute)(LtMatmulDesc*, LtMatmulDescAttribute, const void*,
                                          size_t) = nullptr;
    // A MatrixLayout describes a matrix: shape, leading dimension (ld), batch.
    LtStatus (*matrix_layout_create)(LtMatrixLayout**, LtDataType, uint64_t rows, uint64_t columns,
                                     int64_t ld) = nullptr;
    LtStatus (*matrix_layout_destroy)(LtMatrixLayout*) = nullptr;
    LtStatus (*matrix_layout_set_attribute)(LtMatrixLayout*, LtMatrixLayoutAttribute, const void*,
                                            size_t) = nullptr;
    // A MatmulPreference limits the algorithms that the heuristic may return.
    LtStatus (*matmul_preference_create)(LtMatmulPreference**) = nullptr;
    LtStatus (*matmul_preference_destroy)(LtMatmulPreference*) = nullptr;
    LtStatus (*matmul_preference_set_attribute)(LtMatmulPreference*, LtMatmulPreferenceAttribute,
                                                const void*, size_t) = nullptr;
    // Finds up to `requested` algorithms, by estimated time, without running any.
    LtStatus (*matmul_algo_get_heuristic)(LtContext*, LtMatmulDesc*, LtMatrixLayout* a,
                                          LtMatrixLayout* b, LtMatrixLayout* c, LtMatrixLayout* d,
                                          LtMatmulPreference*, int requested,
                                          LtHeuristicResult* results, int* returned) = nullptr;
    // Launches d = alpha op(a) op(b) + beta c [+ bias], or GELU of that, on a stream.
    LtStatus (*matmul)(LtContext*, LtMatmulDesc*, const void* alpha, const void* a, LtMatrixLayout*,
                       const void* b, LtMatrixLayout*, const void* beta, const void* c,
                       LtMatrixLayout*, void* d, LtMatrixLayout*, const LtMatmulAlgo*,
                       void* workspace, size_t workspace_bytes, CUstream_st*) = nullptr;
};

// Opens the library. Throws Error that lists the places searched.
CublasLt open_cublas_lt();

}  // namespace vila::cuda
