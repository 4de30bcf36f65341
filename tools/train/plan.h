#pragma once

// How much memory a rank of a training job will need, found by running one step on a device that
// only counts (plan_device.h): the same model, optimizer and collectives as in training.

#include <cstdint>
#include <string>

#include "models/vila.h"
#include "tools/train/recipe.h"

namespace vila::tools {

struct PlanQuestion {
    models::VilaConfig model;
    models::Trainable trainable;
    DType dtype = DType::BF16;
    bool activation_checkpointing = true;
    int64_t zero = 2;
    int64_t ranks = 1;
    bool in_buckets = false;  // train.rank_invariant, for one rank
    int64_t sequences = 1;    // of a micro-batch
    int64_t length = 0;       // positions of each, images spliced
    int64_t images = 0;       // in each
};

// Bytes on one rank.
struct MemoryPlan {
    int64_t weights = 0;    // those that stay whole, in the dtype of training
    int64_t optimizer = 0;  // masters and moments, and, where they are kept, sums of gradients
    int64_t step = 0;       // activations, gradients and buckets: the most in a step beside those
    int64_t peak = 0;       // the sum of the three
    int64_t parameters = 0, learning = 0;
};

MemoryPlan plan_memory(const PlanQuestion& question);

// The question that a recipe asks for, with micro-batches as full as they may be. Each sequence has
// `images` images; less where they do not fit.
PlanQuestion recipe_question(const Recipe& recipe, int64_t ranks, int64_t images);

// What a recipe was expected to take, to stand behind the message that memory ran out; empty where
// that cannot be told.
std::string plan_words(const Recipe& recipe, int64_t ranks);

}  // namespace vila::tools
