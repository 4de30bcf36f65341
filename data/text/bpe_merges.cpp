#include "data/text/bpe_merges.h"

#include <algorithm>
#include <functional>
#include <queue>

namespace vila::data {

namespace {

// Up to this length, searching all pairs for each merge is faster than a queue.
constexpr size_t kShortWord = 24;
constexpr int32_t kNoMerge = INT32_MAX;

uint64_t pair_key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

BpeMerges::BpeMerges(int64_t expected) {
    size_t slots = 16;
    while (static_cast<int64_t>(slots) < 2 * expected) slots *= 2;
    slots_.resize(slots);
}

int64_t BpeMerges::slot_of(uint64_t pair) const {
    const uint64_t mask = slots_.size() - 1;
    uint64_t slot = (pair * 0x9e3779b97f4a7c15u) >> 32 & mask;
    while (slots_[slot].merge.rank >= 0 && slots_[slot].pair != pair) slot = (slot + 1) & mask;
    return static_cast<int64_t>(slot);
}

void BpeMerges::grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old)
        if (slot.merge.rank >= 0) slots_[slot_of(slot.pair)] = slot;
}

void BpeMerges::add(int32_t left, int32_t right, const Merge& merge) {
    if (2 * (used_ + 1) > static_cast<int64_t>(slots_.size())) grow();
    Slot& slot = slots_[slot_of(pair_key(left, right))];
    if (slot.merge.rank < 0) ++used_;
    slot = {pair_key(left, right), merge};
}

std::optional<BpeMerges::Merge> BpeMerges::find(int32_t left, int32_t right) const {
    const Slot& slot = slots_[slot_of(pair_key(left, right))];
    if (slot.merge.rank < 0) return std::nullopt;
    return slot.merge;
}

void BpeMerges::apply(std::vector<int32_t>& symbols) const {
    if (symbols.size() <= kShortWord)
        apply_short(symbols);
    else
        apply_long(symbols, [](int32_t, int32_t, int32_t) {});
}

void BpeMerges::apply(std::vector<int32_t>& symbols, const OnPair& on_pair) const {
    apply_long(symbols, on_pair);
}

void BpeMerges::apply_short(std::vector<int32_t>& symbols) const {
    // merges[i] is the merge of symbols i and i + 1.
    Merge merges[kShortWord];
    const auto look_up = [&](size_t i) {
        merges[i] = find(symbols[i], symbols[i + 1]).value_or(Merge{kNoMerge, 0});
    };
    size_t count = symbols.size();
    for (size_t i = 0; i + 1 < count; ++i) look_up(i);
    while (count > 1) {
        const auto best =
            std::min_element(merges, merges + count - 1,
                             [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
        if (best->rank == kNoMerge) break;
        const size_t at = best - merges;
        symbols[at] = best->id;
        std::copy(symbols.begin() + at + 2, symbols.begin() + count, symbols.begin() + at + 1);
        std::copy(best + 1, merges + count - 1, best);
        --count;
        if (at > 0) look_up(at - 1);
        if (at + 1 < count) look_up(at);
    }
    symbols.resize(count);
}

template <typename Observer>
void BpeMerges::apply_long(std::vector<int32_t>& symbols, const Observer& observer) const {
    // A linked list over the symbols, and a queue of (rank, left position). An entry whose pair has
    // changed since is recognized by its rank and skipped.
    const auto size = static_cast<int64_t>(symbols.size());
    std::vector<int32_t> previous(symbols.size()), next(symbols.size());
    std::vector<uint64_t> entries;
    const auto key = [](const Merge& merge, int64_t at) {
        return static_cast<uint64_t>(merge.rank) << 32 | static_cast<uint64_t>(at);
    };
    for (int64_t i = 0; i < size; ++i) {
        previous[i] = static_cast<int32_t>(i - 1);
        next[i] = static_cast<int32_t>(i + 1);
        if (i + 1 == size) break;
        const auto merge = find(symbols[i], symbols[i + 1]);
        if (!merge) continue;
        observer(symbols[i], symbols[i + 1], merge->id);
        entries.push_back(key(*merge, i));
    }
    std::priority_queue queue(std::greater<uint64_t>{}, std::move(entries));
    const auto push = [&](int64_t left) {
        if (left < 0 || next[left] >= size) return;
        const auto merge = find(symbols[left], symbols[next[left]]);
        if (!merge) return;
        observer(symbols[left], symbols[next[left]], merge->id);
        queue.push(key(*merge, left));
    };
    while (!queue.empty()) {
        const uint64_t top = queue.top();
        queue.pop();
        const auto left = static_cast<int64_t>(top & 0xFFFFFFFF);
        if (symbols[left] < 0 || next[left] >= size) continue;
        const int64_t right = next[left];
        const auto merge = find(symbols[left], symbols[right]);
        if (!merge || merge->rank != static_cast<int32_t>(top >> 32)) continue;
        symbols[left] = merge->id;
        symbols[right] = -1;
        next[left] = next[right];
        if (next[left] < size) previous[next[left]] = static_cast<int32_t>(left);
        push(previous[left]);
        push(left);
    }
    std::erase(symbols, -1);
}

}  // namespace vila::data
