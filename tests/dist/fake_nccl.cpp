// A library that replaces NCCL on machines without GPUs. It has the functions that
// dist/nccl_ranks.cpp calls, over shared memory, for ranks that are threads or processes of one
// machine. It checks more than NCCL does: ranks that make different calls all get an error.
// On an emulated GPU (tests/cuda/emulation/stream.h) transfers run in the order of their stream,
// otherwise immediately. Environment variables:
//     VILA_FAKE_NCCL_FAIL=N      the N-th transfer of rank 0 is a remote error
//     VILA_FAKE_NCCL_BREAK=N     the N-th transfer of rank 0 never ends; ncclCommGetAsyncError
//                                returns an error on the other ranks
//     VILA_FAKE_NCCL_VERSION=N   the version that the library reports

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

namespace {

constexpr int kSuccess = 0, kSystemError = 2, kInvalidUsage = 5, kRemoteError = 6;
constexpr int kMaxRanks = 16;
// Each rank has an area of this size in the shared memory, split into a block for each other rank.
constexpr size_t kAreaBytes = size_t{1} << 18;

struct Call {
    int what = 0, root = 0;
    size_t bytes = 0;
    bool operator==(const Call&) const = default;
};

struct Shared {
    std::atomic<int> ranks;           // number of ranks that have joined
    std::atomic<int> waiting, round;  // state of the barrier
    std::atomic<bool> aborted, broken;
    Call calls[kMaxRanks];
    unsigned char areas[kMaxRanks][kAreaBytes];
};

struct Id {
    char bytes[128];
};

struct Communicator {
    Shared* shared;
    int rank, ranks;
    long transfers = 0;
    std::atomic<int> pending = 0;  // transfers of this rank that have not ended
};

struct Part {
    bool sends;
    void* data;
    size_t bytes;
    int peer;
};
thread_local std::vector<Part> t_group;
thread_local Communicator* t_communicator = nullptr;
thread_local void* t_stream = nullptr;

// Waits for all ranks. Returns false if one of them aborted before.
bool wait(const Communicator& communicator) {
    Shared& shared = *communicator.shared;
    const int round = shared.round;
    if (++shared.waiting == communicator.ranks) {
        shared.waiting = 0;
        ++shared.round;
        return true;
    }
    while (shared.round == round && !shared.aborted) ::usleep(20);
    return shared.round != round;
}

// Publishes the call of this rank and checks that all ranks make the same call.
int announce(Communicator& communicator, const Call& call) {
    Shared& shared = *communicator.shared;
    ++communicator.transfers;
    const auto is_selected = [&](const char* setting) {
        const char* number = std::getenv(setting);
        return number != nullptr && communicator.rank == 0 &&
               communicator.transfers == std::atol(number);
    };
    if (is_selected("VILA_FAKE_NCCL_FAIL")) return kRemoteError;
    if (is_selected("VILA_FAKE_NCCL_BREAK")) {
        shared.broken = true;
        while (!shared.aborted) ::usleep(1000);
        return kRemoteError;
    }
    shared.calls[communicator.rank] = call;
    if (!wait(communicator)) return kRemoteError;
    bool same = true;
    for (int rank = 0; rank < communicator.ranks; ++rank) same &= shared.calls[rank] == call;
    if (!wait(communicator)) return kRemoteError;
    return same ? kSuccess : kInvalidUsage;
}

// Sends a block from every rank to every other rank, in pieces.
bool exchange(Communicator& communicator, const std::vector<const unsigned char*>& out,
              const std::vector<unsigned char*>& in, size_t bytes) {
    Shared& shared = *communicator.shared;
    const size_t room = kAreaBytes / static_cast<size_t>(communicator.ranks);
    for (size_t done = 0; done < bytes; done += room) {
        const size_t piece = std::min(room, bytes - done);
        for (size_t peer = 0; peer < out.size(); ++peer)
            if (out[peer] != nullptr)
                std::memcpy(shared.areas[communicator.rank] + peer * room, out[peer] + done, piece);
        if (!wait(communicator)) return false;
        for (size_t peer = 0; peer < in.size(); ++peer)
            if (in[peer] != nullptr)
                std::memcpy(in[peer] + done,
                            shared.areas[peer] + static_cast<size_t>(communicator.rank) * room,
                            piece);
        if (!wait(communicator)) return false;
    }
    return true;
}

// Runs a broadcast, an all-gather or a group. `call` must be the same on all ranks.
int transfer(Communicator& communicator, const Call& call,
             const std::vector<const unsigned char*>& from, const std::vector<unsigned char*>& to) {
    if (const int failed = announce(communicator, call)) return failed;
    return exchange(communicator, from, to, call.bytes) ? kSuccess : kRemoteError;
}

// Runs a transfer in the order of an emulated GPU's stream, or immediately.
int in_stream(Communicator& communicator, void* stream, const std::function<int()>& transfer) {
    using InStream = int (*)(void* stream, int (*work)(void* data), void* data);
    static const auto enqueue =
        reinterpret_cast<InStream>(::dlsym(RTLD_DEFAULT, "vila_emulated_in_stream"));
    if (stream == nullptr || enqueue == nullptr) return transfer();
    ++communicator.pending;
    const auto work = [&communicator, transfer] {
        const int result = transfer();
        --communicator.pending;
        return result;
    };
    const auto run = [](void* data) {
        return (*std::unique_ptr<std::function<int()>>(static_cast<std::function<int()>*>(data)))();
    };
    return enqueue(stream, run, std::make_unique<std::function<int()>>(work).release());
}

}  // namespace

