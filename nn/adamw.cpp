#include "nn/adamw.h"

#include <cmath>
#include <set>

namespace vila::nn {

Adamw::Adamw(const std::vector<Parameter*>& parameters, const AdamwOptions& options)
    : options_(options) {
    std::set<std::string> names;
    for (Parameter* parameter : parameters) {
        if (!parameter->trainable()) continue;
        VILA_CHECK(parameter->variable.dtype() != DType::F64, "[adamw] parameter ", parameter->name,
                   " is f64: the optimizer keeps f32 masters");
        VILA_CHECK(names.insert(parameter->name).second, "[adamw] parameter ", parameter->name,
                   " is listed twice");
        parameters_.push_back(parameter);
    }
    slots_.resize(parameters_.size());
}

Adamw::Slot& Adamw::slot(size_t i) {
    Slot& slot = slots_[i];
    if (slot.master.defined()) return slot;
    const Tensor& value = parameters_[i]->variable.value();
    const ActivityScope scope(value.device(), {"AdamW's state of ", parameters_[i]->name.c_str()});
    // An f32 parameter is its own master.
    slot.master = value.to(DType::F32);
    slot.exp_avg = Tensor::zeros(value.device(), value.shape(), DType::F32);
    slot.exp_avg_sq = Tensor::zeros(value.device(), value.shape(), DType::F32);
    return slot;
}

void Adamw::step(double lr, double grad_scale) {
    ++steps_done_;
    if (parameters_.empty()) return;
    Device& device = parameters_.front()->variable.device();
    std::vector<AdamwUpdate> updates;
    for (size_t i = 0; i < parameters_.size(); ++i) {
        const Parameter& parameter = *parameters_[i];
        const Slot& state = slot(i);
        AdamwUpdate& update = updates.emplace_back(options_.update(parameter.decay));
        update.gradient = parameter.variable.edge().accumulator(device);
        update.master = state.master;
        update.first_moment = state.exp_avg;
        update.second_moment = state.exp_avg_sq;
        update.parameter = parameter.variable.value();
        update.lr = lr;
        update.grad_scale = grad_scale;
        update.step = steps_done_;
    }
    call(device, "adamw", &Kernels::adamw, {.tensors = updates});
}

void Adamw::clear_gradients() {
    for (Parameter* parameter : parameters_) parameter->variable.clear_grad();
}

std::vector<std::pair<std::string, Tensor>> Adamw::state() {
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (size_t i = 0; i < parameters_.size(); ++i) {
        const Slot& state = slot(i);
        tensors.emplace_back("master/" + parameters_[i]->name, state.master);
        tensors.emplace_back("exp_avg/" + parameters_[i]->name, state.exp_avg);
        tensors.emplace_back("exp_avg_sq/" + parameters_[i]->name, state.exp_avg_sq);
    }
    return tensors;
}

void Adamw::restore(int64_t steps_done,
                    const std::function<Tensor(const std::string& name)>& tensor) {
    for (const auto& [name, live] : state()) {
        const Tensor saved = tensor(name);
        VILA_CHECK_EQ(saved.shape(), live.shape(), "[adamw] shape of saved state ", name);
        VILA_CHECK_EQ(saved.dtype(), DType::F32, "[adamw] dtype of saved state ", name);
        live.copy_from(saved.to(live.device()));
    }
    for (size_t i = 0; i < parameters_.size(); ++i) {
        const Tensor& value = parameters_[i]->variable.value();
        if (value.dtype() != DType::F32) value.copy_from(slots_[i].master);
    }
    steps_done_ = steps_done;
}

double gradient_sum_of_squares(const std::vector<Parameter*>& parameters) {
    Tensor result;
    for (const Parameter* parameter : parameters) {
        if (!parameter->trainable() || !parameter->variable.grad().defined()) continue;
        const Tensor& grad = parameter->variable.grad();
        if (!result.defined()) result = Tensor::zeros(grad.device(), {1}, DType::F64);
        call(grad.device(), "sum_squares", &Kernels::sum_squares, {.x = grad, .result = result});
    }
    return result.defined() ? result.item() : 0.0;
}

double gradient_norm(const std::vector<Parameter*>& parameters) {
    return std::sqrt(gradient_sum_of_squares(parameters));
}

double clip_scale(double norm, double clip_norm) {
    return clip_norm > 0.0 && norm > clip_norm ? clip_norm / norm : 1.0;
}

}  // namespace vila::nn
