#include "data/text/prefix_trie.h"

namespace vila::data {

namespace {

uint64_t edge(int32_t node, char byte) {
    return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(byte);
}

}  // namespace

void PrefixTrie::add(std::string_view key, int64_t value) {
    if (key.empty()) return;
    first_[static_cast<uint8_t>(key[0])] = true;
    int32_t node = 0;
    for (const char byte : key) {
        const auto [found, is_new] =
            edges_.try_emplace(edge(node, byte), static_cast<int32_t>(ends_.size()));
        if (is_new) ends_.push_back(-1);
        node = found->second;
    }
    ends_[node] = value;
}

PrefixTrie::Match PrefixTrie::longest(std::string_view text) const {
    Match match;
    if (text.empty() || !may_begin(text[0])) return match;
    int32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto found = edges_.find(edge(node, text[i]));
        if (found == edges_.end()) break;
        node = found->second;
        if (ends_[node] >= 0) match = {ends_[node], i + 1};
    }
    return match;
}

}  // namespace vila::data
