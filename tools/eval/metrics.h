#pragma once

// The metrics of the evaluation tasks, and the string normalization that they use.

#include <string>
#include <vector>

namespace vila::tools {

// The answer normalization of exact match: lower-cases, replaces runs of white space by one space,
// and removes spaces and . , ! ? ; : at both ends.
std::string normalize_exact(const std::string& answer);

// The answer normalization of the VQA toolkit (Antol et al. 2015): removes punctuation and
// articles, lower-cases, turns number words into digits, and restores contractions. It follows the
// toolkit's code where that differs from its description (at most 32 periods are removed, one
// contraction is reversed), because published scores were computed with that code.
std::string normalize_vqa(const std::string& answer);

// Returns the VQA accuracy of an answer against human answers, in [0, 1]. With ten or more
// references, each is left out once, the answer scores min(1, matches / 3) against the others, and
// the result is the mean. With fewer references it is 1 if any matches, otherwise 0. As in the
// toolkit, strings are normalized only if the human answers are not all equal.
double vqa_accuracy(const std::string& answer, const std::vector<std::string>& references);

// Returns the CIDEr-D (Vedantam et al. 2015) of each caption against its references, in [0, 10];
// the corpus score is the mean. Captions are split by caption_tokens(). Document frequencies are
// counted over all given references, so the score of a caption depends on the whole set; a caption
// that is scored alone gets 0.
std::vector<double> cider_d(const std::vector<std::string>& captions,
                            const std::vector<std::vector<std::string>>& references);

// Splits a caption into lower-case words and numbers, as the Penn Treebank tokenizer of published
// CIDEr scores does: clitics are split off ("don't" -> do n't) and punctuation is dropped, except
// for & $ % and for parentheses, which become -lrb- and -rrb-.
std::vector<std::string> caption_tokens(const std::string& caption);

}  // namespace vila::tools
