#pragma once

// The pickle inside a PyTorch weight file, read as a description of tensors. This is an interpreter
// of a few operations over a fixed list of names; it never resolves a name, imports a module, or
// calls a function, and it refuses by name every operation and every global that it does not know.
// Time and memory are bounded by the pickle's length.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/shape.h"

namespace vila {

// One tensor as the pickle describes it: a strided window on a storage.
struct PickledTensor {
    std::string name;
    std::string storage;        // key of the archive's member data/KEY
    std::string dtype;          // as safetensors spells it: "BF16"
    int64_t storage_numel = 0;  // elements of the whole storage
    int64_t offset = 0;         // elements before the first one
    Shape shape, strides;       // strides in elements, never negative
};

// The entries of the dictionary that the pickle holds, in its order. Checks that each tensor lies
// inside its storage. Throws Error("pickle: ...") without a file's name.
std::vector<PickledTensor> read_tensor_pickle(std::string_view bytes);

}  // namespace vila
