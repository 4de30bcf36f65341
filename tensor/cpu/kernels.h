#pragma once

// Every CPU kernel by name; table.cpp puts them in the table. Each lives in the file of its stem.

#include "tensor/kernels.h"

namespace vila::cpu_kernels {

void copy(const CopyArgs& args);
void fill(const FillArgs& args);
void matmul(const MatmulArgs& args);
void rope(const RopeArgs& args);
void attention_forward(const AttentionForwardArgs& args);
void attention_backward(const AttentionBackwardArgs& args);
void patchify(const PatchifyArgs& args);
void merge_tokens(const MergeTokensArgs& args);

}  // namespace vila::cpu_kernels
