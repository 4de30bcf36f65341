#pragma once

// Trains a byte-level BPE vocabulary (Sennrich et al. 2016, Neural Machine Translation of Rare
// Words with Subword Units; Radford et al. 2019 for bytes).

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/text/pretokenizer.h"
#include "data/text/tokenizer.h"

namespace vila::data {

struct BpeTraining {
    int64_t vocab_size = 1024;  // special tokens, 256 bytes and merges; fewer if no pair is left
    SplitRule split = SplitRule::Llama3;
    // They get the first ids, in this order.
    std::vector<std::string> special_tokens = {"<s>", "</s>"};
    // Which of them mark sequences; empty for none.
    std::string bos = "<s>";
    std::string eos = "</s>";
    std::string pad = "";
    bool add_bos = true;  // sequences begin with `bos`
};

// Merges the most frequent pair of adjacent symbols into a new symbol, again and again; among
// equally frequent pairs, the one with the smaller ids (left, then right). The merges equal those
// of the Hugging Face BPE trainer with the byte alphabet as its initial alphabet. Each text is
// split on its own.
std::unique_ptr<Tokenizer> train_bpe(std::span<const std::string> texts,
                                     const BpeTraining& training);

}  // namespace vila::data
