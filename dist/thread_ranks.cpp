#include "dist/thread_ranks.h"

#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "tensor/check.h"

namespace vila::dist {

namespace {

// The collective that a rank calls; all ranks must make the same call.
struct Call {
    const char* what = "";
    int64_t bytes = 0;
    int64_t root = 0;
    const void* data = nullptr;  // read by the other ranks

    bool matches(const Call& other) const {
        return std::strcmp(what, other.what) == 0 && bytes == other.bytes && root == other.root;
    }
};

// A barrier at which the ranks exchange their calls.
class Rendezvous {
  public:
    explicit Rendezvous(int64_t ranks) : calls_(static_cast<size_t>(ranks)) {}

    int64_t ranks() const { return static_cast<int64_t>(calls_.size()); }
    const Call& call(int64_t rank) const { return calls_[static_cast<size_t>(rank)]; }

    // Publishes the call of `rank` and waits for those of all ranks; throws if they differ.
    void announce(int64_t rank, const Call& call) {
        calls_[static_cast<size_t>(rank)] = call;
        wait();
        for (int64_t other = 0; other < ranks(); ++other)
            if (!call.matches(this->call(other)))
                throw Error(str("rank ", rank, " calls ", call.what, " of ", call.bytes,
                                " bytes while rank ", other, " calls ", this->call(other).what,
                                " of ", this->call(other).bytes, " bytes"));
    }

    // Waits until every rank has called it; throws once a rank has ended.
    void wait() {
        std::unique_lock lock(mutex_);
        if (ended_) throw_ended();
        const int64_t round = round_;
        if (++waiting_ == ranks()) {
            waiting_ = 0;
            ++round_;
            changed_.notify_all();
            return;
        }
        changed_.wait(lock, [&] { return ended_ || round_ != round; });
        if (round_ == round) throw_ended();
    }

    // Marks that a rank has ended: wait() throws from now on.
    void end() {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    }

  private:
    [[noreturn]] static void throw_ended() { throw Error("another rank has ended"); }

    std::vector<Call> calls_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int64_t waiting_ = 0, round_ = 0;
    bool ended_ = false;
};

class ThreadRank final : public Collectives {
  public:
    ThreadRank(Rendezvous& rendezvous, int64_t rank) : rendezvous_(rendezvous), rank_(rank) {}

    int64_t rank() const override { return rank_; }
    int64_t ranks() const override { return rendezvous_.ranks(); }
    std::string name() const override { return "threads"; }

  private:
    void do_barrier() override {
        meet({.what = "barrier"}, [] {});
    }

    void do_broadcast(void* data, int64_t bytes, int64_t root) override {
        meet({.what = "broadcast", .bytes = bytes, .root = root, .data = data}, [&] {
            if (rank_ != root) copy(data, 0, root, 0, bytes);
        });
    }

    void do_all_gather(const void* in, void* out, int64_t bytes) override {
        meet({.what = "all_gather", .bytes = bytes, .data = in}, [&] {
            for (int64_t r = 0; r < ranks(); ++r) copy(out, r, r, 0, bytes);
        });
    }

    void do_all_to_all(const void* in, void* out, int64_t bytes) override {
        meet({.what = "all_to_all", .bytes = bytes, .data = in}, [&] {
            for (int64_t r = 0; r < ranks(); ++r) copy(out, r, r, rank_, bytes);
        });
    }

    // The second wait keeps a rank from changing its data before the others have read it.
    template <typename Read>
    void meet(const Call& call, const Read& read) {
        rendezvous_.announce(rank_, call);
        read();
        rendezvous_.wait();
    }

    // Copies block `from` of the data that `rank` announced to block `to` of `out`.
    void copy(void* out, int64_t to, int64_t rank, int64_t from, int64_t bytes) const {
        if (bytes == 0) return;
        std::memcpy(static_cast<char*>(out) + to * bytes,
                    static_cast<const char*>(rendezvous_.call(rank).data) + from * bytes,
                    static_cast<size_t>(bytes));
    }

    Rendezvous& rendezvous_;
    int64_t rank_;
};

}  // namespace

void run_thread_ranks(int64_t ranks, const std::function<void(Collectives&)>& body) {
    VILA_CHECK(ranks > 0, "expected at least one rank, got ", ranks);
    Rendezvous rendezvous(ranks);
    std::mutex mutex;
    std::exception_ptr first;
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
            ThreadRank collectives(rendezvous, rank);
            try {
                body(collectives);
            } catch (...) {
                {
                    const std::lock_guard lock(mutex);
                    if (!first) first = std::current_exception();
                }
            }
            rendezvous.end();
        });
    for (std::thread& thread : threads) thread.join();
    if (first) std::rethrow_exception(first);
}

}  // namespace vila::dist
