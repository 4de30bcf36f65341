#pragma once

// `vila bench train-step`: one optimizer step of a small vision language model with random weights,
// forward, backward, clipping and AdamW, as a training run makes it.

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "models/config.h"
#include "tensor/cpu/cpu_device.h"

namespace vila::tools {

// Every part learns. A sequence is one image, then text, all of it targets.
struct TrainStepShape {
    models::VilaConfig model;
    int64_t sequences, text_tokens;
};
// ViT (12 layers, width 384, 256 patches) -> MLP -> Llama (8 layers, width 512, vocabulary 32000);
// 4 sequences of 256 image and 128 text tokens; 80.5 million parameters.
TrainStepShape small_vlm_step();

// A model, its batch and its optimizer, on any device.
class TrainStepRun {
  public:
    TrainStepRun(Device& device, DType dtype, const TrainStepShape& shape);
    ~TrainStepRun();
    // The loss before the update.
    double step();
    double flop() const;  // of a step, by tools/base/flops.h
    int64_t parameters() const;
    int64_t rows() const;  // of the language model, in a step

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

struct TrainStepMeasurement {
    DType dtype;
    int threads;
    int64_t parameters;
    int64_t rows;                   // of the language model, in a step
    double seconds;                 // of a step, median
    double rank_invariant_seconds;  // of one with train.rank_invariant
    double gflops;                  // by tools/base/flops.h
    double limit_share;             // median of the pairwise shares of the multiply-add loop
    int64_t peak_tensor_bytes;      // the largest sum of live tensors
    int64_t peak_process_bytes;     // the largest resident set of this process so far
    double first_loss, last_loss;
};

// Two steps to warm up, then `steps` timed ones on the same batch. Throws when the loss is not
// finite or did not fall.
TrainStepMeasurement bench_train_step(CpuDevice& device, DType dtype, const TrainStepShape& shape,
                                      int steps);

std::string train_step_table(const CpuDevice& device, const TrainStepMeasurement& measurement);
nlohmann::json train_step_json(const CpuDevice& device, const TrainStepMeasurement& measurement);

}  // namespace vila::tools
