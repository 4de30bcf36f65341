#include "tensor/cpu/cpu_device.h"
#include "tensor/cpu/kernels.h"

namespace vila::cpu_kernels {

const Kernels& table() {
    static constexpr Kernels kTable = {
        .copy = copy,
        .fill = fill,
        .matmul = matmul,
        .rope = rope,
        .attention_forward = attention_forward,
        .attention_backward = attention_backward,
        .patchify = patchify,
        .merge_tokens = merge_tokens,
    };
    return kTable;
}

}  // namespace vila::cpu_kernels
