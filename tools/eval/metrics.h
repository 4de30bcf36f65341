#pragma once

// How answers are scored: string normalisation and the metrics built on it. Pure functions of
// strings; who asked and who answered is in eval_task.h.

#include <string>
#include <vector>

namespace vila::tools {

// For `exact`: lower-cased, whitespace runs become one space, and spaces and . , ! ? ; : at both
// ends are dropped.
std::string normalize_exact(const std::string& answer);

// The answer normalisation of the VQA toolkit (Antol et al. 2015): punctuation, lower case, number
// words to digits, articles dropped, contractions restored. Differences that the toolkit's code
// has against its description (only the first 32 full stops go, one reversed contraction) are kept,
// because published scores contain them.
std::string normalize_vqa(const std::string& answer);

// VQA accuracy of one answer against its human answers, in [0, 1]. With ten or more references the
// mean over leaving one human out of min(1, matches / 3); with fewer, 1 if any reference matches.
// As in the toolkit, strings are normalised only when the human answers are not all the same.
double vqa_accuracy(const std::string& answer, const std::vector<std::string>& references);

// CIDEr-D (Vedantam et al. 2015) of each caption against its references; the corpus score is the
// mean. Captions are split by caption_tokens(). Document frequencies come from all references
// given, so a score depends on the set it is computed in. Values in [0, 10].
std::vector<double> cider_d(const std::vector<std::string>& captions,
                            const std::vector<std::vector<std::string>>& references);

// Lower-cased words and numbers of a caption, punctuation dropped, clitics split ("don't" -> do
// n't) in the manner of the Penn Treebank tokenizer that CIDEr scores are published with.
std::vector<std::string> caption_tokens(const std::string& caption);

}  // namespace vila::tools
