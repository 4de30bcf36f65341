#pragma once

// Writes the training files of the world other than plain text and image-text pairs: interleaved
// documents and instructions.

#include <filesystem>
#include <string>

#include "data/world/files.h"
#include "data/world/words.h"
#include "data/world/world.h"

namespace vila::data {

// Writes interleaved.jsonl: documents whose images have labels, share a property, or tell a story.
void write_interleaved(const WorldOptions& options, const Pool& pool, const Facts& facts,
                       const std::filesystem::path& out);

// Writes instructions.json: two to four questions about one image.
void write_instructions(const WorldOptions& options, const Pool& pool,
                        const std::filesystem::path& out);

// Writes instructions-multi.json: one question about each of several images, mostly of one kind.
void write_multi_instructions(const WorldOptions& options, const Pool& pool,
                              const std::filesystem::path& out);

// Writes `name`.json and images/`name`/: `rows` images of three letters, with their spelling.
void write_word_instructions(const std::string& name, int rows, const WorldOptions& options,
                             const std::filesystem::path& out);

// Writes text-instructions.jsonl: questions about creatures, about scenes described in words, and
// lists.
void write_text_instructions(const WorldOptions& options, const Facts& facts,
                             const std::filesystem::path& out);

}  // namespace vila::data
