// SwiGLU: y = silu(gate) * up.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable swiglu(const Variable& gate, const Variable& up) {
    check_float("swiglu", "gate", gate.value(), 2);
    Device& device = gate.device();
    const ActivityScope scope(device, {"", "swiglu"});
    check_operand("swiglu", "up", up.value(), gate.shape(), gate.dtype(), device);
    const Tensor gates = gate.value().contiguous(), ups = up.value().contiguous();  // (R, F)
    const Tensor y = Tensor::empty(device, gate.shape(), gate.dtype());             // (R, F)
    call(device, "swiglu_forward", &Kernels::swiglu_forward, {.gate = gates, .up = ups, .y = y});
    return record("swiglu", y, {gate, up},
                  [gate_edge = gate.edge(), up_edge = up.edge(), gates, ups](const Tensor& dy) {
                      Device& device = dy.device();
                      const Tensor dgate = Tensor::empty(device, dy.shape(), dy.dtype());  // (R, F)
                      const Tensor dup = Tensor::empty(device, dy.shape(), dy.dtype());    // (R, F)
                      call(device, "swiglu_backward", &Kernels::swiglu_backward,
                           {.gate = gates, .up = ups, .dy = dy, .dgate = dgate, .dup = dup});
                      if (gate_edge.wanted()) gate_edge.add(dgate);
                      if (up_edge.wanted()) up_edge.add(dup);
                  });
}

}  // namespace vila::autograd
