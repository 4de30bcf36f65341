#include "tensor/cpu/cpu_device.h"
#include "tensor/cpu/kernels.h"

namespace vila::cpu_kernels {

const Kernels& table() {
    static constexpr Kernels kTable = {
        .copy = copy,
        .fill = fill,
        .matmul = matmul,
    };
    return kTable;
}

}  // namespace vila::cpu_kernels
