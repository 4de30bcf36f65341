#pragma once

// The miniature world, written to disk in the formats real data is published in, so that every
// pipeline reads it through the same readers. Read in order: scene.h (what a scene is), render.h
// (pixels), words.h and text.h (what is said), this file (what is written).
//
//   images/train/NNNNNN.png  images/test/NNNNNN.png  images/words/NNNNNN.png
//   lm-warmup.txt  lm.txt  lm-test.txt     plain text, a document a line
//   captions.jsonl                         image-text pairs: full captions
//   alt-text.jsonl                         image-text pairs: careless, noisy alt-texts
//   referring.jsonl                        image-text pairs: sentences that refer to objects
//   interleaved.jsonl                      MMC4 documents: images between sentences
//   instructions.json                      LLaVA conversations about one image
//   instructions-multi.json                LLaVA conversations about several images
//   words.json                             LLaVA conversations about written words
//   text-instructions.jsonl                text-only instructions
//   eval/TASK.jsonl                        held-out questions, each with four examples ("shots")
//   world.json                             sizes, facts, and the chance and unbound level of each
//   task

#include <cstdint>
#include <filesystem>

namespace vila::data {

// How much of everything. Training images: `train_single` scenes of one object, then `train_multi`
// of one to four; test images likewise, from other random numbers.
struct WorldOptions {
    uint64_t seed = 1;
    int train_single = 6000;
    int train_multi = 18000;
    int test_single = 1000;
    int test_multi = 1500;
    int word_images = 0;           // train images of written words; a tenth as many for tests
    int warmup_documents = 15000;  // lm-warmup.txt
    int documents = 65000;         // lm.txt; lm-test.txt has a hundredth
    int document_words = 64;       // and 48 in lm-warmup.txt
    int captions = 24000;
    int alt_texts = 8000;
    int referring_texts = 24000;
    int interleaved = 16000;
    int conversations = 36000;
    int multi_conversations = 20000;
    int text_instructions = 16000;
    int questions = 500;  // a task

    // Every size multiplied by `factor` and at least 1: a small world for tests and first looks.
    WorldOptions scaled(double factor) const;
};

// Writes the world to the new directory `out`; the same options give the same bytes. All is written
// to a sibling directory that takes the name `out` when complete. Throws vila::Error when `out`
// exists or cannot be written.
void make_world(const WorldOptions& options, const std::filesystem::path& out);

}  // namespace vila::data
