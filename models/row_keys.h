#pragma once

// The keys of a prompt's rows, by which prompts that begin alike are found (page_pool.h).

#include "models/batch.h"
#include "models/page_pool.h"

namespace vila::models {

// Returns one key for each row of the prompt, with images expanded. The key of a text row is made
// from its id, that of an image row from HostImage::key and its place in the image. Throws unless
// there is an image for each placeholder.
std::vector<RowKey> row_keys(const Sequence& prompt);

}  // namespace vila::models
