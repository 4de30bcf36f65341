#include "tools/train/training_state.h"

#include <algorithm>

#include "dist/sharded_adamw.h"
#include "nn/adamw.h"

namespace vila::tools {

namespace {

AdamwOptions adamw_options(const OptimizerRecipe& recipe) {
    return {.beta1 = recipe.betas[0],
            .beta2 = recipe.betas[1],
            .eps = recipe.eps,
            .weight_decay = recipe.weight_decay};
}

class WholeState final : public TrainingState {
  public:
    WholeState(const std::vector<ParameterGroup>& groups, const OptimizerRecipe& recipe)
        : TrainingState(groups) {
        const AdamwOptions options = adamw_options(recipe);
        groups_.reserve(groups.size());
        for (const ParameterGroup& group : groups)
            groups_.push_back({group.name, group.lr, nn::Adamw(group.parameters, options)});
    }

    void begin_step() override {
        for (Group& group : groups_) group.optimizer.clear_gradients();
    }
    void end_micro_batch() override {}

    dist::ExactSum gradient_squares() override {
        double sum = 0.0;
        for (const Group& group : groups_)
            sum += nn::gradient_sum_of_squares(group.optimizer.parameters());
        dist::ExactSum squares;
        squares.add(sum);
        return squares;
    }

    void update(double schedule, double grad_scale) override {
        for (Group& group : groups_) group.optimizer.step(group.lr * schedule, grad_scale);
    }

    std::vector<TensorPart> parts() override {
        NamedTensors all;
        for (Group& group : groups_)
            for (const auto& [name, tensor] : group.optimizer.state())
                all.emplace_back(group.name + "/" + name, tensor);
        return whole_tensors(all);
    }

  protected:
    int64_t updates() const override { return groups_.front().optimizer.steps_done(); }

    void restore_tensors(int64_t updates, const Checkpoint& checkpoint) override {
        for (Group& group : groups_)
            group.optimizer.restore(updates, [&](const std::string& name) {
                return checkpoint.tensor(group.name + "/" + name);
            });
    }

  private:
    struct Group {
        std::string name;
        double lr;
        nn::Adamw optimizer;
    };
    std::vector<Group> groups_;
};

class ShardedState final : public TrainingState {
  public:
    ShardedState(Stage& stage, const Recipe& recipe, dist::Collectives& ranks)
        : TrainingState(stage.groups()),
          stage_(stage),
          rank_invariant_(recipe.train.rank_invariant),
          optimizer_(ranks, sharded(stage.groups()), adamw_options(recipe.optimizer),
                     zero_stage(recipe), 0, recipe.train.overlap) {
        stage_.set_block_hook(&optimizer_);
    }
    ~ShardedState() override { stage_.set_block_hook(nullptr); }

    void begin_step() override { optimizer_.gradients().begin_step(); }
    void end_micro_batch() override { optimizer_.gradients().end_micro_batch(); }
    dist::ExactSum gradient_squares() override {
        return optimizer_.gradients().squares(rank_invariant_);
    }
    void update(double schedule, double grad_scale) override {
        optimizer_.step(schedule, grad_scale);
    }

    std::vector<TensorPart> parts() override {
        std::vector<TensorPart> parts;
        for (const dist::StatePiece& piece : optimizer_.state()) parts.push_back(part_of(piece));
        return parts;
    }

    void gather_weights(bool wanted) override { optimizer_.gather_blocks(wanted); }
    void release_weights() override { optimizer_.release_blocks(); }

  protected:
    int64_t updates() const override { return optimizer_.steps_done(); }

    void restore_tensors(int64_t updates, const Checkpoint& checkpoint) override {
        optimizer_.restore(updates,
                           [&](const dist::StatePiece& piece) { checkpoint.read(part_of(piece)); });
    }

  private:
    // A part that is the whole tensor keeps the shape of the tensor in the file.
    static TensorPart part_of(const dist::StatePiece& piece) {
        const bool whole = piece.values.numel() == piece.shape.numel();
        return {.name = piece.name,
                .shape = piece.shape,
                .begin = piece.begin,
                .values = whole ? piece.values.reshape(piece.shape) : piece.values};
    }

    static std::vector<dist::ShardedGroup> sharded(const std::vector<ParameterGroup>& groups) {
        std::vector<dist::ShardedGroup> result;
        for (const ParameterGroup& group : groups)
            result.push_back({group.name, group.parameters, group.lr});
        return result;
    }

    static int64_t zero_stage(const Recipe& recipe) {
        return std::min(recipe.train.zero, stage_facts(*recipe.stage).max_zero);
    }

    Stage& stage_;
    bool rank_invariant_;
    dist::ShardedAdamw optimizer_;
};

}  // namespace

TrainingState::TrainingState(const std::vector<ParameterGroup>& groups) {
    for (const ParameterGroup& group : groups)
        for (const nn::Parameter* parameter : group.parameters)
            if (parameter->trainable()) parameters_ += parameter->shape.numel();
}

Json TrainingState::counters() const {
    return {{"updates", updates()}, {"bad_steps_in_row", bad_steps_in_row}};
}

void TrainingState::restore(const Checkpoint& checkpoint) {
    bad_steps_in_row = checkpoint.info.at("bad_steps_in_row").get<int64_t>();
    restore_tensors(checkpoint.info.at("updates").get<int64_t>(), checkpoint);
}

int64_t TrainingState::bytes() const {
    constexpr int64_t kTensorsPerParameter = 3;  // master and two moments
    return parameters_ * kTensorsPerParameter * dtype_size(DType::F32);
}

std::unique_ptr<TrainingState> make_training_state(Stage& stage, const Recipe& recipe,
                                                   dist::Collectives& ranks) {
    if (ranks.ranks() == 1 && !recipe.train.rank_invariant)
        return std::make_unique<WholeState>(stage.groups(), recipe.optimizer);
    return std::make_unique<ShardedState>(stage, recipe, ranks);
}

}  // namespace vila::tools
