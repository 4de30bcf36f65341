#include "tools/training_state.h"

#include <cmath>

namespace vila::tools {

TrainingState::TrainingState(std::vector<ParameterGroup> groups, const OptimizerRecipe& recipe) {
    const nn::AdamwOptions options = {.beta1 = recipe.betas[0],
                                      .beta2 = recipe.betas[1],
                                      .eps = recipe.eps,
                                      .weight_decay = recipe.weight_decay};
    groups_.reserve(groups.size());
    for (ParameterGroup& group : groups)
        groups_.push_back({group.name, group.lr, nn::Adamw(group.parameters, options)});
}

double TrainingState::gradient_norm() const {
    double sum = 0.0;
    for (const Group& group : groups_)
        sum += nn::gradient_sum_of_squares(group.optimizer.parameters());
    return std::sqrt(sum);
}

void TrainingState::update(double schedule, double grad_scale) {
    for (Group& group : groups_) group.optimizer.step(group.lr * schedule, grad_scale);
}

void TrainingState::clear_gradients() {
    for (Group& group : groups_) group.optimizer.clear_gradients();
}

NamedTensors TrainingState::tensors() {
    NamedTensors all;
    for (Group& group : groups_)
        for (const auto& [name, tensor] : group.optimizer.state())
            all.emplace_back(group.name + "/" + name, tensor);
    return all;
}

Json TrainingState::counters() const {
    return {{"updates", groups_.front().optimizer.steps_done()},
            {"bad_steps_in_row", bad_steps_in_row}};
}

void TrainingState::restore(const Checkpoint& checkpoint) {
    const int64_t updates = checkpoint.info.at("updates").get<int64_t>();
    bad_steps_in_row = checkpoint.info.at("bad_steps_in_row").get<int64_t>();
    for (Group& group : groups_)
        group.optimizer.restore(updates, [&](const std::string& name) {
            return checkpoint.tensor(group.name + "/" + name);
        });
}

int64_t TrainingState::parameters() const {
    int64_t count = 0;
    for (const Group& group : groups_)
        for (const nn::Parameter* parameter : group.optimizer.parameters())
            count += parameter->shape.numel();
    return count;
}

int64_t TrainingState::bytes() const {
    constexpr int64_t kTensorsOfAParameter = 3;  // master and two moments
    return parameters() * kTensorsOfAParameter * dtype_size(DType::F32);
}

}  // namespace vila::tools
