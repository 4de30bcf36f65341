#pragma once

// Parameters and the table that lists them. The constructor of a layer declares each of its weights
// in a ParameterTable: name (the Hugging Face name within its part of the model), shape,
// initialization, and whether weight decay applies. Loading, saving, initializing, counting,
// optimizing and sharding all walk the table, in the order of declaration.
//
// Each parameter is trainable or frozen on its own. Optimizers, sharding and checkpoints keep state
// only for trainable parameters.

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "tensor/quantized_matrix.h"
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

struct Parameter;

// A low-rank addition to the weight W of a linear layer (Hu et al. 2021, LoRA): the layer then
// computes with W + scale * B A, without forming that matrix. The parameters are owned by a table.
struct LowRankAdapter {
    Parameter* a = nullptr;  // A (rank, inputs)
    Parameter* b = nullptr;  // B (outputs, rank)
    double scale = 1.0;
};

struct Parameter {
    std::string name = {};  // "model.layers.0.self_attn.q_proj.weight"
    Shape shape = {};
    std::string axes = {};  // names of the axes, for messages: "(outputs, inputs)"
    Init init = {};
    bool decay = false;  // whether weight decay applies: true for matrices and embedding tables
    // Parameters with the same non-empty share get the same initial values.
    std::string share = {};
    // True for the weight of a Linear. Only such a parameter may be quantized or have an adapter.
    bool is_linear = false;
    // The value, in the compute dtype, and its gradient, in f32 (f64 for f64). Undefined if the
    // value is quantized.
    autograd::Variable variable = {};
    QuantizedMatrix quantized = {};
    std::optional<LowRankAdapter> adapter = {};

    // Throws if the parameter is quantized: the message names it and says what it is needed for.
    const Tensor& float_value(const char* purpose) const;
    // The memory of the value: one tensor, or those of a quantized matrix.
    std::vector<Tensor> tensors() const;

    bool trainable() const { return variable.requires_grad(); }
    // Sets whether the parameter gets gradients from now on. Keeps the value and drops a gradient.
    // Throws if a quantized parameter would be trained.
    void set_trainable(bool trainable);
};

class ParameterTable {
  public:
    ParameterTable() = default;
    ParameterTable(const ParameterTable&) = delete;
    ParameterTable& operator=(const ParameterTable&) = delete;

    // Adds a parameter. The reference stays valid as long as the table exists. Throws if the table
    // already has a parameter of that name.
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
    // The total number of values in all parameters.
    int64_t count() const;

    // Allocates every parameter in this dtype and fills it with its initial values, which depend
    // only on `seed` and the name (or the share) of the parameter, not on the order of declaration.
    // The parameters get gradients if `trainable`.
    void initialize(Device& device, DType dtype, uint64_t seed, bool trainable);
    // Sets one parameter to `value`, converted to `dtype`. Throws if the shape differs.
    void assign(const std::string& name, const Tensor& value, DType dtype, bool trainable);
    // Sets one parameter, the weight of a Linear, to a block-quantized value. It is not trainable.
    // Throws if the shape differs or the tensors of `value` do not fit together.
    void assign(const std::string& name, const QuantizedMatrix& value);

    // Calls Parameter::set_trainable for all parameters, or for each with what `rule` says of it.
    void set_trainable(bool trainable);
    void set_trainable(const std::function<bool(const Parameter&)>& rule);
    // Returns true if at least one parameter is trainable.
    bool any_trainable() const;

  private:
    std::deque<Parameter> parameters_;
    std::map<std::string, Parameter*> by_name_;
};

}  // namespace vila::nn
