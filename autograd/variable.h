#pragma once

// Variable: a Tensor that may be part of a graph. The graph is a dynamic tape: each operator that
// runs records a Node with a closure, written beside the forward pass, that computes the gradients
// of its inputs from the gradient of its output. backward() visits each node once and frees its
// closure.
//
// Reading order: Variable (for callers), Edge and record() (for authors of operators), backward.cpp
// (the walk).

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace vila::autograd {

struct Node;
class Variable;
using VariableRef = std::reference_wrapper<const Variable>;

// The gradient of a variable and its place in the graph. It does not hold the value, which is freed
// early if backward does not need it.
struct GradState {
    bool is_leaf = false;  // a parameter or an input: keeps its gradient after backward
    Shape shape;
    DType grad_dtype = DType::F32;
    // Undefined until a gradient is added. The gradient of an intermediate result may be wider than
    // grad_dtype: Edge::accumulator() makes it f32.
    Tensor grad;
    std::unique_ptr<Node> producer;  // the operator that made the variable; null for leaves
    // Called by backward() once the last contribution to a leaf's gradient has been added.
    std::function<void(const Tensor& grad)> on_complete;
    // During backward(): the number of operators that have yet to add to `grad`.
    int64_t pending = 0;

    GradState();
    ~GradState();
    GradState(const GradState&) = delete;
    GradState& operator=(const GradState&) = delete;
};

// The memory into which a kernel writes a gradient. For a leaf its dtype is f32 (f64 for f64);
// otherwise it is f32 or the dtype of the value.
struct GradTarget {
    Tensor tensor;
    bool accumulate = false;  // add to the tensor instead of overwriting it
};

// Receives the gradient of one input from an operator's backward closure. Copies share the state.
class Edge {
  public:
    Edge() = default;
    explicit Edge(std::shared_ptr<GradState> state) : state_(std::move(state)) {}

    // False if this gradient is not needed: do not compute it.
    bool wanted() const { return state_ != nullptr; }
    const Shape& shape() const { return state_->shape; }
    // gradient += dx. `dx` has the shape of the input. The edge may keep `dx` itself, and `dx` may
    // share memory with other gradients.
    void add(const Tensor& dx) const;
    // The memory of the gradient, for a kernel that can overwrite it or add to it.
    GradTarget target(Device& device) const;
    // The memory of the gradient in f32 (f64 for f64), initially zeros, for a kernel that can only
    // add to it: that of an embedding's rows, or of a norm's weights.
    Tensor accumulator(Device& device) const;
    const std::shared_ptr<GradState>& state() const { return state_; }

  private:
    std::shared_ptr<GradState> state_;
};

class Variable {
  public:
    // An undefined variable, for an absent optional input such as a bias.
    Variable() = default;
    // A constant; with `requires_grad`, a leaf, whose gradient is f32 (f64 for f64).
    explicit Variable(Tensor value, bool requires_grad = false);

    bool defined() const { return value_.defined(); }
    const Tensor& value() const { return value_; }
    const Shape& shape() const { return value_.shape(); }
    int64_t size(int axis) const { return value_.size(axis); }
    DType dtype() const { return value_.dtype(); }
    Device& device() const { return value_.device(); }

    bool requires_grad() const { return state_ != nullptr; }
    // The gradient of a leaf after backward(). Undefined if no operator added to it.
    const Tensor& grad() const;
    void clear_grad();
    // Makes the gradient accumulate in the memory of `grad`, on top of the values there.
    void set_grad(const Tensor& grad);
    // Replaces the value of a leaf. `value` may be undefined as long as no operator uses it.
    void set_value(Tensor value);
    // Sets GradState::on_complete.
    void on_grad_complete(std::function<void(const Tensor& grad)> callback);
    Edge edge() const { return Edge(state_); }
    // The same value, without a gradient.
    Variable detach() const { return Variable(value_); }

  private:
    friend Variable record(const char*, Tensor, std::vector<std::shared_ptr<GradState>>,
                           std::function<void(const Tensor&)>);
    friend std::vector<Variable> checkpoint_border(const std::vector<Variable>&);
    Tensor value_;
    std::shared_ptr<GradState> state_;
};

// An operator that has run.
struct Node {
    const char* name;
    int64_t order;  // number of operators that the device recorded before this one
    std::vector<std::shared_ptr<GradState>> inputs;  // only those that require a gradient
    std::function<void(const Tensor& dy)> backward;  // empty once it has run
};

// Returns the result of an operator. If gradients are recorded and some input requires one, the
// result keeps `backward`, which receives the gradient of `value` (in its shape and dtype,
// contiguous) and must add to the edges of the inputs. `name` appears in error messages.
Variable record(const char* name, Tensor value, std::initializer_list<VariableRef> inputs,
                std::function<void(const Tensor& dy)> backward);
// The same, for inputs given by their gradient states. Always keeps `backward`.
Variable record(const char* name, Tensor value, std::vector<std::shared_ptr<GradState>> inputs,
                std::function<void(const Tensor& dy)> backward);
// True if record() would keep a closure for these inputs. Otherwise an operator need not save any
// tensors.
bool recording(std::initializer_list<VariableRef> inputs);

// Computes the gradients of all leaves that `output` depends on: runs the closures of the graph,
// the last recorded first, and frees it. `dy`, the gradient of output, has the shape of output; it
// may be omitted for an output of one element and is then 1. Throws if the graph was freed already.
void backward(const Variable& output, const Tensor& dy = Tensor());

// While a NoGrad object exists, operators on its device record nothing.
class NoGrad {
  public:
    explicit NoGrad(Device& device) : device_(device), before_(device.grad_enabled) {
        device_.grad_enabled = false;
    }
    ~NoGrad() { device_.grad_enabled = before_; }
    NoGrad(const NoGrad&) = delete;
    NoGrad& operator=(const NoGrad&) = delete;

  private:
    Device& device_;
    bool before_;
};

// Copies of `inputs` with gradients of their own: the inputs of the graph inside a checkpoint.
std::vector<Variable> checkpoint_border(const std::vector<Variable>& inputs);
// Activation checkpointing (Chen et al. 2016): runs `body` without keeping its activations, and
// runs it again during backward. `body` must be a pure function of `inputs` (at least one) and of
// leaves (parameters). Gradients have the same bits as without a checkpoint.
Variable checkpoint(const std::vector<Variable>& inputs,
                    std::function<Variable(const std::vector<Variable>&)> body);

}  // namespace vila::autograd
