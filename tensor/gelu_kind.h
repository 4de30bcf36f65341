#pragma once

// The three forms of the GELU activation.

namespace vila {

// Erf: x Phi(x) (Hendrycks and Gimpel 2016). Tanh: its tanh approximation. Quick: x
// sigmoid(1.702x).
enum class GeluKind { Erf, Tanh, Quick };

}  // namespace vila
