// The scheduler that runs a launch, one block after another. The threads of a block take turns in
// the chosen order, and each runs until it waits or ends. Then the scheduler completes every
// operation that it can: a warp operation when all lanes of its mask wait at it, a barrier when all
// threads of the block do.

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "tensor/check.h"
#include "tests/cuda/emulation/device.h"
#include "tests/cuda/emulation/fiber.h"
#include "tests/cuda/emulation/warp.h"

// The shared memory that cuda/shared.h declares, followed by guard bytes. One is enough, because
// one block runs at a time.
namespace vila::cuda {
extern unsigned char dynamic_shared_memory[];
alignas(128) unsigned char dynamic_shared_memory[emulation::kMaxSharedBytes + 256];
}  // namespace vila::cuda

namespace vila::emulation {

namespace {

constexpr size_t kSharedGuard = 256;
constexpr unsigned char kSharedSentinel = 0x5a;
constexpr unsigned int kMaxThreads = 1024;

// Held by the running grid: one at a time, even when several OS threads launch.
std::mutex& one_grid() {
    static std::mutex mutex;
    return mutex;
}

// Fibers are reused, because their stacks are expensive.
std::vector<std::unique_ptr<Fiber>>& fibers() {
    thread_local std::vector<std::unique_ptr<Fiber>> kept;
    return kept;
}

// The numbers from 0 to count - 1 in the chosen order.
std::vector<int64_t> turns(int64_t count, ThreadOrder order, std::mt19937_64& random) {
    std::vector<int64_t> sequence(static_cast<size_t>(count));
    std::iota(sequence.begin(), sequence.end(), int64_t{0});
    if (order == ThreadOrder::Reversed) std::reverse(sequence.begin(), sequence.end());
    if (order == ThreadOrder::Random) std::shuffle(sequence.begin(), sequence.end(), random);
    return sequence;
}

// The threads of a block in the chosen order, as groups of which each runs as far as it can: one
// group of all threads, so that all warps advance together; or, in random order, one group per
// warp, so that a warp can reach the next barrier before another has moved.
std::vector<std::vector<int64_t>> groups(int64_t threads, ThreadOrder order,
                                         std::mt19937_64& random) {
    const std::vector<int64_t> sequence = turns(threads, order, random);
    if (order != ThreadOrder::Random) return {sequence};
    std::vector<std::vector<int64_t>> warps(static_cast<size_t>((threads + 31) / 32));
    for (const int64_t t : sequence) warps[static_cast<size_t>(t / 32)].push_back(t);
    std::shuffle(warps.begin(), warps.end(), random);
    return warps;
}

uint3 coordinates(int64_t index, const dim3& extent) {
    const auto i = static_cast<uint64_t>(index);
    return {static_cast<unsigned int>(i % extent.x),
            static_cast<unsigned int>(i / extent.x % extent.y),
            static_cast<unsigned int>(i / extent.x / extent.y)};
}

const char* wait_name(Wait wait) {
    constexpr const char* kNames[] = {"nothing",
                                      "__syncthreads",
                                      "a shuffle",
                                      "a warp's vote",
                                      "__syncwarp",
                                      "an operation of its warp",
                                      "nothing: it has ended"};
    return kNames[static_cast<int>(wait)];
}

std::string describe(const ThreadState& thread) {
    if (thread.wait == Wait::End)
        return str("thread ", thread.index.x, ",", thread.index.y, " has ended");
    return str("thread ", thread.index.x, ",", thread.index.y, " waits at ", wait_name(thread.wait),
               " (", thread.file, ":", thread.line, ")");
}

bool same_place(const ThreadState& a, const ThreadState& b) {
    return a.wait == b.wait && a.line == b.line &&
           (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

// The first report of report_violation().
std::string& violation() {
    thread_local std::string text;
    return text;
}

class Block {
  public:
    Block(const cudaLaunchConfig_t& config, const std::function<void()>& body)
        : config_(config), body_(body) {
        const dim3& extent = config.blockDim;
        threads_.resize(static_cast<size_t>(extent.x) * extent.y * extent.z);
        while (fibers().size() < threads_.size())
            fibers().push_back(std::make_unique<Fiber>(fibers().size()));
    }

    // Runs one block. Each group of threads runs as far as it can before the next one.
    void run(const uint3& block, const std::vector<std::vector<int64_t>>& groups) {
        start(block);
        ended_ = 0;
        while (ended_ < threads_.size()) {
            bool moved = false;
            for (const std::vector<int64_t>& group : groups)
                while (advance(group)) {
                    moved = true;
                    complete_warp_operations(group);
                }
            complete_barrier();
            VILA_CHECK(violation().empty(), "emulated kernel: ", violation());
            VILA_CHECK(moved, "emulated block ", block.x, ",", block.y, ",", block.z,
                       " is stuck: ", stuck());
        }
        check_shared(block);
    }

  private:
    void start(const uint3& block) {
        blockIdx = block;
        blockDim = config_.blockDim;
        gridDim = config_.gridDim;
        std::memset(cuda::dynamic_shared_memory, 0xff, config_.dynamicSmemBytes);
        std::memset(cuda::dynamic_shared_memory + config_.dynamicSmemBytes, kSharedSentinel,
                    kSharedGuard);
        for (size_t t = 0; t < threads_.size(); ++t) {
            threads_[t] = {};
            threads_[t].index = coordinates(static_cast<int64_t>(t), config_.blockDim);
            threads_[t].number = t;
            threads_[t].lane = static_cast<int>(t % 32);
            fibers()[t]->start(body_);
        }
    }

    // Runs each thread of a group that does not wait until it waits or ends. Returns false when
    // there was none.
    bool advance(const std::vector<int64_t>& group) {
        bool moved = false;
        for (const int64_t t : group) {
            if (threads_[t].wait != Wait::Nothing) continue;
            moved = true;
            running_thread = &threads_[t];
            threadIdx = threads_[t].index;
            if (!fibers()[t]->resume()) continue;
            if (!threads_[t].copies.empty())
                report_violation("a thread ends before its asynchronous copies");
            threads_[t].wait = Wait::End;
            ++ended_;
        }
        running_thread = nullptr;
        return moved;
    }

    void complete_barrier() {
        for (const ThreadState& thread : threads_)
            if (thread.wait != Wait::Barrier || !same_place(thread, threads_[0])) return;
        VILA_ASSERT(ended_ == 0);
        for (ThreadState& thread : threads_) thread.wait = Wait::Nothing;
    }

    void complete_warp_operations(const std::vector<int64_t>& group) {
        for (const int64_t t : group)
            if (is_warp_wait(threads_[t].wait))
                complete_warp_operation(static_cast<size_t>(t) / 32 * 32, threads_[t]);
    }

    static bool is_warp_wait(Wait wait) {
        return wait == Wait::Shuffle || wait == Wait::Ballot || wait == Wait::SyncWarp ||
               wait == Wait::WarpOperation;
    }

    // Completes the operation at which `thread` waits if all lanes of its mask wait there.
    void complete_warp_operation(size_t first, const ThreadState& thread) {
        const unsigned int mask = thread.mask;
        VILA_CHECK((mask >> thread.lane & 1U) != 0, "emulated kernel: ", describe(thread),
                   ", but its own lane is not in the mask ", mask);
        for (size_t lane = 0; lane < 32; ++lane) {
            if ((mask >> lane & 1U) == 0) continue;
            VILA_CHECK(first + lane < threads_.size(), "emulated kernel: ", describe(thread),
                       " for lane ", lane, ", which the block does not have");
            const ThreadState& other = threads_[first + lane];
            VILA_CHECK(other.wait != Wait::End, "emulated kernel: ", describe(thread), " for lane ",
                       lane, ", which has ended");
            if (!same_place(other, thread) || other.mask != mask) return;
        }
        if (thread.wait == Wait::WarpOperation) {
            run_operation(first);
        } else {
            deliver(first, mask, thread.wait);
        }
    }

    void run_operation(size_t first) {
        void* arguments[32];
        for (size_t lane = 0; lane < 32; ++lane) arguments[lane] = threads_[first + lane].arguments;
        threads_[first].operation(arguments);
        for (size_t lane = 0; lane < 32; ++lane) threads_[first + lane].wait = Wait::Nothing;
    }

    // Gives all lanes of the mask their results and lets them continue.
    void deliver(size_t first, unsigned int mask, Wait what) {
        uint64_t values[32] = {};
        uint64_t votes = 0;
        for (size_t lane = 0; lane < 32; ++lane) {
            if ((mask >> lane & 1U) == 0) continue;
            values[lane] = threads_[first + lane].value;
            votes |= (values[lane] & 1U) << lane;
        }
        for (size_t lane = 0; lane < 32; ++lane) {
            if ((mask >> lane & 1U) == 0) continue;
            ThreadState& thread = threads_[first + lane];
            VILA_CHECK(what != Wait::Shuffle || (mask >> thread.source & 1U) != 0,
                       "emulated kernel: ", describe(thread), " and reads lane ", thread.source,
                       ", which is not in the mask");
            thread.value = what == Wait::Shuffle ? values[thread.source] : votes;
            thread.wait = Wait::Nothing;
        }
    }

    // Describes two threads that wait at different places.
    std::string stuck() const {
        std::string text = describe(threads_[0]);
        for (const ThreadState& thread : threads_)
            if (!same_place(thread, threads_[0])) return text + ", " + describe(thread);
        return text;
    }

    void check_shared(const uint3& block) const {
        for (size_t i = 0; i < kSharedGuard; ++i)
            VILA_CHECK(cuda::dynamic_shared_memory[config_.dynamicSmemBytes + i] == kSharedSentinel,
                       "emulated block ", block.x, ",", block.y, ",", block.z, " wrote past the ",
                       config_.dynamicSmemBytes,
                       " bytes of shared memory that its launch asked for");
    }

    const cudaLaunchConfig_t& config_;
    const std::function<void()>& body_;
    std::vector<ThreadState> threads_;
    size_t ended_ = 0;
};

}  // namespace

void report_violation(const std::string& what) {
    if (violation().empty()) violation() = what;
}

void wait_for(Wait what, const char* file, int line) {
    ThreadState& thread = *running_thread;
    thread.wait = what;
    thread.file = file;
    thread.line = line;
    fibers()[thread.number]->suspend();
}

void run_grid(const cudaLaunchConfig_t& config, const std::function<void()>& body) {
    const dim3 &block = config.blockDim, &grid = config.gridDim;
    const uint64_t threads = uint64_t{block.x} * block.y * block.z;
    VILA_CHECK(threads >= 1 && threads <= kMaxThreads && block.z <= 64, "emulated launch of ",
               threads, " threads a block: expected 1 to ", kMaxThreads);
    VILA_CHECK(grid.x >= 1 && grid.x <= 0x7fffffffU && grid.y >= 1 && grid.y <= 65535 &&
                   grid.z >= 1 && grid.z <= 65535,
               "emulated launch of ", grid.x, " x ", grid.y, " x ", grid.z, " blocks");
    VILA_CHECK(config.dynamicSmemBytes <= kMaxSharedBytes, "emulated launch with ",
               config.dynamicSmemBytes, " bytes of shared memory: a block has ", kMaxSharedBytes);
    const std::lock_guard lock(one_grid());
    ++machine().launches;
    violation().clear();
    const ThreadOrder order = thread_order(config.stream);
    std::mt19937_64 random(order == ThreadOrder::Random ? next_seed(config.stream) : 0);
    const auto blocks = static_cast<int64_t>(uint64_t{grid.x} * grid.y * grid.z);
    Block runner(config, body);
    for (const int64_t b : turns(blocks, order, random))
        runner.run(coordinates(b, grid), groups(static_cast<int64_t>(threads), order, random));
}

}  // namespace vila::emulation
