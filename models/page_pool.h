#pragma once

// PagePool: keeps account of the pages of a KvCache (kv_cache.h): which are free, how many
// sequences use each, and which hold the beginning of a prompt, so that other prompts can share
// them. It handles page numbers only: the keys and values themselves are in KvCache.
//
// A page can be shared if it is full of prompt rows. It is found by its own rows and those of all
// pages before it: two prompts share the pages before the first difference. A page that no sequence
// uses any more stays findable until it is needed for other rows.

#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace vila::models {

// Identifies the content of a row of a prompt: equal keys mean equal embeddings. The exception is
// 0, which stands for unknown content and never matches.
using RowKey = uint64_t;

struct PagePoolStats {
    int64_t pages = 0;
    int64_t free = 0;    // used by no sequence; some may still be findable
    int64_t used = 0;    // by at least one sequence
    int64_t shared = 0;  // by two or more
};

class PagePool {
  public:
    explicit PagePool(int64_t pages);

    // Pages that already hold the first rows of a prompt.
    struct Prefix {
        std::vector<int32_t> pages;
        bool pending = false;  // a sequence is filling the next page of the prompt
    };
    // Returns the longest run of filled pages that holds the beginning of a prompt with these rows.
    Prefix find(std::span<const RowKey> keys) const;

    // Takes the pages `prefix` and `count` free pages for a sequence. Returns all of them, or
    // nothing if too few are free. `keys` are the rows of its prompt: find() reports the pages that
    // they will fill as pending until set_filled().
    std::vector<int32_t> take(const std::vector<int32_t>& prefix, int64_t count,
                              std::span<const RowKey> keys);
    // Records that the first `rows` rows of a prompt have been written to its `pages`.
    void set_filled(std::span<const int32_t> pages, int64_t rows);
    // Gives back the pages of a sequence.
    void release(std::span<const int32_t> pages);

    PagePoolStats stats() const;

  private:
    // Identifies a findable page: the serial of the page before it, or 0 for the first page of a
    // prompt, and its own rows. A serial is never used again.
    using Key = std::pair<uint64_t, std::vector<RowKey>>;
    struct Page {
        int64_t users = 0;
        bool filled = false;
        uint64_t serial = 0;                          // 0: not findable
        std::map<Key, int32_t>::iterator found = {};  // its entry in index_, if findable
        std::list<int32_t>::iterator idle = {};       // its place in idle_, if it is there
    };

    int32_t take_free_page();
    void make_findable(std::span<const int32_t> pages, size_t first, std::span<const RowKey> keys);
    void forget(Page& page);

    std::vector<Page> pages_;
    std::vector<int32_t> free_;  // neither used nor findable
    std::list<int32_t> idle_;    // findable but not used; the longest unused first
    std::map<Key, int32_t> index_;
    uint64_t last_serial_ = 0;
};

}  // namespace vila::models
