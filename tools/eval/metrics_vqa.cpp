// The answer normalization and accuracy of the VQA toolkit, and the normalization of exact match.

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <sstream>

#include "data/text/trim.h"
#include "tools/eval/metrics.h"

namespace vila::tools {

namespace {

constexpr std::string_view kPunctuation = ";/[]\"{}()=+\\_-><@`,?!";
constexpr int64_t kMaxFullStops = 32;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

// Contractions, keyed by their spelling without apostrophes or with one of two missing.
const std::map<std::string, std::string>& contractions() {
    static const std::map<std::string, std::string> kTable = [] {
        std::map<std::string, std::string> table;
        for (const char* verb :
             {"ai",    "are",  "ca",   "could", "did", "does",   "do",  "had",  "has", "have", "is",
              "might", "must", "need", "ought", "sha", "should", "was", "were", "wo",  "would"})
            table[std::string(verb) + "nt"] = std::string(verb) + "n't";
        table["arent"] = "aren't";
        table["cant"] = "can't";
        for (const char* verb : {"could", "had", "might", "should", "would"}) {
            const std::string v = verb;
            table[v + "n'tve"] = table[v + "nt've"] = v + "n't've";
        }
        for (const char* word : {"could", "might", "must", "not", "should", "they", "we", "what",
                                 "who", "would", "you"})
            table[std::string(word) + "ve"] = std::string(word) + "'ve";
        for (const char* word : {"he", "how", "it", "someone", "something", "there", "who", "you"})
            table[std::string(word) + "d"] = std::string(word) + "'d";
        table["somebody'd"] = "somebodyd";
        for (const char* word : {"he", "it", "she", "somebody", "someone", "something", "there",
                                 "they", "we", "who", "you"}) {
            const std::string w = word;
            table[w + "d've"] = table[w + "'dve"] = w + "'d've";
        }
        for (const char* word :
             {"how", "it", "somebody", "someone", "something", "they", "what", "who", "you"})
            table[std::string(word) + "ll"] = std::string(word) + "'ll";
        for (const char* word : {"he", "how", "somebody", "someone", "that", "there", "what",
                                 "when", "where", "who", "why"})
            table[std::string(word) + "s"] = std::string(word) + "'s";
        for (const char* word : {"there", "they", "what", "why", "you"})
            table[std::string(word) + "re"] = std::string(word) + "'re";
        table["yall"] = "y'all";
        table["yall'll"] = table["y'allll"] = "y'all'll";
        table["yall'd've"] = table["y'alld've"] = table["y'all'dve"] = "y'all'd've";
        table["maam"] = "ma'am";
        table["oclock"] = "o'clock";
        table["twas"] = "'twas";
        table["ow's'at"] = table["'ows'at"] = table["'ow'sat"] = "'ow's'at";
        return table;
    }();
    return kTable;
}

bool has_digits_around_a_comma(const std::string& text) {
    for (size_t i = 1; i + 1 < text.size(); ++i)
        if (text[i] == ',' && is_digit(text[i - 1]) && is_digit(text[i + 1])) return true;
    return false;
}

// Deletes a mark that touches a space anywhere in the text; replaces any other mark by a space.
std::string without_punctuation(const std::string& text) {
    const bool number_with_comma = has_digits_around_a_comma(text);
    std::string cleaned = text;
    for (const char mark : kPunctuation) {
        const std::string before = {mark, ' '}, after = {' ', mark};
        const bool remove = number_with_comma || text.find(before) != std::string::npos ||
                            text.find(after) != std::string::npos;
        if (remove) {
            std::erase(cleaned, mark);
        } else {
            std::replace(cleaned.begin(), cleaned.end(), mark, ' ');
        }
    }
    std::string result;
    int64_t removed = 0;
    for (size_t i = 0; i < cleaned.size(); ++i) {
        const bool decimal_point = i + 1 < cleaned.size() && is_digit(cleaned[i + 1]);
        if (cleaned[i] == '.' && !decimal_point && removed < kMaxFullStops) {
            ++removed;
        } else {
            result += cleaned[i];
        }
    }
    return result;
}

std::string with_digits_and_without_articles(const std::string& text) {
    constexpr std::array<const char*, 11> kNumbers = {
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"};
    std::istringstream words(lower(text));
    std::string word, result;
    while (words >> word) {
        if (word == "a" || word == "an" || word == "the") continue;
        if (word == "none") word = "0";
        const auto number = std::find(kNumbers.begin(), kNumbers.end(), word);
        if (number != kNumbers.end()) word = std::to_string(number - kNumbers.begin());
        const auto contraction = contractions().find(word);
        if (contraction != contractions().end()) word = contraction->second;
        result += (result.empty() ? "" : " ") + word;
    }
    return result;
}

std::string trimmed(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    std::replace(text.begin(), text.end(), '\t', ' ');
    return std::string(data::trimmed(text, " "));
}

}  // namespace

std::string normalize_exact(const std::string& answer) {
    constexpr std::string_view kEnds = " .,!?;:";
    std::string text;
    for (const char c : lower(answer)) {
        const bool space = std::isspace(static_cast<unsigned char>(c)) != 0;
        if (!space) {
            text += c;
        } else if (!text.empty() && text.back() != ' ') {
            text += ' ';
        }
    }
    const size_t begin = text.find_first_not_of(kEnds);
    if (begin == std::string::npos) return "";
    return text.substr(begin, text.find_last_not_of(kEnds) - begin + 1);
}

std::string normalize_vqa(const std::string& answer) {
    return with_digits_and_without_articles(without_punctuation(trimmed(answer)));
}

double vqa_accuracy(const std::string& answer, const std::vector<std::string>& references) {
    if (references.empty()) return 0.0;
    const bool differ = std::any_of(references.begin(), references.end(),
                                    [&](const auto& other) { return other != references.front(); });
    const std::string given = differ ? normalize_vqa(answer) : trimmed(answer);
    int64_t matches = 0;
    for (const std::string& reference : references)
        matches += given == (differ ? normalize_vqa(reference) : trimmed(reference));
    const int64_t humans = static_cast<int64_t>(references.size());
    if (humans < 10) return matches > 0 ? 1.0 : 0.0;
    // Leaving out a human who agrees leaves matches - 1, leaving out another leaves all matches.
    const double if_agreeing = std::min(1.0, static_cast<double>(matches - 1) / 3.0);
    const double if_not = std::min(1.0, static_cast<double>(matches) / 3.0);
    return (static_cast<double>(matches) * if_agreeing +
            static_cast<double>(humans - matches) * if_not) /
           static_cast<double>(humans);
}

}  // namespace vila::tools