extern "C" {

int ncclGetVersion(int* version) {
    const char* claimed = std::getenv("VILA_FAKE_NCCL_VERSION");
    *version = claimed != nullptr ? std::atoi(claimed) : 22809;
    return kSuccess;
}

const char* ncclGetErrorString(int result) {
    return result == kSystemError    ? "unhandled system error"
           : result == kInvalidUsage ? "ranks run different collectives"
           : result == kRemoteError  ? "remote process exited or there was a network error"
                                     : "no error";
}

int ncclGetUniqueId(Id* id) {
    static std::atomic<int> number = 0;
    *id = {};
    std::snprintf(id->bytes, sizeof id->bytes, "/vila-nccl-%d-%d", static_cast<int>(::getpid()),
                  ++number);
    return kSuccess;
}

int ncclCommInitRank(Communicator** result, int ranks, Id id, int rank) {
    if (ranks > kMaxRanks) return kSystemError;
    const int descriptor = ::shm_open(id.bytes, O_RDWR | O_CREAT, 0600);
    if (descriptor < 0 || ::ftruncate(descriptor, sizeof(Shared)) != 0) return kSystemError;
    void* memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ::close(descriptor);
    if (memory == MAP_FAILED) return kSystemError;
    auto* shared = static_cast<Shared*>(memory);
    *result = new Communicator{shared, rank, ranks, 0, 0};
    // Once all ranks have mapped the memory, its name can be removed.
    ++shared->ranks;
    while (shared->ranks < ranks) ::usleep(100);
    if (rank == 0) ::shm_unlink(id.bytes);
    return kSuccess;
}

int ncclCommDestroy(Communicator* communicator) {
    while (communicator->pending > 0) ::usleep(100);
    ::munmap(communicator->shared, sizeof(Shared));
    delete communicator;
    return kSuccess;
}

int ncclCommAbort(Communicator* communicator) {
    communicator->shared->aborted = true;
    return ncclCommDestroy(communicator);
}

int ncclCommGetAsyncError(Communicator* communicator, int* error) {
    const bool reports = communicator->rank != 0 || communicator->ranks == 1;
    *error = reports && communicator->shared->broken ? kRemoteError : kSuccess;
    return kSuccess;
}

int ncclBroadcast(const void* in, void* out, size_t bytes, int, int root,
                  Communicator* communicator, void* stream) {
    const auto ranks = static_cast<size_t>(communicator->ranks);
    std::vector<const unsigned char*> from(ranks, nullptr);
    std::vector<unsigned char*> to(ranks, nullptr);
    if (communicator->rank == root)
        from.assign(ranks, static_cast<const unsigned char*>(in));
    else
        to[static_cast<size_t>(root)] = static_cast<unsigned char*>(out);
    return in_stream(*communicator, stream, [=] {
        return transfer(*communicator, {1, root, bytes}, from, to);
    });
}

int ncclAllGather(const void* in, void* out, size_t bytes, int, Communicator* communicator,
                  void* stream) {
    const auto ranks = static_cast<size_t>(communicator->ranks);
    const std::vector<const unsigned char*> from(ranks, static_cast<const unsigned char*>(in));
    std::vector<unsigned char*> to;
    for (size_t rank = 0; rank < ranks; ++rank)
        to.push_back(static_cast<unsigned char*>(out) + rank * bytes);
    return in_stream(*communicator, stream, [=] {
        return transfer(*communicator, {2, 0, bytes}, from, to);
    });
}

int ncclGroupStart() {
    t_group.clear();
    return kSuccess;
}

int ncclSend(const void* data, size_t bytes, int, int peer, Communicator* communicator,
             void* stream) {
    t_communicator = communicator;
    t_stream = stream;
    t_group.push_back({true, const_cast<void*>(data), bytes, peer});
    return kSuccess;
}

int ncclRecv(void* data, size_t bytes, int, int peer, Communicator* communicator, void* stream) {
    t_communicator = communicator;
    t_stream = stream;
    t_group.push_back({false, data, bytes, peer});
    return kSuccess;
}

int ncclGroupEnd() {
    if (t_group.empty()) return kSuccess;
    const size_t bytes = t_group.front().bytes;
    const auto ranks = static_cast<size_t>(t_communicator->ranks);
    std::vector<const unsigned char*> from(ranks, nullptr);
    std::vector<unsigned char*> to(ranks, nullptr);
    for (const Part& part : t_group) {
        if (part.bytes != bytes) return kInvalidUsage;
        if (part.sends)
            from[static_cast<size_t>(part.peer)] = static_cast<const unsigned char*>(part.data);
        else
            to[static_cast<size_t>(part.peer)] = static_cast<unsigned char*>(part.data);
    }
    return in_stream(*t_communicator, t_stream, [=, communicator = t_communicator] {
        return transfer(*communicator, {3, 0, bytes}, from, to);
    });
}
}
