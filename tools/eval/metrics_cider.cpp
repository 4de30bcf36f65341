// CIDEr-D and its caption tokenizer.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "tensor/check.h"
#include "tools/eval/metrics.h"

namespace vila::tools {

namespace {

constexpr int kMaxOrder = 4;
constexpr double kLengthSigma = 6.0;

using Counts = std::map<std::string, double>;

// The n-gram counts of a caption for n = 1..4. An n-gram is written as words joined by spaces.
struct Grams {
    Counts counts[kMaxOrder];
    double bigrams = 0.0;  // the length that the penalty of CIDEr-D compares
};

Grams count_grams(const std::string& caption) {
    const std::vector<std::string> tokens = caption_tokens(caption);
    Grams grams;
    for (size_t begin = 0; begin < tokens.size(); ++begin) {
        std::string gram;
        for (int n = 0; n < kMaxOrder && begin + static_cast<size_t>(n) < tokens.size(); ++n) {
            gram += (n ? " " : "") + tokens[begin + static_cast<size_t>(n)];
            grams.counts[n][gram] += 1.0;
        }
    }
    grams.bigrams = tokens.size() > 1 ? static_cast<double>(tokens.size() - 1) : 0.0;
    return grams;
}

// The vector of term frequency * (ln(images) - ln(document frequency)), and its norm.
struct Weighted {
    Counts weights[kMaxOrder];
    double norm[kMaxOrder] = {};
    double bigrams = 0.0;
};

Weighted weigh(const Grams& grams, const Counts& document_frequency, double log_images) {
    Weighted weighted;
    weighted.bigrams = grams.bigrams;
    for (int n = 0; n < kMaxOrder; ++n) {
        for (const auto& [gram, count] : grams.counts[n]) {
            const auto found = document_frequency.find(gram);
            const double frequency = found == document_frequency.end() ? 1.0 : found->second;
            const double weight = count * (log_images - std::log(std::max(1.0, frequency)));
            weighted.weights[n][gram] = weight;
            weighted.norm[n] += weight * weight;
        }
        weighted.norm[n] = std::sqrt(weighted.norm[n]);
    }
    return weighted;
}

double similarity(const Weighted& caption, const Weighted& reference) {
    const double difference = caption.bigrams - reference.bigrams;
    const double penalty = std::exp(-difference * difference / (2.0 * kLengthSigma * kLengthSigma));
    double total = 0.0;
    for (int n = 0; n < kMaxOrder; ++n) {
        const double norms = caption.norm[n] * reference.norm[n];
        if (norms == 0.0) continue;
        double product = 0.0;
        for (const auto& [gram, weight] : caption.weights[n]) {
            const auto found = reference.weights[n].find(gram);
            if (found != reference.weights[n].end())
                product += std::min(weight, found->second) * found->second;
        }
        total += product / norms * penalty;
    }
    return total / kMaxOrder;
}

bool ends_with(const std::string& text, const std::string& suffix) {
    return text.size() > suffix.size() &&
           text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// "don't" -> "do", "n't"; "dog's" -> "dog", "'s".
void append_word(const std::string& word, std::vector<std::string>& tokens) {
    if (word == "cannot") {
        tokens.insert(tokens.end(), {"can", "not"});
        return;
    }
    for (const char* clitic : {"n't", "'s", "'m", "'d", "'re", "'ve", "'ll"}) {
        if (!ends_with(word, clitic)) continue;
        tokens.push_back(word.substr(0, word.size() - std::string(clitic).size()));
        tokens.push_back(clitic);
        return;
    }
    tokens.push_back(word);
}

}  // namespace

std::vector<std::string> caption_tokens(const std::string& caption) {
    std::vector<std::string> tokens;
    std::string word;
    const auto finish = [&] {
        const size_t end = word.find_last_not_of("'-.,");
        word.resize(end == std::string::npos ? 0 : end + 1);
        if (!word.empty()) append_word(word, tokens);
        word.clear();
    };
    for (size_t i = 0; i < caption.size(); ++i) {
        const unsigned char c = static_cast<unsigned char>(caption[i]);
        const bool letter = std::isalnum(c) != 0 || c >= 0x80;
        // A word may contain hyphens and apostrophes, a number a point and commas.
        const bool number = !word.empty() && std::isdigit(static_cast<unsigned char>(word.back()));
        const bool joins =
            !word.empty() && (c == '\'' || c == '-' || (number && (c == '.' || c == ',')));
        if (letter || joins) {
            word += static_cast<char>(std::tolower(c));
        } else {
            finish();
            if (c == '(' || c == ')') tokens.push_back(c == '(' ? "-lrb-" : "-rrb-");
            if (c == '&' || c == '$' || c == '%') tokens.push_back(std::string(1, caption[i]));
        }
    }
    finish();
    return tokens;
}

std::vector<double> cider_d(const std::vector<std::string>& captions,
                            const std::vector<std::vector<std::string>>& references) {
    VILA_CHECK_EQ(captions.size(), references.size(), "captions and reference sets");
    std::vector<std::vector<Grams>> reference_grams;
    Counts document_frequency;
    for (const auto& set : references) {
        reference_grams.emplace_back();
        std::set<std::string> seen;
        for (const std::string& reference : set) {
            reference_grams.back().push_back(count_grams(reference));
            for (const Counts& counts : reference_grams.back().back().counts)
                for (const auto& [gram, count] : counts) seen.insert(gram);
        }
        for (const std::string& gram : seen) document_frequency[gram] += 1.0;
    }
    const double log_images = std::log(std::max<double>(1.0, static_cast<double>(captions.size())));
    std::vector<double> scores;
    for (size_t i = 0; i < captions.size(); ++i) {
        const Weighted caption = weigh(count_grams(captions[i]), document_frequency, log_images);
        double total = 0.0;
        for (const Grams& grams : reference_grams[i])
            total += similarity(caption, weigh(grams, document_frequency, log_images));
        const double count = static_cast<double>(reference_grams[i].size());
        scores.push_back(count > 0.0 ? 10.0 * total / count : 0.0);
    }
    return scores;
}

}  // namespace vila::tools
