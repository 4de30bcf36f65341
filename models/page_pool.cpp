#include "models/page_pool.h"

#include <algorithm>

#include "tensor/check.h"
#include "tensor/kernels.h"

namespace vila::models {

namespace {

// Returns the keys of the rows of page `i` of a prompt; empty if the prompt does not fill the page
// or if one of its keys is 0.
std::vector<RowKey> rows_of_page(std::span<const RowKey> keys, size_t i) {
    const auto rows = static_cast<size_t>(kPageRows);
    if ((i + 1) * rows > keys.size()) return {};
    const auto page = keys.subspan(i * rows, rows);
    if (std::find(page.begin(), page.end(), RowKey{0}) != page.end()) return {};
    return {page.begin(), page.end()};
}

}  // namespace

PagePool::PagePool(int64_t pages) : pages_(static_cast<size_t>(pages)) {
    for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

PagePool::Prefix PagePool::find(std::span<const RowKey> keys) const {
    Prefix prefix;
    uint64_t before = 0;
    for (size_t i = 0;; ++i) {
        std::vector<RowKey> rows = rows_of_page(keys, i);
        if (rows.empty()) return prefix;
        const auto found = index_.find({before, std::move(rows)});
        if (found == index_.end()) return prefix;
        const Page& page = pages_[static_cast<size_t>(found->second)];
        prefix.pending = !page.filled;
        if (prefix.pending) return prefix;
        prefix.pages.push_back(found->second);
        before = page.serial;
    }
}

std::vector<int32_t> PagePool::take(const std::vector<int32_t>& prefix, int64_t count,
                                    std::span<const RowKey> keys) {
    int64_t available = static_cast<int64_t>(free_.size() + idle_.size());
    for (const int32_t page : prefix) available -= pages_[static_cast<size_t>(page)].users == 0;
    if (count > available) return {};
    std::vector<int32_t> taken = prefix;
    for (const int32_t page : prefix)
        if (pages_[static_cast<size_t>(page)].users++ == 0)
            idle_.erase(pages_[static_cast<size_t>(page)].idle);
    for (int64_t i = 0; i < count; ++i) taken.push_back(take_free_page());
    make_findable(taken, prefix.size(), keys);
    return taken;
}

int32_t PagePool::take_free_page() {
    if (free_.empty()) {
        const int32_t oldest = idle_.front();
        idle_.pop_front();
        forget(pages_[static_cast<size_t>(oldest)]);
        free_.push_back(oldest);
    }
    const int32_t page = free_.back();
    free_.pop_back();
    pages_[static_cast<size_t>(page)].users = 1;
    return page;
}

void PagePool::make_findable(std::span<const int32_t> pages, size_t first,
                             std::span<const RowKey> keys) {
    uint64_t before = first == 0 ? 0 : pages_[static_cast<size_t>(pages[first - 1])].serial;
    for (size_t i = first; i < pages.size(); ++i) {
        std::vector<RowKey> rows = rows_of_page(keys, i);
        if (rows.empty()) return;
        const auto [entry, is_new] = index_.insert({{before, std::move(rows)}, pages[i]});
        if (!is_new) return;  // another page holds the same rows
        Page& page = pages_[static_cast<size_t>(pages[i])];
        page.serial = ++last_serial_;
        page.filled = false;
        page.found = entry;
        before = page.serial;
    }
}

void PagePool::forget(Page& page) {
    if (page.serial == 0) return;
    index_.erase(page.found);
    page.serial = 0;
}

void PagePool::set_filled(std::span<const int32_t> pages, int64_t rows) {
    for (size_t i = 0; i < pages.size() && static_cast<int64_t>(i + 1) * kPageRows <= rows; ++i)
        pages_[static_cast<size_t>(pages[i])].filled = true;
}

void PagePool::release(std::span<const int32_t> pages) {
    // From the last to the first, so that a page becomes idle, and is later forgotten, before the
    // pages by which it is found.
    for (size_t i = pages.size(); i-- > 0;) {
        Page& page = pages_[static_cast<size_t>(pages[i])];
        VILA_ASSERT(page.users > 0);
        if (--page.users > 0) continue;
        if (page.serial != 0 && page.filled) {
            page.idle = idle_.insert(idle_.end(), pages[i]);
        } else {
            forget(page);
            free_.push_back(pages[i]);
        }
    }
}

PagePoolStats PagePool::stats() const {
    PagePoolStats stats;
    stats.pages = static_cast<int64_t>(pages_.size());
    for (const Page& page : pages_) {
        stats.used += page.users > 0;
        stats.shared += page.users > 1;
    }
    stats.free = stats.pages - stats.used;
    return stats;
}

}  // namespace vila::models
