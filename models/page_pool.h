#pragma once

// PagePool: which pages of a KvCache (kv_cache.h) are free, how many sequences use each, and which
// hold a prompt's beginning that another prompt may use too. It handles page numbers only: the keys
// and values themselves are in KvCache.
//
// A page can be shared if prompt rows fill it. It is found by its rows and those of all pages
// before it: two prompts share pages up to the first one in which they differ. A page that no
// sequence uses any more stays findable until it is needed for other rows.

#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace vila::models {

// Identifies what a row of a prompt holds: equal keys mean equal embeddings. The exception is 0,
// which stands for an unknown row and never matches.
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
        bool pending = false;  // a sequence is filling the page that comes next
    };
    // Finds the longest prefix of whole pages of a prompt with these rows.
    Prefix find(std::span<const RowKey> keys) const;

    // Makes a sequence use the pages `prefix` and `count` more pages that are free. Returns all of
    // them, or nothing if too few are free. `keys` are the rows of its prompt: the pages that they
    // fill are pending in find() until set_filled().
    std::vector<int32_t> take(const std::vector<int32_t>& prefix, int64_t count,
                              std::span<const RowKey> keys);
    // Marks that the keys and values of the first `rows` rows of a prompt are in its `pages`.
    void set_filled(std::span<const int32_t> pages, int64_t rows);
    // Ends the use of pages by a sequence.
    void release(std::span<const int32_t> pages);

    PagePoolStats stats() const;

  private:
    // A page is identified by its rows and the page before it, whose `serial` no other page ever
    // has: 0 for the first page of a prompt.
    using Key = std::pair<uint64_t, std::vector<RowKey>>;
    struct Page {
        int64_t users = 0;
        bool filled = false;
        uint64_t serial = 0;                          // 0: not findable
        std::map<Key, int32_t>::iterator found = {};  // its entry in index_, if findable
        std::list<int32_t>::iterator idle = {};       // its place in idle_: findable, not used
    };

    int32_t take_free_page();
    void make_findable(std::span<const int32_t> pages, size_t first, std::span<const RowKey> keys);
    void forget(Page& page);

    std::vector<Page> pages_;
    std::vector<int32_t> free_;  // neither used nor findable
    std::list<int32_t> idle_;    // the longest unused first
    std::map<Key, int32_t> index_;
    uint64_t last_serial_ = 0;
};

}  // namespace vila::models
