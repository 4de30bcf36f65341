// Words are counted once and merged many times. A merge visits only the words that contain its
// pair. Counts in the queue of pairs may be outdated; they are checked when a pair comes up.

#include "data/text/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "data/text/bpe_format.h"
#include "data/text/bpe_tokenizer.h"
#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

using Pair = std::pair<int32_t, int32_t>;

struct PairHash {
    size_t operator()(const Pair& pair) const {
        const uint64_t both =
            static_cast<uint64_t>(pair.first) << 32 | static_cast<uint32_t>(pair.second);
        return (both * 0x9e3779b97f4a7c15u) >> 20;
    }
};

struct Word {
    std::vector<int32_t> symbols;
    int64_t count = 0;
};

struct PairUse {
    int64_t count = 0;
    std::vector<int64_t> words;  // words that contain the pair, or once did
};

struct Candidate {
    int64_t count;
    Pair pair;

    // The top of the queue is its largest element: most frequent, then smallest ids.
    bool operator<(const Candidate& other) const {
        return count != other.count ? count < other.count : pair > other.pair;
    }
};

class Trainer {
  public:
    explicit Trainer(std::vector<Word> words) : words_(std::move(words)) {
        for (size_t w = 0; w < words_.size(); ++w) count_pairs(w, +1, nullptr);
        for (const auto& [pair, use] : pairs_) queue_.push({use.count, pair});
    }

    // Finds the next pair to merge. Returns false if no pair is left.
    bool best(Pair& pair) {
        while (!queue_.empty()) {
            const Candidate top = queue_.top();
            queue_.pop();
            const auto use = pairs_.find(top.pair);
            if (use == pairs_.end() || use->second.count <= 0) continue;
            if (use->second.count == top.count) {
                pair = top.pair;
                return true;
            }
            queue_.push({use->second.count, top.pair});
        }
        return false;
    }

    void merge(const Pair& pair, int32_t id) {
        const std::vector<int64_t> words = std::move(pairs_[pair].words);
        std::vector<Pair> grown;  // pairs with the new symbol
        for (const int64_t w : words) {
            count_pairs(w, -1, nullptr);
            replace(words_[w].symbols, pair, id);
            count_pairs(w, +1, [&](const Pair& next) {
                if (next.first != id && next.second != id) return;
                PairUse& use = pairs_[next];
                if (use.words.empty() || use.words.back() != w) use.words.push_back(w);
                grown.push_back(next);
            });
        }
        pairs_.erase(pair);
        std::sort(grown.begin(), grown.end());
        grown.erase(std::unique(grown.begin(), grown.end()), grown.end());
        for (const Pair& next : grown) queue_.push({pairs_[next].count, next});
    }

  private:
    // Adds or subtracts the contribution of a word. Without a visitor, adding also lists the word.
    template <typename Visitor>
    void count_pairs(int64_t w, int64_t sign, Visitor visit) {
        const Word& word = words_[w];
        for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
            const Pair pair{word.symbols[i], word.symbols[i + 1]};
            PairUse& use = pairs_[pair];
            use.count += sign * word.count;
            if constexpr (std::is_same_v<Visitor, std::nullptr_t>) {
                if (sign > 0 && (use.words.empty() || use.words.back() != w))
                    use.words.push_back(w);
            } else {
                visit(pair);
            }
        }
    }

    static void replace(std::vector<int32_t>& symbols, const Pair& pair, int32_t id) {
        size_t kept = 0;
        for (size_t i = 0; i < symbols.size(); ++i) {
            const bool found =
                i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second;
            symbols[kept++] = found ? id : symbols[i];
            if (found) ++i;
        }
        symbols.resize(kept);
    }

    std::vector<Word> words_;
    std::unordered_map<Pair, PairUse, PairHash> pairs_;
    std::priority_queue<Candidate> queue_;
};

