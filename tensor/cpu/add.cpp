// y = a + b with broadcasting.

#include "tensor/cpu/binary.h"
#include "tensor/cpu/kernels.h"

namespace vila::cpu_kernels {

void add(const BinaryArgs& args) {
    binary("add", args, [](auto a, auto b) { return a + b; });
}

}  // namespace vila::cpu_kernels
