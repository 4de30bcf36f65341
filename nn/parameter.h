#pragma once

// Parameters, declared once. A layer's constructor declares each of its weights in a
// ParameterTable: name (the Hugging Face name inside its part), shape, initialisation, whether
// weight decay applies. Loading, saving, initialising, counting, optimising and sharding all walk
// that table, in the order of declaration.

#include <deque>
#include <map>
#include <string>

#include "autograd/variable.h"
#include "tensor/tensor.h"

namespace vila::nn {

enum class InitKind {
    Zeros,
    Ones,
    Normal,    // mean 0, standard deviation `scale`
    Uniform,   // in [-scale, scale]
    Constant,  // `scale` everywhere
};
struct Init {
    InitKind kind = InitKind::Zeros;
    double scale = 0.0;
};

struct Parameter {
    std::string name = {};  // "model.layers.0.self_attn.q_proj.weight"
    Shape shape = {};
    std::string axes = {};  // the shape in letters, for messages: "(C, F)"
    Init init = {};
    bool decay = false;  // AdamW's weight decay: matrices yes, norms and biases no
    // Parameters with the same non-empty share start from the same values (drawn once).
    std::string share = {};
    // Values in the compute dtype; the gradient, f32, belongs to the variable.
    autograd::Variable variable = {};

    bool trainable() const { return variable.requires_grad(); }
};

class ParameterTable {
  public:
    ParameterTable() = default;
    ParameterTable(const ParameterTable&) = delete;
    ParameterTable& operator=(const ParameterTable&) = delete;

    // The reference stays valid for the life of the table. Throws on a name declared twice.
    Parameter& declare(Parameter parameter);
    // Throws when there is none of that name; the message names the nearest one.
    Parameter& at(const std::string& name);
    Parameter* find(const std::string& name);
    const Parameter* find(const std::string& name) const;

    auto begin() { return parameters_.begin(); }
    auto end() { return parameters_.end(); }
    auto begin() const { return parameters_.begin(); }
    auto end() const { return parameters_.end(); }
    int64_t size() const { return static_cast<int64_t>(parameters_.size()); }
    // Number of values in all parameters.
    int64_t count() const;

    // Gives every parameter memory of this dtype with its initial values, a pure function of
    // (seed, name), whatever the order of declaration. Gradients are wanted if `trainable`.
    void initialize(Device& device, DType dtype, uint64_t seed, bool trainable);
    // Gives one parameter these values, converted to `dtype`; checks the shape.
    void assign(const std::string& name, const Tensor& value, DType dtype, bool trainable);
    // Whether gradients are wanted from now on; keeps values.
    void set_trainable(bool trainable);

  private:
    std::deque<Parameter> parameters_;
    std::map<std::string, Parameter*> by_name_;
};

}  // namespace vila::nn
