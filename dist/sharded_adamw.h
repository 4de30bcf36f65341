#pragma once

// AdamW over many ranks, with its state sharded among them (ZeRO, Rajbhandari et al. 2020): each
// rank keeps the f32 masters and moments of its slice of every bucket, updates that slice, and
// gathers the rest of the new weights from the other ranks. All stages compute the same weights,
// bit by bit:
//
//     stage 0   every rank keeps all of the state and updates all of the weights
//     stage 1   the state is sharded; so are the gradients, which are summed after every
//               micro-batch
//     stage 2   the same as stage 1
//     stage 3   the weights of blocks are sharded too: a rank has all weights of a block only while
//               the block runs, in forward and again in backward (with activation checkpointing;
//               without it, the tensors saved for backward keep the weights until then)
//
// Each value is updated by the same arithmetic as in nn::Adamw.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dist/gradient_reducer.h"
#include "nn/block_hook.h"
#include "tensor/adamw_options.h"

namespace vila::dist {

// Parameters that share a learning rate.
struct ShardedGroup {
    std::string name;  // prefix of their names in checkpoints
    std::vector<nn::Parameter*> parameters;
    double lr = 0.0;
};

// Consecutive values of one tensor of the state, flattened row-major.
struct StatePiece {
    std::string name;   // "llm/master/NAME", "llm/exp_avg/NAME", "llm/exp_avg_sq/NAME"
    Shape shape;        // of the whole tensor
    int64_t begin = 0;  // first value
    Tensor values;      // (n) f32; shares memory with the optimizer
};

class ShardedAdamw final : public nn::BlockHook {
  public:
    // Moves the values of the trainable parameters, f32 or bf16, into memory of this object. In
    // stage 3 the model must have this object as its block hook. `bucket_values`: see
    // plan_buckets(); 0 means default_bucket_values(). `overlap`: see GradientReducer. Throws
    // unless `stage` is 0 to 3 and some parameter is trainable.
    ShardedAdamw(Collectives& collectives, const std::vector<ShardedGroup>& groups,
                 const AdamwOptions& options, int64_t stage, int64_t bucket_values = 0,
                 bool overlap = true);
    ShardedAdamw(const ShardedAdamw&) = delete;
    ShardedAdamw& operator=(const ShardedAdamw&) = delete;

    void enter(const std::string& block) override;
    void leave(const std::string& block) override;
    // Between two steps, so that the model can be read: gather_blocks() gathers the weights of
    // sharded blocks on the ranks with `wanted`, and release_blocks() frees them again. Every rank
    // must call both.
    void gather_blocks(bool wanted);
    void release_blocks();

    GradientReducer& gradients() { return *reducer_; }
    // Updates all weights on all ranks. The learning rate of a group is its `lr` times `schedule`;
    // gradients are multiplied by `grad_scale` first (for clipping).
    void step(double schedule, double grad_scale);
    int64_t steps_done() const { return steps_done_; }

    // The part of the state that this rank saves: all ranks together save each value once.
    std::vector<StatePiece> state() const;
    // Restores the state after `steps_done` steps: `read` fills piece.values. Any number of ranks
    // in any stage may have saved it. Weights become their masters, rounded.
    void restore(int64_t steps_done, const std::function<void(const StatePiece& piece)>& read);

  private:
    // Weights and state of one bucket.
    struct Shard {
        // (bucket.size), the memory of the parameters; undefined for sharded blocks.
        Tensor weights;
        Slice owned;                         // values of the bucket whose state this rank keeps
        Tensor master, exp_avg, exp_avg_sq;  // (owned.size()) f32
    };
    struct Member {
        const ShardedGroup* group;
        nn::Parameter* parameter;
    };
    // Moves the weights of the bucket's parameters into a new shard, and makes its state.
    void make_shard(size_t bucket);
    void update(size_t bucket, const Tensor& gradient, double schedule, double grad_scale);
    // Gives every rank the slices of the weights that the other ranks updated.
    void all_gather_weights(size_t bucket);
    bool is_sharded_block(size_t bucket) const {
        return shards_blocks_ && !plan_.buckets[bucket].block.empty();
    }
    GatheredWeights gather_block(size_t bucket, bool in_background);
    void release_block(size_t bucket);
    // Makes the values of the bucket's parameters views of `weights` (bucket.size), or undefined if
    // `weights` is undefined.
    void bind_parameters(size_t bucket, const Tensor& weights);
    // Appends the pieces of the state of a bucket that lie in `slice`.
    void add_pieces(size_t bucket, const Slice& slice, std::vector<StatePiece>& pieces) const;

    Collectives& collectives_;
    std::vector<ShardedGroup> groups_;
    std::vector<Member> members_;  // in the order of the plan
    AdamwOptions options_;
    bool shards_state_, shards_blocks_;
    BucketPlan plan_;
    std::map<std::string, size_t> blocks_;  // sharded blocks: from the name to the bucket
    std::vector<Shard> shards_;
    std::unique_ptr<GradientReducer> reducer_;
    int64_t steps_done_ = 0;
};

}  // namespace vila::dist
