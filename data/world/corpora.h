#pragma once

// Writers of the world's training files that need more than a sentence about an image.

#include <filesystem>
#include <string>

#include "data/world/files.h"
#include "data/world/words.h"
#include "data/world/world.h"

namespace vila::data {

// interleaved.jsonl: documents whose images carry labels, share a property, or tell a story.
void write_interleaved(const WorldOptions& options, const Pool& pool, const Facts& facts,
                       const std::filesystem::path& out);

// instructions.json: two to four questions about one image.
void write_instructions(const WorldOptions& options, const Pool& pool,
                        const std::filesystem::path& out);

// instructions-multi.json: a question about each of several images, mostly of one kind.
void write_multi_instructions(const WorldOptions& options, const Pool& pool,
                              const std::filesystem::path& out);

// `name`.json and images/`name`/: `rows` pictures of three letters and what is written on them.
void write_word_instructions(const std::string& name, int rows, const WorldOptions& options,
                             const std::filesystem::path& out);

// text-instructions.jsonl: questions about creatures, about scenes told in words, and lists.
void write_text_instructions(const WorldOptions& options, const Facts& facts,
                             const std::filesystem::path& out);

}  // namespace vila::data
