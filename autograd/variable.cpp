#include "autograd/variable.h"

#include "autograd/checks.h"
#include "tensor/kernels.h"

namespace vila::autograd {

GradState::GradState() = default;

// Frees a chain of operators in a loop: recursive destructors would use stack in proportion to the
// length of the chain.
GradState::~GradState() {
    std::vector<std::unique_ptr<Node>> last;
    if (producer) last.push_back(std::move(producer));
    while (!last.empty()) {
        std::unique_ptr<Node> node = std::move(last.back());
        last.pop_back();
        const auto inputs = std::move(node->inputs);
        node.reset();  // frees the closure, with all other references that the node holds
        for (const auto& input : inputs)
            if (input.use_count() == 1 && input->producer)
                last.push_back(std::move(input->producer));
    }
}

Variable::Variable(Tensor value, bool requires_grad) : value_(std::move(value)) {
    if (!requires_grad) return;
    VILA_CHECK(is_floating(value_.dtype()), "a gradient needs a floating dtype, got ",
               value_.dtype());
    state_ = std::make_shared<GradState>();
    state_->is_leaf = true;
    state_->shape = value_.shape();
    state_->grad_dtype = accumulation_dtype(value_.dtype());
}

const Tensor& Variable::grad() const {
    VILA_CHECK(requires_grad(), "this variable does not require a gradient");
    return state_->grad;
}

void Variable::clear_grad() {
    if (state_) state_->grad = Tensor();
}

void Variable::set_grad(const Tensor& grad) {
    VILA_CHECK(requires_grad(), "this variable does not require a gradient");
    VILA_CHECK_EQ(grad.shape(), state_->shape, "shape of a gradient buffer");
    VILA_CHECK_EQ(grad.dtype(), state_->grad_dtype, "dtype of a gradient buffer");
    state_->grad = grad;
}

void Variable::set_value(Tensor value) {
    VILA_CHECK(requires_grad(), "this variable does not require a gradient");
    if (value.defined()) VILA_CHECK_EQ(value.shape(), state_->shape, "shape of a leaf's value");
    value_ = std::move(value);
}

void Variable::on_grad_complete(std::function<void(const Tensor&)> callback) {
    VILA_CHECK(requires_grad(), "this variable does not require a gradient");
    state_->on_complete = std::move(callback);
}

void Edge::add(const Tensor& dx) const {
    VILA_ASSERT(wanted());
    VILA_CHECK_EQ(dx.shape(), state_->shape, "shape of a gradient");
    if (!state_->is_leaf && !state_->grad.defined()) {
        state_->grad = dx;
        return;
    }
    const auto [grad, accumulate] = target(dx.device());
    call(dx.device(), "scale", &Kernels::scale,
         {.x = dx, .y = grad, .alpha = 1.0, .accumulate = accumulate});
}

GradTarget Edge::target(Device& device) const {
    VILA_ASSERT(wanted());
    Tensor& grad = state_->grad;
    if (!grad.defined()) {
        grad = Tensor::empty(device, state_->shape, state_->grad_dtype);
        return {grad, false};
    }
    // Another gradient may share this memory: both inputs of an addition receive dy itself.
    if (!state_->is_leaf && grad.use_count() > 1) grad = grad.clone();
    return {grad, true};
}

Tensor Edge::accumulator(Device& device) const {
    Tensor& grad = state_->grad;
    const DType wide = accumulation_dtype(state_->grad_dtype);
    if (!grad.defined()) {
        grad = Tensor::zeros(device, state_->shape, wide);
    } else {
        grad = target(device).tensor.to(wide);
    }
    return grad;
}

bool recording(std::initializer_list<VariableRef> inputs) {
    for (const Variable& input : inputs)
        if (input.requires_grad()) return input.device().grad_enabled;
    return false;
}

Variable record(const char* name, Tensor value, std::initializer_list<VariableRef> inputs,
                std::function<void(const Tensor&)> backward) {
    if (!recording(inputs)) return Variable(std::move(value));
    std::vector<std::shared_ptr<GradState>> states;
    states.reserve(inputs.size());
    for (const Variable& input : inputs)
        if (input.requires_grad()) states.push_back(input.edge().state());
    return record(name, std::move(value), std::move(states), std::move(backward));
}

Variable record(const char* name, Tensor value, std::vector<std::shared_ptr<GradState>> inputs,
                std::function<void(const Tensor&)> backward) {
    Variable result(std::move(value));
    result.state_ = std::make_shared<GradState>();
    result.state_->shape = result.shape();
    result.state_->grad_dtype = result.dtype();
    result.state_->producer = std::make_unique<Node>(
        Node{name, result.device().recorded++, std::move(inputs), std::move(backward)});
    return result;
}

}  // namespace vila::autograd
