#pragma once

// `vila bench train-step`: one optimizer step (forward, backward, clipping, AdamW) of a small
// vision language model with random weights.

#include <cstdint>
#include <memory>
#include <string>

#include "models/config.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/json.h"

namespace vila::tools {

// A training step in which every part is trainable. A sequence is one image followed by text; every
// text token is a target.
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
    // Runs one step; returns the loss before the update.
    double step();
    // Operations of a step, as tools/base/flops.h counts them.
    double flop() const;
    int64_t parameters() const;
    // Rows of the language model in a step.
    int64_t rows() const;

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

struct TrainStepMeasurement {
    DType dtype;
    int threads;
    int64_t parameters;
    int64_t rows;                   // rows of the language model in a step
    double seconds;                 // a step, median
    double rank_invariant_seconds;  // a step with train.rank_invariant, median
    double gflops;                  // as tools/base/flops.h counts operations
    double limit_share;             // of the multiply-add loop, median of the pairs
    int64_t peak_tensor_bytes;      // largest sum of live tensors
    int64_t peak_process_bytes;     // largest resident set of this process so far
    double first_loss, last_loss;
};

// Runs two warm-up steps, then `steps` timed ones on the same batch. Throws if the loss is not
// finite or did not fall.
TrainStepMeasurement bench_train_step(CpuDevice& device, DType dtype, const TrainStepShape& shape,
                                      int steps);

std::string train_step_table(const CpuDevice& device, const TrainStepMeasurement& measurement);
Json train_step_json(const CpuDevice& device, const TrainStepMeasurement& measurement);

}  // namespace vila::tools
