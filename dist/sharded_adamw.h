#pragma once

// AdamW over many ranks, with its state divided among them (Rajbhandari et al. 2020, ZeRO): each
// rank keeps the f32 masters and moments of its slice of every bucket, updates that slice, and
// gets the rest of the new weights from the others. Weights come out with the same bits whatever
// the stage:
//
//     stage 0   every rank keeps all of the state and updates all of the weights
//     stage 1   state divided; gradients too, for they are summed after every micro-batch
//     stage 2   as 1
//     stage 3   the weights of blocks too: they are whole only while the block runs, forward and
//               (with activation checkpointing) when backward runs it again
//
// The arithmetic is that of nn::Adamw, value by value.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dist/gradient_reducer.h"
#include "nn/block_hook.h"
#include "tensor/kernels.h"

namespace vila::dist {

// Parameters that share a learning rate. `name` stands before their names in checkpoints.
struct ShardedGroup {
    std::string name;
    std::vector<nn::Parameter*> parameters;
    double lr = 0.0;
};

// A run of values of one tensor of the state, as it is flattened row-major.
struct StatePiece {
    std::string name;  // "llm/master/NAME", "llm/exp_avg/NAME", "llm/exp_avg_sq/NAME"
    Shape shape;       // of the whole tensor
    int64_t begin = 0;
    Tensor values;  // (n) f32, a view of the live state
};

class ShardedAdamw final : public nn::BlockHook {
  public:
    // `settings` gives betas, eps and weight decay (for parameters that decay). The parameters'
    // values move into memory of this object; f32 and bf16 only. In stage 3 the model must have
    // this object as its block hook. `bucket_values`: 0 means default_bucket_values(); `overlap`:
    // see GradientReducer.
    ShardedAdamw(Collectives& collectives, const std::vector<ShardedGroup>& groups,
                 const AdamwUpdate& settings, int64_t stage, int64_t bucket_values = 0,
                 bool overlap = true);
    ShardedAdamw(const ShardedAdamw&) = delete;
    ShardedAdamw& operator=(const ShardedAdamw&) = delete;

    void enter(const std::string& block) override;
    void leave(const std::string& block) override;
    // For reading the model between two steps: gives the parameters of blocks all their values on
    // the ranks that want them, and takes them away again. Every rank must call both.
    void gather_blocks(bool wanted);
    void release_blocks();

    GradientReducer& gradients() { return *reducer_; }
    // One update of all weights on all ranks. A group learns at its own rate times `schedule`.
    void step(double schedule, double grad_scale);
    int64_t steps_done() const { return steps_done_; }

    // What this rank has to write so that all ranks together write everything once.
    std::vector<StatePiece> state() const;
    // Puts back a state after `steps_done` steps: `read` fills piece.values. Any number of ranks
    // and any stage may have written it. Weights become their masters, rounded.
    void restore(int64_t steps_done, const std::function<void(const StatePiece& piece)>& read);

  private:
    // Weights and state of one bucket.
    struct Shard {
        Tensor weights;                      // (bucket.size), the parameters' own memory
        Slice kept;                          // what this rank has the state of
        Tensor master, exp_avg, exp_avg_sq;  // (kept), f32
    };
    struct Member {
        const ShardedGroup* group;
        nn::Parameter* parameter;
    };
    void move_in(size_t bucket);
    void update(size_t bucket, const Tensor& gradient, double schedule, double grad_scale);
    // Gives every rank the slices that the others updated.
    void share_weights(size_t bucket);
    bool is_divided_block(size_t bucket) const {
        return blocks_divided_ && !plan_.buckets[bucket].block.empty();
    }
    BlockWeights::Gathering gather_block(size_t bucket, bool in_background);
    void release_block(size_t bucket);
    // Makes parts of `weights` (bucket.size) the values of the parameters; undefined: no values.
    void place_values(size_t bucket, const Tensor& weights);
    // The pieces of the state of a bucket that lie in `slice`.
    void add_pieces(size_t bucket, const Slice& slice, std::vector<StatePiece>& pieces) const;

    Collectives& collectives_;
    std::vector<ShardedGroup> groups_;
    std::vector<Member> members_;  // in the order of the plan
    AdamwUpdate settings_;
    bool divided_, blocks_divided_;
    BucketPlan plan_;
    std::map<std::string, size_t> blocks_;  // bucket of each block that comes and goes
    std::vector<Shard> shards_;
    std::unique_ptr<GradientReducer> reducer_;
    int64_t steps_done_ = 0;
};

}  // namespace vila::dist
