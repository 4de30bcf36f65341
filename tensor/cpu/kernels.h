#pragma once

// Every CPU kernel by name; table.cpp puts them in the table. Each lives in the file of its stem.

#include "tensor/kernels.h"

namespace vila::cpu_kernels {

void copy(const CopyArgs& args);
void fill(const FillArgs& args);
void matmul(const MatmulArgs& args);

}  // namespace vila::cpu_kernels
