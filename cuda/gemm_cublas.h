#pragma once

// Matrix products by cuBLASLt: one handle per device, and a plan for every kind of product that it
// has computed so far.

#include <array>
#include <cstdint>
#include <map>
#include <memory>

#include "cuda/cublas_lt.h"
#include "cuda/gemm.h"

namespace vila::cuda {

class CublasGemm {
  public:
    // Opens the library. Throws Error when it is missing or cublasLtCreate fails.
    CublasGemm();
    ~CublasGemm();
    CublasGemm(const CublasGemm&) = delete;
    CublasGemm& operator=(const CublasGemm&) = delete;

    // Launches the product and returns true. Returns false, having launched nothing, for a problem
    // that is left to gemm_tiled: f64, k = 0, overlapping rows, or no algorithm in the library
    // (reported once, through options.warn, for a product without epilogue). Epilogues are refused
    // for batches; a GELU with pre_activation needs c_row_stride to be a multiple of 8.
    bool multiply(CudaDevice& device, const BatchedGemm& problem);

    const CublasLt& library() const { return lt_; }
    // The number of plans made so far; a warm step makes none.
    int64_t plans() const { return static_cast<int64_t>(plans_.size()); }

  private:
    struct Plan;
    using Key = std::array<int64_t, 22>;

    // Throws Error with the name of the failed call.
    void check(LtStatus status, const char* call) const;
    template <typename Value>
    void set_desc(const Plan& plan, LtMatmulDescAttribute attribute, const Value& value) const;
    // The problems of these functions have one batch axis.
    const Plan& plan_for(CudaDevice& device, const BatchedGemm& problem);
    void create_descriptors(const CudaDevice& device, const BatchedGemm& problem, Plan& plan);
    void choose_algorithm(const BatchedGemm& problem, Plan& plan);
    void launch(CudaDevice& device, const BatchedGemm& problem, const Plan& plan);

    CublasLt lt_;
    LtContext* context_ = nullptr;
    std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace vila::cuda
