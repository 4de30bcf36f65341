#pragma once

// The keys of a prompt's rows, by which prompts that begin alike are found (page_pool.h).

#include "models/batch.h"
#include "models/page_pool.h"

namespace vila::models {

// One key for each row of the prompt, images expanded: of text by its id, of an image by
// HostImage::key and the place in the image. Throws unless there is an image for each placeholder.
std::vector<RowKey> row_keys(const Sequence& prompt);

}  // namespace vila::models
