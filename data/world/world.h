#pragma once

// Writes the miniature world to disk in the formats of published data, so that programs read it
// with the same readers as real data. Read in this order: scene.h (scenes), render.h (pixels),
// words.h and text.h (words and sentences), this file (the files of a world).
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
//   world.json                             sizes, facts, chance and unbound levels of the tasks

#include <cstdint>
#include <filesystem>
#include <functional>

namespace vila::data {

// The sizes of a world. Training images: `train_single` scenes of one object, then `train_multi` of
// one to four objects. Test images likewise, from other random numbers.
struct WorldOptions {
    uint64_t seed = 1;
    int train_single = 6000;
    int train_multi = 18000;
    int test_single = 1000;
    int test_multi = 1500;
    int word_images = 0;           // training images of written words; a tenth as many for tests
    int warmup_documents = 15000;  // lm-warmup.txt
    int documents = 65000;         // lm.txt; lm-test.txt has a hundredth
    int document_words = 64;       // and 48 in lm-warmup.txt
    int captions = 24000;          // lines of captions.jsonl, and so on
    int alt_texts = 8000;
    int referring_texts = 24000;
    int interleaved = 16000;
    int conversations = 36000;
    int multi_conversations = 20000;
    int text_instructions = 16000;
    int questions = 500;  // questions per task

    // Returns options with every size multiplied by `factor` and at least 1 (word_images may become
    // 0), for small worlds in tests.
    WorldOptions scaled(double factor) const;
};

// Writes the world to the new directory `out`; equal options give equal bytes. Writes to a sibling
// directory first, which is renamed to `out` when complete. Calls `on_image`, if given, with the
// number of scenes rendered so far and the total. Throws vila::Error if `out` exists and is
// not empty, or cannot be written.
void make_world(const WorldOptions& options, const std::filesystem::path& out,
                const std::function<void(int64_t done, int64_t total)>& on_image = {});

}  // namespace vila::data
