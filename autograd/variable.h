#pragma once

// Variable: a Tensor that may be part of a graph. The graph is a dynamic tape: each operator that
// ran leaves a Node with a closure, written beside the forward pass, that knows how to turn the
// gradient of its output into gradients of its inputs. backward() walks the nodes once and frees
// them as it goes.
//
// Reading order: Variable (what callers see), Edge and record() (what an operator's author uses),
// backward.cpp (the walk).

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

// The gradient side of a variable; outlives the value where backward does not need that.
struct GradState {
    bool is_leaf = false;  // a parameter or an input: keeps its gradient after backward
    Shape shape;
    DType grad_dtype = DType::F32;
    // Undefined until something was added. Between operators it may be wider than grad_dtype: f32
    // where an accumulator was asked for.
    Tensor grad;
    std::unique_ptr<Node> producer;  // none for leaves
    // Called by backward() when the last contribution to a leaf's gradient has been added.
    std::function<void(const Tensor& grad)> on_complete;
    // During backward(): operators that still have to add to `grad`.
    int64_t pending = 0;

    GradState();
    ~GradState();
    GradState(const GradState&) = delete;
    GradState& operator=(const GradState&) = delete;
};

// Memory for a kernel to leave a gradient in: to overwrite, or to add to when something is there
// already. In f32 (f64 for f64) for leaves, else in the dtype of the value or in f32.
struct GradTarget {
    Tensor tensor;
    bool accumulate = false;
};

// Where an operator's backward closure delivers the gradient of one input. Copies share the state.
class Edge {
  public:
    Edge() = default;
    explicit Edge(std::shared_ptr<GradState> state) : state_(std::move(state)) {}

    // False when nobody needs this gradient: skip the work of computing it.
    bool wanted() const { return state_ != nullptr; }
    const Shape& shape() const { return state_->shape; }
    // gradient += dx. `dx` has the input's shape; it may share memory with other gradients.
    void add(const Tensor& dx) const;
    // The gradient itself, for a kernel that can write or add to it: see GradTarget.
    GradTarget target(Device& device) const;
    // The gradient as f32 (f64 for f64), zero at first, for a kernel that can only add: rows of an
    // embedding, weights of a norm.
    Tensor accumulator(Device& device) const;
    const std::shared_ptr<GradState>& state() const { return state_; }

  private:
    std::shared_ptr<GradState> state_;
};

class Variable {
  public:
    // Undefined: stands for an absent optional input such as a bias.
    Variable() = default;
    // A constant, or with `requires_grad` a leaf whose gradient is kept: in f32 (f64 for f64).
    explicit Variable(Tensor value, bool requires_grad = false);

    bool defined() const { return value_.defined(); }
    const Tensor& value() const { return value_; }
    const Shape& shape() const { return value_.shape(); }
    int64_t size(int axis) const { return value_.size(axis); }
    DType dtype() const { return value_.dtype(); }
    Device& device() const { return value_.device(); }

    bool requires_grad() const { return state_ != nullptr; }
    // The gradient of a leaf after backward(); undefined when nothing reached it.
    const Tensor& grad() const;
    void clear_grad();
    // Replaces the memory the gradient is accumulated in (a slice of a communication bucket).
    void set_grad(const Tensor& grad);
    // Gives a leaf other memory for its value, or none for as long as nobody computes with it.
    void set_value(Tensor value);
    void on_grad_complete(std::function<void(const Tensor& grad)> callback);
    Edge edge() const { return Edge(state_); }
    // The same value outside the graph.
    Variable detach() const { return Variable(value_); }

  private:
    friend Variable record(const char*, Tensor, std::vector<std::shared_ptr<GradState>>,
                           std::function<void(const Tensor&)>);
    friend std::vector<Variable> checkpoint_border(const std::vector<Variable>&);
    Tensor value_;
    std::shared_ptr<GradState> state_;
};

// One operator that ran.
struct Node {
    const char* name;
    int64_t order;  // operators recorded on the device before this one
    std::vector<std::shared_ptr<GradState>> inputs;  // only those that want a gradient
    std::function<void(const Tensor& dy)> backward;  // empty once it has run
};

// Makes an operator's result. When gradients are recorded and some input wants one, the result
// remembers `backward`, which receives the gradient of `value` (its shape and dtype, contiguous)
// and must add to the edges of the inputs. `name` appears in messages.
Variable record(const char* name, Tensor value, std::initializer_list<VariableRef> inputs,
                std::function<void(const Tensor& dy)> backward);
// The same for inputs given by their gradients' states.
Variable record(const char* name, Tensor value, std::vector<std::shared_ptr<GradState>> inputs,
                std::function<void(const Tensor& dy)> backward);
// Whether record() would keep a closure for these inputs: lets an operator skip saving.
bool recording(std::initializer_list<VariableRef> inputs);

// Runs the closures behind `output`, the last recorded first, starting from `dy` (shape of output;
// a one-element output may omit it: 1), and frees the graph. Throws if it was freed already.
void backward(const Variable& output, const Tensor& dy = Tensor());

// While one of these lives, operators on its device record nothing.
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

// Copies of `inputs` whose gradients are their own: where the graph inside a checkpoint ends.
std::vector<Variable> checkpoint_border(const std::vector<Variable>& inputs);
// Activation checkpointing (Chen et al. 2016): keeps only `inputs` of what `body` computes, and
// runs it again during backward. `body` must be a pure function of the inputs and of leaves
// (parameters); gradients are the same, bit for bit, as without.
Variable checkpoint(const std::vector<Variable>& inputs,
                    std::function<Variable(const std::vector<Variable>&)> body);

}  // namespace vila::autograd
