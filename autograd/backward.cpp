// The walk over the tape: count how many consumers each gradient waits for, then run every closure
// whose output gradient is complete.

#include <unordered_map>
#include <utility>

#include "autograd/variable.h"

namespace vila::autograd {

namespace {

// How many nodes still have to add to each gradient.
using Pending = std::unordered_map<GradState*, int64_t>;

Pending count_consumers(GradState* root) {
    Pending pending;
    pending[root] = 0;
    std::vector<GradState*> stack = {root};
    while (!stack.empty()) {
        GradState* state = stack.back();
        stack.pop_back();
        if (!state->producer) continue;
        for (const auto& input : state->producer->inputs)
            if (pending[input.get()]++ == 0) stack.push_back(input.get());
    }
    return pending;
}

// Runs one node's closure and frees what it had saved.
void run(Node& node, GradState& output) {
    VILA_CHECK(node.backward, "[", node.name, "] backward through a graph that was already freed");
    const auto closure = std::move(node.backward);
    node.backward = nullptr;
    const Tensor dy = std::exchange(output.grad, Tensor());
    // An output nobody used has no gradient: its inputs receive nothing from it.
    if (dy.defined()) closure(dy.to(output.grad_dtype));
}

}  // namespace

void backward(const Variable& output, const Tensor& dy) {
    VILA_CHECK(output.requires_grad(), "backward from a variable that depends on no parameter");
    if (dy.defined()) {
        output.edge().add(dy.contiguous());
    } else {
        VILA_CHECK_EQ(output.value().numel(), int64_t{1}, "elements of a loss");
        output.edge().add(Tensor::full(output.device(), output.shape(), output.dtype(), 1.0));
    }
    std::shared_ptr<GradState> root = output.edge().state();
    Pending pending = count_consumers(root.get());
    std::vector<std::shared_ptr<GradState>> ready = {root};
    while (!ready.empty()) {
        const std::shared_ptr<GradState> state = std::move(ready.back());
        ready.pop_back();
        if (!state->producer) {
            if (state->on_complete && state->grad.defined()) state->on_complete(state->grad);
            continue;
        }
        Node& node = *state->producer;
        run(node, *state);
        for (const auto& input : node.inputs)
            if (--pending[input.get()] == 0) ready.push_back(input);
        node.inputs.clear();
    }
}

Variable checkpoint(const std::vector<Variable>& inputs, bool trains_parameters,
                    std::function<Variable(const std::vector<Variable>&)> body) {
    Device& device = inputs.at(0).device();
    if (!device.grad_enabled || (!trains_parameters && !recording(inputs))) return body(inputs);
    Tensor value;
    {
        const NoGrad no_grad(device);
        value = body(inputs).value();
    }
    // A leaf nobody asks about makes record() keep the closure when only parameters are trained.
    std::vector<Variable> recorded = inputs;
    recorded.push_back(Variable(Tensor::zeros(device, {1}, DType::F32), trains_parameters));
    return record("checkpoint", value, recorded, [inputs, body](const Tensor& dy) {
        std::vector<Variable> again;
        for (const Variable& input : inputs)
            again.push_back(Variable(input.value(), input.requires_grad()));
        const Variable output = body(again);
        if (output.requires_grad()) backward(output, dy);
        for (size_t i = 0; i < inputs.size(); ++i)
            if (inputs[i].requires_grad() && again[i].grad().defined())
                inputs[i].edge().add(again[i].grad().to(inputs[i].dtype()));
    });
}

}  // namespace vila::autograd
