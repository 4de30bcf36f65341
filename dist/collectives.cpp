#include "dist/collectives.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tensor/check.h"

namespace vila::dist {

namespace {

class OneProcess final : public Collectives {
  public:
    int64_t rank() const override { return 0; }
    int64_t ranks() const override { return 1; }
    std::string name() const override { return "one process"; }

  private:
    void do_barrier() override {}
    void do_broadcast(void*, int64_t, int64_t) override {}
    void do_all_gather(const void* in, void* out, int64_t bytes) override { copy(in, out, bytes); }
    void do_all_to_all(const void* in, void* out, int64_t bytes) override { copy(in, out, bytes); }

    static void copy(const void* in, void* out, int64_t bytes) {
        if (bytes > 0 && in != out) std::memmove(out, in, static_cast<size_t>(bytes));
    }
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

template <typename Call>
void Collectives::count(const char* what, int64_t bytes, int64_t blocks, const Call& call) {
    if (observer_ != nullptr) observer_->enter(what, bytes);
    const Clock::time_point start = Clock::now();
    call();
    traffic_.seconds += seconds_since(start);
    traffic_.bytes_sent += bytes * blocks;
    ++traffic_.calls;
    if (observer_ != nullptr) observer_->leave();
}

template <typename Call>
void Collectives::block_on(const Call& call) {
    const Clock::time_point start = Clock::now();
    finish_on_gpu();
    if (background_.valid()) background_.get();
    call();
    if (ranks() > 1) traffic_.exposed += seconds_since(start);
}

void Collectives::barrier() {
    block_on([&] { count("barrier", 0, 0, [&] { do_barrier(); }); });
}

void Collectives::broadcast(void* data, int64_t bytes, int64_t root) {
    // In a ring, all ranks but the last one pass the data on.
    const bool last = (rank() + 1) % ranks() == root;
    block_on(
        [&] { count("broadcast", bytes, last ? 0 : 1, [&] { do_broadcast(data, bytes, root); }); });
}

void Collectives::all_gather(const void* in, void* out, int64_t bytes) {
    block_on(
        [&] { count("all_gather", bytes, ranks() - 1, [&] { do_all_gather(in, out, bytes); }); });
}

void Collectives::all_to_all(const void* in, void* out, int64_t bytes) {
    block_on(
        [&] { count("all_to_all", bytes, ranks() - 1, [&] { do_all_to_all(in, out, bytes); }); });
}

void Collectives::begin(std::function<void()> work) {
    background_ = std::async(std::launch::async,
                             [before = std::move(background_), work = std::move(work)]() mutable {
                                 if (before.valid()) before.get();
                                 work();
                             });
}

void Collectives::begin_all_gather(const void* in, void* out, int64_t bytes) {
    begin([this, in, out, bytes] {
        count("all_gather", bytes, ranks() - 1, [&] { do_all_gather(in, out, bytes); });
    });
}

void Collectives::begin_all_to_all(const void* in, void* out, int64_t bytes,
                                   std::function<void()> then) {
    begin([this, in, out, bytes, then = std::move(then)] {
        count("all_to_all", bytes, ranks() - 1, [&] { do_all_to_all(in, out, bytes); });
        then();
    });
}

void Collectives::finish() {
    finish_on_gpu();
    if (background_.valid()) block_on([] {});
}

void Collectives::finish_on_gpu() {
    if (background_gpu_ != nullptr)
        background_gpu_->order_after(link_of(*background_gpu_).device());
    background_gpu_ = nullptr;
}

GpuLink& Collectives::link_of(const Device& gpu) {
    GpuLink* link = gpu_link();
    VILA_CHECK(link != nullptr, "[collectives] ranks by ", name(), " cannot reach the memory of ",
               gpu.name(), ": expected ranks by NCCL");
    return *link;
}

template <typename Move>
void Collectives::enqueue(const char* what, Device& gpu, int64_t bytes, int64_t blocks,
                          const Move& move) {
    GpuLink& link = link_of(gpu);
    count(what, bytes, blocks, [&] {
        if (bytes == 0) return;
        link.device().order_after(gpu);
        move(link);
    });
}

template <typename Move>
void Collectives::enqueue_blocking(const char* what, Device& gpu, int64_t bytes, int64_t blocks,
                                   const Move& move) {
    block_on([&] { enqueue(what, gpu, bytes, blocks, move); });
}

void Collectives::broadcast(Device& gpu, void* data, int64_t bytes, int64_t root) {
    const bool last = (rank() + 1) % ranks() == root;
    enqueue_blocking("broadcast", gpu, bytes, last ? 0 : 1, [&](GpuLink& link) {
        link.broadcast(data, bytes, root);
        gpu.order_after(link.device());
    });
}

void Collectives::all_gather(Device& gpu, const void* in, void* out, int64_t bytes) {
    enqueue_blocking("all_gather", gpu, bytes, ranks() - 1, [&](GpuLink& link) {
        link.all_gather(in, out, bytes);
        gpu.order_after(link.device());
    });
}

void Collectives::all_to_all(Device& gpu, const void* in, void* out, int64_t bytes) {
    enqueue_blocking("all_to_all", gpu, bytes, ranks() - 1, [&](GpuLink& link) {
        link.all_to_all(in, out, bytes);
        gpu.order_after(link.device());
    });
}

void Collectives::begin_all_gather(Device& gpu, const void* in, void* out, int64_t bytes) {
    enqueue("all_gather", gpu, bytes, ranks() - 1, [&](GpuLink& link) {
        link.all_gather(in, out, bytes);
        background_gpu_ = &gpu;
    });
}

void Collectives::begin_all_to_all(Device& gpu, const void* in, void* out, int64_t bytes,
                                   const std::function<void(Device& stream)>& then) {
    enqueue("all_to_all", gpu, bytes, ranks() - 1, [&](GpuLink& link) {
        link.all_to_all(in, out, bytes);
        background_gpu_ = &gpu;
        then(link.device());
    });
}

std::unique_ptr<Collectives> one_process() {
    return std::make_unique<OneProcess>();
}

std::vector<double> sum(Collectives& collectives, std::span<const double> values) {
    const auto ranks = static_cast<size_t>(collectives.ranks());
    std::vector<double> all(values.size() * ranks);
    collectives.all_gather(values.data(), all.data(), static_cast<int64_t>(values.size_bytes()));
    std::vector<double> sums(values.size());
    for (size_t r = 0; r < ranks; ++r)
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += all[r * sums.size() + i];
    return sums;
}

double sum(Collectives& collectives, double value) {
    return sum(collectives, std::span<const double>(&value, 1)).front();
}

int64_t largest(Collectives& collectives, int64_t value) {
    std::vector<int64_t> all(static_cast<size_t>(collectives.ranks()));
    collectives.all_gather(&value, all.data(), sizeof value);
    return *std::max_element(all.begin(), all.end());
}

bool any_of(Collectives& collectives, bool value) {
    return largest(collectives, value ? 1 : 0) == 1;
}

bool all_of(Collectives& collectives, bool value) {
    return !any_of(collectives, !value);
}

std::vector<std::string> all_gather(Collectives& collectives, const std::string& text) {
    // A block is the length of the text, the text, and padding up to the longest text.
    const auto length = static_cast<int64_t>(text.size());
    const int64_t room = largest(collectives, length);
    const auto block = static_cast<size_t>(room) + sizeof length;
    std::string mine(block, '\0'), all(block * static_cast<size_t>(collectives.ranks()), '\0');
    std::memcpy(mine.data(), &length, sizeof length);
    std::copy(text.begin(), text.end(), mine.begin() + sizeof length);
    collectives.all_gather(mine.data(), all.data(), static_cast<int64_t>(block));
    std::vector<std::string> texts;
    for (size_t at = 0; at < all.size(); at += block) {
        int64_t bytes = 0;
        std::memcpy(&bytes, all.data() + at, sizeof bytes);
        VILA_CHECK(bytes >= 0 && bytes <= room, "[all_gather] a rank sent a text of ", bytes,
                   " bytes: expected at most ", room);
        texts.push_back(all.substr(at + sizeof bytes, static_cast<size_t>(bytes)));
    }
    return texts;
}

}  // namespace vila::dist
