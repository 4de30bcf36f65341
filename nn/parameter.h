#pragma once

// Parameters and the table that lists them. The constructor of a layer declares each of its weights
// in a ParameterTable: name (the Hugging Face name within its part of the model), shape,
// initialization, and whether weight decay applies. Loading, saving, initializing, counting,
// optimizing and sharding all walk the table, in the order of declaration.

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
    std::string axes = {};  // letters of the shape, for messages: "(C, F)"
    Init init = {};
    bool decay = false;  // AdamW's weight decay: applies to matrices, not to norms and biases
    // Parameters with the same non-empty share get the same initial values.
    std::string share = {};
    // The value, in the compute dtype, and its gradient, in f32 (f64 for f64).
    autograd::Variable variable = {};

    bool trainable() const { return variable.requires_grad(); }
};

class ParameterTable {
  public:
    ParameterTable() = default;
    ParameterTable(const ParameterTable&) = delete;
    ParameterTable& operator=(const ParameterTable&) = delete;

    // Adds a parameter. The reference is valid as long as the table. Throws if the name exists
    // already.
    Parameter& declare(Parameter parameter);
    // Throws if there is no parameter of that name; the message suggests the nearest name.
    Parameter& at(const std::string& name);
    // Returns nullptr if there is no parameter of that name.
    Parameter* find(const std::string& name);
    const Parameter* find(const std::string& name) const;

    auto begin() { return parameters_.begin(); }
    auto end() { return parameters_.end(); }
    auto begin() const { return parameters_.begin(); }
    auto end() const { return parameters_.end(); }
    int64_t size() const { return static_cast<int64_t>(parameters_.size()); }
    // Number of values of all parameters.
    int64_t count() const;

    // Allocates every parameter in this dtype and fills it with its initial values, a pure function
    // of (seed, name) that does not depend on the order of declaration. The parameters get
    // gradients if `trainable`.
    void initialize(Device& device, DType dtype, uint64_t seed, bool trainable);
    // Sets one parameter to `value`, converted to `dtype`. Throws if the shape differs.
    void assign(const std::string& name, const Tensor& value, DType dtype, bool trainable);
    // Sets whether the parameters get gradients from now on. Keeps their values.
    void set_trainable(bool trainable);

  private:
    std::deque<Parameter> parameters_;
    std::map<std::string, Parameter*> by_name_;
};

}  // namespace vila::nn
