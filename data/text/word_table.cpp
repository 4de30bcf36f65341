#include "data/text/word_table.h"

#include <cstring>

#include "tensor/check.h"

namespace vila::data {

namespace {

constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15u;

uint64_t load(const char* bytes, size_t count) {
    uint64_t value = 0;
    std::memcpy(&value, bytes, count);
    return value;
}

uint64_t load8(const char* bytes) {
    uint64_t value;
    std::memcpy(&value, bytes, 8);
    return value;
}

uint64_t mix(uint64_t a, uint64_t b) {
    const uint64_t x = (a ^ (b << 32 | b >> 32)) * kMultiplier;
    return (x ^ x >> 29) * kMultiplier;
}

uint64_t hash_of(const char* bytes, size_t size) {
    uint64_t hash = size;
    for (; size >= 8; bytes += 8, size -= 8) hash = mix(hash, load8(bytes));
    return mix(hash, load(bytes, size));
}

}  // namespace

WordTable::WordTable(int64_t expected) {
    size_t slots = 16;
    while (static_cast<int64_t>(slots) < 2 * expected) slots *= 2;
    slots_.resize(slots);
}

WordTable::Key WordTable::key_of(std::string_view word) {
    const char* bytes = word.data();
    const size_t size = word.size();
    Key key{0, 0, 0};
    if (size > kInlineBytes) {
        key.head = hash_of(bytes, size);
    } else if (size >= 8) {  // the halves may overlap; with the size they identify the word
        key.head = load8(bytes);
        key.tail = load8(bytes + size - 8);
    } else if (size >= 4) {
        uint32_t first, last;
        std::memcpy(&first, bytes, 4);
        std::memcpy(&last, bytes + size - 4, 4);
        key.head = static_cast<uint64_t>(first) << 32 | last;
    } else {
        for (size_t i = 0; i < size; ++i) key.head = key.head << 8 | static_cast<uint8_t>(bytes[i]);
    }
    key.hash = mix(key.head + size, key.tail);
    return key;
}

size_t WordTable::slot_of(std::string_view word, const Key& key) const {
    const size_t mask = slots_.size() - 1;
    for (size_t slot = key.hash >> 20 & mask;; slot = (slot + 1) & mask) {
        const Slot& entry = slots_[slot];
        if (entry.size == 0) return slot;
        if (entry.head != key.head || entry.tail != key.tail || entry.size != word.size()) continue;
        if (word.size() <= kInlineBytes ||
            std::memcmp(long_words_.data() + entry.offset, word.data(), word.size()) == 0)
            return slot;
    }
}

void WordTable::grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    const size_t mask = slots_.size() - 1;
    for (const Slot& entry : old) {
        if (entry.size == 0) continue;
        // The words are distinct, so the first empty slot is right.
        size_t slot = mix(entry.head + entry.size, entry.tail) >> 20 & mask;
        while (slots_[slot].size != 0) slot = (slot + 1) & mask;
        slots_[slot] = entry;
    }
}

void WordTable::add(std::string_view word, int32_t value) {
    VILA_ASSERT(!word.empty() && word.size() < UINT32_MAX && value >= 0);
    if (2 * (used_ + 1) > static_cast<int64_t>(slots_.size())) grow();
    const Key key = key_of(word);
    Slot& entry = slots_[slot_of(word, key)];
    if (entry.size == 0) {
        ++used_;
        entry = {key.head, key.tail, static_cast<uint32_t>(word.size()), value,
                 static_cast<int64_t>(long_words_.size())};
        if (word.size() > kInlineBytes) long_words_ += word;
    }
    entry.value = value;
}

int32_t WordTable::find(std::string_view word) const {
    return slots_[slot_of(word, key_of(word))].value;
}

}  // namespace vila::data
