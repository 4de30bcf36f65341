#pragma once

// Predicts the memory of a rank of a training job by running one step on a device that only counts
// bytes (plan_device.h), with the model, optimizer and collectives of training. Stage clip, which
// trains another kind of model, cannot be planned.

#include <cstdint>
#include <string>
#include <vector>

#include "models/vila.h"
#include "tools/train/recipe.h"

namespace vila::tools {

struct PlanOptions {
    models::VilaConfig model;
    models::Trainable trainable;
    DType dtype = DType::BF16;
    bool activation_checkpointing = true;
    int64_t zero = 2;
    int64_t ranks = 1;
    bool in_buckets = false;  // sum gradients in buckets even on one rank (train.rank_invariant)
    int64_t sequences = 1;    // per micro-batch
    int64_t length = 0;       // positions per sequence, images included
    std::vector<int64_t> image_tiles;  // of each image of a sequence (models/image_layout.h)
};

// Bytes on one rank.
struct MemoryPlan {
    int64_t weights = 0;    // weights that are not divided among ranks, in the dtype of training
    int64_t optimizer = 0;  // masters and moments, and gradient sums if they are kept
    int64_t step = 0;       // peak of activations, gradients and buckets during a step
    int64_t peak = 0;       // sum of the three
    int64_t parameters = 0, trainable = 0;  // counts for the whole model
};

MemoryPlan plan_memory(const PlanOptions& options);

// Whether the stage of a recipe can be planned.
bool can_plan(const Recipe& recipe);

// Returns the options of a recipe that can be planned, with full micro-batches. Each sequence has
// `images` images, or fewer if not all fit, each with the largest number of tiles.
PlanOptions plan_options(const Recipe& recipe, int64_t ranks, int64_t images);

// Returns the planned memory of a recipe as an addition to an out-of-memory message; empty if it
// cannot be planned.
std::string plan_summary(const Recipe& recipe, int64_t ranks);

}  // namespace vila::tools
