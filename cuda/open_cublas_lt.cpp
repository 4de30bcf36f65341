// Opens cuBLASLt's shared library and looks up its functions.

#include <dlfcn.h>

#include <vector>

#include "cuda/cublas_lt.h"
#include "tensor/check.h"
#include "tensor/env.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

namespace vila::cuda {

// Checks the numbers of cublas_lt.h against the library's header.
static_assert(kLtR32F == static_cast<int>(CUDA_R_32F));
static_assert(kLtR16BF == static_cast<int>(CUDA_R_16BF));
static_assert(kLtCompute32F == static_cast<int>(CUBLAS_COMPUTE_32F));
static_assert(kLtCompute32FFastTf32 == static_cast<int>(CUBLAS_COMPUTE_32F_FAST_TF32));
static_assert(kLtOpN == static_cast<int>(CUBLAS_OP_N));
static_assert(kLtOpT == static_cast<int>(CUBLAS_OP_T));
static_assert(kLtEpilogueDefault == static_cast<int>(CUBLASLT_EPILOGUE_DEFAULT));
static_assert(kLtEpilogueBias == static_cast<int>(CUBLASLT_EPILOGUE_BIAS));
static_assert(kLtEpilogueGelu == static_cast<int>(CUBLASLT_EPILOGUE_GELU));
static_assert((kLtEpilogueGelu | kLtEpilogueBias) == static_cast<int>(CUBLASLT_EPILOGUE_GELU_BIAS));
static_assert((kLtEpilogueGelu | kLtEpilogueAux) == static_cast<int>(CUBLASLT_EPILOGUE_GELU_AUX));
static_assert((kLtEpilogueGelu | kLtEpilogueAux | kLtEpilogueBias) ==
              static_cast<int>(CUBLASLT_EPILOGUE_GELU_AUX_BIAS));
static_assert(kLtReductionSchemeComputeType ==
              static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
static_assert(kLtMatmulDescTransA == static_cast<int>(CUBLASLT_MATMUL_DESC_TRANSA));
static_assert(kLtMatmulDescTransB == static_cast<int>(CUBLASLT_MATMUL_DESC_TRANSB));
static_assert(kLtMatmulDescEpilogue == static_cast<int>(CUBLASLT_MATMUL_DESC_EPILOGUE));
static_assert(kLtMatmulDescBiasPointer == static_cast<int>(CUBLASLT_MATMUL_DESC_BIAS_POINTER));
static_assert(kLtMatmulDescBiasDataType == static_cast<int>(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE));
static_assert(kLtMatmulDescEpilogueAuxPointer ==
              static_cast<int>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER));
static_assert(kLtMatmulDescEpilogueAuxLd == static_cast<int>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD));
static_assert(kLtMatrixLayoutBatchCount == static_cast<int>(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT));
static_assert(kLtMatrixLayoutStridedBatchOffset ==
              static_cast<int>(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET));
static_assert(kLtMatmulPrefMaxWorkspaceBytes ==
              static_cast<int>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES));
static_assert(kLtMatmulPrefReductionSchemeMask ==
              static_cast<int>(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK));
static_assert(kLtMatmulPrefMinAlignmentABytes ==
              static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES));
static_assert(kLtMatmulPrefMinAlignmentBBytes ==
              static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES));
static_assert(kLtMatmulPrefMinAlignmentCBytes ==
              static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES));
static_assert(kLtMatmulPrefMinAlignmentDBytes ==
              static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES));
static_assert(sizeof(LtMatmulAlgo) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(LtHeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(LtHeuristicResult, state) ==
              offsetof(cublasLtMatmulHeuristicResult_t, state));

}  // namespace vila::cuda
#endif

namespace vila::cuda {

namespace {

// The file names to try: VILA_CUBLASLT alone if it is set, else the usual ones, newest first.
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
        library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed
        lt.file = name;
        if (library != nullptr) break;
        tried += str(tried.empty() ? "" : ", ", name);
    }
    VILA_CHECK(library != nullptr, "cuBLASLt was not found (looked for ", tried,
               "); install it, or say where it is with LD_LIBRARY_PATH or VILA_CUBLASLT");
    const auto get = [&](const char* name, auto& function) {
        find(library, lt.file, name, function);
    };
    get("cublasLtGetVersion", lt.get_version);
    get("cublasLtGetStatusName", lt.get_status_name);
    get("cublasLtCreate", lt.create);
    get("cublasLtDestroy", lt.destroy);
    get("cublasLtMatmulDescCreate", lt.matmul_desc_create);
    get("cublasLtMatmulDescDestroy", lt.matmul_desc_destroy);
    get("cublasLtMatmulDescSetAttribute", lt.matmul_desc_set_attribute);
    get("cublasLtMatrixLayoutCreate", lt.matrix_layout_create);
    get("cublasLtMatrixLayoutDestroy", lt.matrix_layout_destroy);
    get("cublasLtMatrixLayoutSetAttribute", lt.matrix_layout_set_attribute);
    get("cublasLtMatmulPreferenceCreate", lt.matmul_preference_create);
    get("cublasLtMatmulPreferenceDestroy", lt.matmul_preference_destroy);
    get("cublasLtMatmulPreferenceSetAttribute", lt.matmul_preference_set_attribute);
    get("cublasLtMatmulAlgoGetHeuristic", lt.matmul_algo_get_heuristic);
    get("cublasLtMatmul", lt.matmul);
    return lt;
}

}  // namespace vila::cuda
