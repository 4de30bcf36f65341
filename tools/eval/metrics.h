#pragma once

// The metrics of the evaluation tasks, and the string normalization that they use. All are pure
// functions of strings.

#include <string>
#include <vector>

namespace vila::tools {

// Normalization for `exact`: lower-cases, replaces runs of white space by one space, and removes
// spaces and . , ! ? ; : at both ends.
std::string normalize_exact(const std::string& answer);

// The answer normalization of the VQA toolkit (Antol et al. 2015): removes punctuation and
// articles, lower-cases, turns number words into digits, and restores contractions. It follows the
// toolkit's code where that differs from its description (only the first 32 periods are removed,
// one contraction is reversed), because published scores were computed with that code.
std::string normalize_vqa(const std::string& answer);

// VQA accuracy of an answer against human answers, in [0, 1]. With ten or more references it is the
// mean of min(1, matches / 3) over leaving out each human; with fewer, 1 if any reference matches.
// As in the toolkit, strings are normalized only if the human answers are not all equal.
double vqa_accuracy(const std::string& answer, const std::vector<std::string>& references);

// CIDEr-D (Vedantam et al. 2015) of each caption against its references, in [0, 10]; the corpus
// score is the mean. Captions are split by caption_tokens(). Document frequencies are counted over
// all given references, so the score of a caption depends on the whole set.
std::vector<double> cider_d(const std::vector<std::string>& captions,
                            const std::vector<std::vector<std::string>>& references);

// Splits a caption into lower-case words and numbers, without punctuation and with clitics split
// off ("don't" -> do n't), as the Penn Treebank tokenizer of published CIDEr scores does.
std::vector<std::string> caption_tokens(const std::string& caption);

}  // namespace vila::tools
