#pragma once

// The keys of a prompt's rows, by which PagePool (page_pool.h) finds prompts that begin alike.

#include "models/batch.h"
#include "models/page_pool.h"

namespace vila::models {

// Returns one key for each row of the prompt, with images expanded. The key of a text row is made
// from its id, that of an image row from HostImage::key and its index in the image; it is 0 if
// HostImage::key is. Throws if the numbers of images and placeholders differ.
std::vector<RowKey> row_keys(const Sequence& prompt);

}  // namespace vila::models
