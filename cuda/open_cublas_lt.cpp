// Opens cuBLASLt's shared library.

#include <dlfcn.h>

#include <vector>

#include "cuda/cublas_lt.h"
#include "tensor/check.h"
#include "tensor/env.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

namespace vila::cuda {

// Our names and numbers against the library's.
static_assert(kLtF32 == static_cast<int>(CUDA_R_32F));
static_assert(kLtBf16 == static_cast<int>(CUDA_R_16BF));
static_assert(kLtComputeF32 == static_cast<int>(CUBLAS_COMPUTE_32F));
static_assert(kLtComputeTf32 == static_cast<int>(CUBLAS_COMPUTE_32F_FAST_TF32));
static_assert(kLtAsItIs == static_cast<int>(CUBLAS_OP_N));
static_assert(kLtTransposed == static_cast<int>(CUBLAS_OP_T));
static_assert(kLtNoEpilogue == static_cast<int>(CUBLASLT_EPILOGUE_DEFAULT));
static_assert(kLtBias == static_cast<int>(CUBLASLT_EPILOGUE_BIAS));
static_assert(kLtGelu == static_cast<int>(CUBLASLT_EPILOGUE_GELU));
static_assert((kLtGelu | kLtBias) == static_cast<int>(CUBLASLT_EPILOGUE_GELU_BIAS));
static_assert((kLtGelu | kLtKeep) == static_cast<int>(CUBLASLT_EPILOGUE_GELU_AUX));
static_assert((kLtGelu | kLtKeep | kLtBias) == static_cast<int>(CUBLASLT_EPILOGUE_GELU_AUX_BIAS));
static_assert(kLtReduceInWorkspace ==
              static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
static_assert(kLtTransposeA == static_cast<int>(CUBLASLT_MATMUL_DESC_TRANSA));
static_assert(kLtTransposeB == static_cast<int>(CUBLASLT_MATMUL_DESC_TRANSB));
static_assert(kLtEpilogue == static_cast<int>(CUBLASLT_MATMUL_DESC_EPILOGUE));
static_assert(kLtBiasPointer == static_cast<int>(CUBLASLT_MATMUL_DESC_BIAS_POINTER));
static_assert(kLtBiasDataType == static_cast<int>(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE));
static_assert(kLtKeepPointer == static_cast<int>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER));
static_assert(kLtKeepStep == static_cast<int>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD));
static_assert(kLtBatchCount == static_cast<int>(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT));
static_assert(kLtBatchStride == static_cast<int>(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET));
static_assert(kLtMostWorkspace == static_cast<int>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES));
static_assert(kLtReductionMask == static_cast<int>(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK));
static_assert(kLtAlignmentA == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES));
static_assert(kLtAlignmentB == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES));
static_assert(kLtAlignmentC == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES));
static_assert(kLtAlignmentD == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES));
static_assert(sizeof(LtAlgorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(LtChoice) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(LtChoice, status) == offsetof(cublasLtMatmulHeuristicResult_t, state));

}  // namespace vila::cuda
#endif

namespace vila::cuda {

namespace {

// The names under which the library may be installed, newest first.
std::vector<std::string> file_names() {
    const std::string chosen = environment("VILA_CUBLASLT");
    if (!chosen.empty()) return {chosen};
    return {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13", "libcublasLt.so.12",
            "/usr/local/cuda/lib64/libcublasLt.so.12"};
}

template <typename Function>
void find(void* library, const std::string& file, const char* name, Function& function) {
    void* const address = dlsym(library, name);
    VILA_CHECK(address != nullptr, file, " has no ", name, ": expected cuBLASLt of CUDA 12 or 13");
    function = reinterpret_cast<Function>(address);
}

}  // namespace

CublasLt open_cublas_lt() {
    std::string tried;
    void* library = nullptr;
    CublasLt lt;
    for (const std::string& name : file_names()) {
        library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays open
        lt.file = name;
        if (library != nullptr) break;
        tried += str(tried.empty() ? "" : ", ", name);
    }
    VILA_CHECK(library != nullptr, "cuBLASLt was not found (looked for ", tried,
               "); install it, or say where it is with LD_LIBRARY_PATH or VILA_CUBLASLT");
    const auto get = [&](const char* name, auto& function) {
        find(library, lt.file, name, function);
    };
    get("cublasLtGetVersion", lt.version);
    get("cublasLtGetStatusName", lt.status_name);
    get("cublasLtCreate", lt.create);
    get("cublasLtDestroy", lt.destroy);
    get("cublasLtMatmulDescCreate", lt.create_product);
    get("cublasLtMatmulDescDestroy", lt.destroy_product);
    get("cublasLtMatmulDescSetAttribute", lt.set_product);
    get("cublasLtMatrixLayoutCreate", lt.create_layout);
    get("cublasLtMatrixLayoutDestroy", lt.destroy_layout);
    get("cublasLtMatrixLayoutSetAttribute", lt.set_layout);
    get("cublasLtMatmulPreferenceCreate", lt.create_preference);
    get("cublasLtMatmulPreferenceDestroy", lt.destroy_preference);
    get("cublasLtMatmulPreferenceSetAttribute", lt.set_preference);
    get("cublasLtMatmulAlgoGetHeuristic", lt.choose);
    get("cublasLtMatmul", lt.multiply);
    return lt;
}

}  // namespace vila::cuda