// Returns the distinct words of all texts, in order of first appearance, as byte symbols.
std::vector<Word> count_words(std::span<const std::string> texts, SplitRule rule, bool composes,
                              const std::vector<int32_t>& byte_ids) {
    std::vector<Word> words;
    std::unordered_map<std::string, int64_t> index;
    std::string composed;
    for (const std::string& text : texts) {
        if (composes) composed = nfc(text);
        std::string_view rest = composes ? composed : text;
        while (!rest.empty()) {
            const std::string_view word = rest.substr(0, next_word(rule, rest));
            rest.remove_prefix(word.size());
            const auto [found, is_new] =
                index.try_emplace(std::string(word), static_cast<int64_t>(words.size()));
            if (is_new) {
                words.emplace_back();
                for (const char byte : word)
                    words.back().symbols.push_back(byte_ids[static_cast<uint8_t>(byte)]);
            }
            ++words[found->second].count;
        }
    }
    return words;
}

void check(const BpeTraining& training) {
    const auto specials = static_cast<int64_t>(training.special_tokens.size());
    VILA_CHECK(training.vocab_size >= specials + 256, "a vocabulary of ", training.vocab_size,
               " tokens: expected at least ", specials + 256, ", for ", specials,
               " special tokens and 256 bytes");
    for (const std::string& role : {training.bos, training.eos, training.pad})
        VILA_CHECK(role.empty() || std::count(training.special_tokens.begin(),
                                              training.special_tokens.end(), role) > 0,
                   "\"", role,
                   "\" is to begin, end or pad sequences: expected it among the "
                   "special tokens");
    VILA_CHECK(!training.add_bos || !training.bos.empty(),
               "sequences are to begin with a token, but none is named (bos)");
}

// Returns the special tokens, then the 256 bytes in the order of their symbols.
BpeDefinition initial_definition(const BpeTraining& training) {
    BpeDefinition definition;
    definition.splits = {{training.split, std::nullopt}};
    definition.composes = training.split == SplitRule::Qwen2;
    definition.bos = training.bos;
    definition.eos = training.eos;
    definition.pad = training.pad;
    definition.adds_bos = training.add_bos;
    for (const std::string& content : training.special_tokens) {
        AddedToken token;
        token.id = static_cast<int32_t>(definition.vocabulary.size());
        token.content = content;
        token.special = true;
        definition.added.push_back(token);
        definition.vocabulary.push_back(content);
    }
    std::vector<std::string> symbols;
    for (int32_t byte = 0; byte < 256; ++byte)
        symbols.push_back(byte_symbol(static_cast<uint8_t>(byte)));
    // Symbols have one or two bytes in UTF-8 and sort as their codes do.
    std::sort(symbols.begin(), symbols.end());
    definition.vocabulary.insert(definition.vocabulary.end(), symbols.begin(), symbols.end());
    return definition;
}

}  // namespace

std::unique_ptr<Tokenizer> train_bpe(std::span<const std::string> texts,
                                     const BpeTraining& training) {
    check(training);
    BpeDefinition definition = initial_definition(training);
    std::unordered_map<std::string, int32_t> ids;
    for (const std::string& spelling : definition.vocabulary)
        ids.emplace(spelling, static_cast<int32_t>(ids.size()));
    VILA_CHECK_EQ(ids.size(), definition.vocabulary.size(),
                  "distinct special tokens and bytes (a special token is listed twice, or is a "
                  "single character)");
    std::vector<int32_t> byte_ids;
    for (int32_t byte = 0; byte < 256; ++byte)
        byte_ids.push_back(ids.at(byte_symbol(static_cast<uint8_t>(byte))));

    Trainer trainer(count_words(texts, training.split, definition.composes, byte_ids));
    Pair pair;
    while (static_cast<int64_t>(definition.vocabulary.size()) < training.vocab_size &&
           trainer.best(pair)) {
        const std::string left = definition.vocabulary[pair.first];
        const std::string right = definition.vocabulary[pair.second];
        const auto [id, is_new] =
            ids.try_emplace(left + right, static_cast<int32_t>(definition.vocabulary.size()));
        if (is_new) definition.vocabulary.push_back(left + right);
        definition.merges.emplace_back(left, right);
        trainer.merge(pair, id->second);
    }
    return std::make_unique<BpeTokenizer>(write_bpe(definition), "the trained vocabulary");
}

}  // namespace vila::data
