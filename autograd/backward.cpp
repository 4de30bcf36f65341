// The walk over the tape: counts how many operators each gradient waits for, then runs the
// closures, the last recorded first. That order depends only on the program, so sums are
// reproducible, and memory is freed in the reverse order of its allocation.

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "autograd/variable.h"

namespace vila::autograd {

namespace {

using StateList = std::vector<std::shared_ptr<GradState>>;

// Adds the number of this walk's contributions to `pending` of every state that `root` depends on.
// Returns these states, each once. Inside a checkpoint, a leaf may already have contributions of an
// outer walk pending: it is complete only after those too, and the outer walk lists it.
StateList count_pending(const std::shared_ptr<GradState>& root) {
    StateList visited = {root};
    for (size_t i = 0; i < visited.size(); ++i) {
        if (!visited[i]->producer) continue;
        for (size_t k = 0; k < visited[i]->producer->inputs.size(); ++k) {
            const std::shared_ptr<GradState>& input = visited[i]->producer->inputs[k];
            if (input->pending++ == 0) visited.push_back(input);
        }
    }
    return visited;
}

// Runs the closure of an operator and frees the tensors that it saved.
void run(Node& node, GradState& output) {
    VILA_CHECK(node.backward, "[", node.name, "] backward through a graph that was already freed");
    const auto closure = std::exchange(node.backward, nullptr);
    const Tensor dy = std::exchange(output.grad, Tensor());
    // Without a gradient of the output, this operator contributes nothing to its inputs.
    if (!dy.defined()) return;
    const ActivityScope scope(dy.device(), {"backward of ", node.name});
    closure(dy.to(output.grad_dtype));
}

bool recorded_before(const std::shared_ptr<GradState>& a, const std::shared_ptr<GradState>& b) {
    return a->producer->order < b->producer->order;
}

// Counts one contribution to `state`. After the last one, its operator is ready to run, or the leaf
// is complete.
void count_contribution(const std::shared_ptr<GradState>& state, StateList& ready) {
    if (--state->pending > 0) return;
    if (state->producer) {
        ready.push_back(state);
        std::push_heap(ready.begin(), ready.end(), recorded_before);
    } else if (state->on_complete && state->grad.defined()) {
        state->on_complete(state->grad);
    }
}

void walk(const std::shared_ptr<GradState>& root) {
    const StateList visited = count_pending(root);
    try {
        StateList ready;
        root->pending = 1;
        count_contribution(root, ready);
        while (!ready.empty()) {
            std::pop_heap(ready.begin(), ready.end(), recorded_before);
            const std::shared_ptr<GradState> state = std::move(ready.back());
            ready.pop_back();
            Node& node = *state->producer;
            run(node, *state);
            for (const auto& input : node.inputs) count_contribution(input, ready);
            node.inputs.clear();
        }
    } catch (...) {
        for (const auto& state : visited) state->pending = 0;
        throw;
    }
}

// Returns the leaves that `output` depends on. The search stops at the variables of `border`.
StateList find_leaves(const Variable& output, const std::vector<Variable>& border) {
    std::unordered_set<const GradState*> seen;
    for (const Variable& variable : border) seen.insert(variable.edge().state().get());
    StateList leaves, open;
    if (seen.insert(output.edge().state().get()).second) open.push_back(output.edge().state());
    while (!open.empty()) {
        const std::shared_ptr<GradState> state = std::move(open.back());
        open.pop_back();
        if (state->is_leaf) leaves.push_back(state);
        if (!state->producer) continue;
        for (const auto& input : state->producer->inputs)
            if (seen.insert(input.get()).second) open.push_back(input);
    }
    return leaves;
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
    walk(output.edge().state());
}

std::vector<Variable> checkpoint_border(const std::vector<Variable>& inputs) {
    std::vector<Variable> border;
    for (const Variable& input : inputs) {
        Variable& inside = border.emplace_back(input.value_);
        if (!input.state_) continue;
        inside.state_ = std::make_shared<GradState>();
        inside.state_->is_leaf = input.state_->is_leaf;
        inside.state_->shape = input.state_->shape;
        inside.state_->grad_dtype = input.state_->grad_dtype;
    }
    return border;
}

Variable checkpoint(const std::vector<Variable>& inputs,
                    std::function<Variable(const std::vector<Variable>&)> body) {
    if (!inputs.at(0).device().grad_enabled) return body(inputs);
    // The first run is recorded only to find the leaves that the body uses: they are inputs of the
    // checkpoint's node. The tensors saved by this run are freed with `first`.
    const std::vector<Variable> border = checkpoint_border(inputs);
    const Variable first = body(border);
    if (!first.requires_grad()) return first;
    StateList states = find_leaves(first, border);
    for (const Variable& input : inputs)
        if (input.requires_grad()) states.push_back(input.edge().state());
    return record("checkpoint", first.value(), std::move(states), [inputs, body](const Tensor& dy) {
        const std::vector<Variable> again = checkpoint_border(inputs);
        const Variable output = body(again);
        // The inner graph takes over the gradient sums that later operators began, and gives them
        // back afterwards: additions have the same order as in a graph without checkpoints.
        for (size_t i = 0; i < inputs.size(); ++i)
            if (inputs[i].requires_grad())
                again[i].edge().state()->grad =
                    std::exchange(inputs[i].edge().state()->grad, Tensor());
        output.edge().add(dy);
        walk(output.edge().state());
        for (size_t i = 0; i < inputs.size(); ++i) {
            if (!inputs[i].requires_grad() || !again[i].grad().defined()) continue;
            Tensor& grad = inputs[i].edge().state()->grad;
            if (grad.defined()) {  // an input listed twice
                inputs[i].edge().add(again[i].grad());
            } else {
                grad = again[i].grad();
            }
        }
    });
}

}  // namespace vila::autograd
