#pragma once

// Products by cuBLASLt: one handle of a device, and what it decided about every product so far.

#include <array>
#include <cstdint>
#include <map>
#include <memory>

#include "cuda/cublas_lt.h"
#include "cuda/gemm.h"

namespace vila::cuda {

class CublasGemm {
  public:
    // Opens the library. Throws when it is not there or does not start.
    CublasGemm();
    ~CublasGemm();
    CublasGemm(const CublasGemm&) = delete;
    CublasGemm& operator=(const CublasGemm&) = delete;

    // Computes the problem and returns true; or false, and then nothing was done, where it is one
    // for gemm_tiled: f64, the product of nothing, rows that overlap, or no algorithm in the
    // library (said once, through device.say, where there is no epilogue to leave out). A batch
    // has no epilogue here, and a GELU that keeps its argument wants rows of a multiple of 8.
    bool multiply(CudaDevice& device, const GemmProblem& problem);

    const CublasLt& library() const { return lt_; }
    // Products that were planned so far: a warm step plans none.
    int64_t plans() const { return static_cast<int64_t>(plans_.size()); }

  private:
    struct Plan;
    using Key = std::array<int64_t, 22>;

    void check(LtStatus status, const char* what) const;
    // Problems from here on have one batch axis.
    const Plan& plan_for(CudaDevice& device, const GemmProblem& problem);
    void describe(const CudaDevice& device, const GemmProblem& problem, Plan& plan);
    void choose(const GemmProblem& problem, Plan& plan);
    void launch(CudaDevice& device, const GemmProblem& problem, const Plan& plan);

    CublasLt lt_;
    LtContext* context_ = nullptr;
    std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace vila::cuda
