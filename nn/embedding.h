#pragma once

// A table of learned vectors, looked up by id.

#include "nn/parameter.h"

namespace vila::nn {

class Embedding {
  public:
    // Declares NAME.weight (rows, width).
    Embedding(ParameterTable& table, const std::string& name, int64_t rows, int64_t width,
              const Init& init);

    // ids (R) i32 in [0, rows) -> (R, width). Throws on an id outside of the table.
    autograd::Variable operator()(const Tensor& ids) const;
    const Parameter& weight() const { return *weight_; }

  private:
    Parameter* weight_;  // owned by the table
};

}  // namespace vila::nn
