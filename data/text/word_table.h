#pragma once

// A hash table from words to ids, built once and searched for every word of a text. Keys of up to
// 16 bytes are stored in the table itself, so that most searches touch one cache line.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vila::data {

class WordTable {
  public:
    explicit WordTable(int64_t expected = 0);
    // The word is not empty, `value` not negative. If a word is added several times, its last value
    // counts.
    void add(std::string_view word, int32_t value);
    // Returns the value of a word, -1 if it is not in the table.
    int32_t find(std::string_view word) const;

  private:
    static constexpr size_t kInlineBytes = 16;
    struct Slot {
        uint64_t head = 0, tail = 0;  // all bytes of a short word; hash of a long one
        uint32_t size = 0;            // 0: empty slot
        int32_t value = -1;
        int64_t offset = 0;  // offset of a long word in long_words_
    };
    struct Key {
        uint64_t head, tail, hash;
    };
    static Key key_of(std::string_view word);
    size_t slot_of(std::string_view word, const Key& key) const;
    void grow();

    std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
    int64_t used_ = 0;
    std::string long_words_;
};

}  // namespace vila::data
