#include "dist/nccl_ranks.h"

#include <dlfcn.h>

#include <exception>

#include "dist/agree.h"
#include "tensor/check.h"

namespace vila::dist {

namespace {

// The part of NCCL's interface that is used here, with the values of nccl.h. They have not changed
// since version 2.7, the first with ncclSend() and ncclRecv().
constexpr int kMinVersion = 2700;
constexpr int kSuccess = 0;
constexpr int kInProgress = 7;
constexpr int kBytes = 1;  // ncclUint8
struct UniqueId {
    char bytes[128];
};
using Communicator = void*;
using Stream = void*;

class Library {
  public:
    explicit Library(const std::string& name)
        : name_(name), handle_(::dlopen(name.c_str(), RTLD_NOW)) {
        VILA_CHECK(handle_ != nullptr, "NCCL cannot be opened (", ::dlerror(),
                   "); install it, name its file with VILA_NCCL, or use --device cpu");
        load(get_version, "ncclGetVersion");
        load(get_unique_id, "ncclGetUniqueId");
        load(init_rank, "ncclCommInitRank");
        load(destroy, "ncclCommDestroy");
        load(abort, "ncclCommAbort");
        load(async_error, "ncclCommGetAsyncError");
        load(error_string, "ncclGetErrorString");
        load(broadcast, "ncclBroadcast");
        load(all_gather, "ncclAllGather");
        load(send, "ncclSend");
        load(receive, "ncclRecv");
        load(group_start, "ncclGroupStart");
        load(group_end, "ncclGroupEnd");
        int version = 0;
        check(get_version(&version), "ncclGetVersion");
        VILA_CHECK(version >= kMinVersion, name, ": NCCL ", version, ": expected ", kMinVersion,
                   " or later");
    }
    // The library is never closed: NCCL has threads of its own.
    ~Library() = default;
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    void check(int result, const char* call) const {
        VILA_CHECK(result == kSuccess, "[nccl] ", call, ": ", error_string(result));
    }

    int (*get_version)(int*) = nullptr;
    int (*get_unique_id)(UniqueId*) = nullptr;
    int (*init_rank)(Communicator*, int, UniqueId, int) = nullptr;
    int (*destroy)(Communicator) = nullptr;
    int (*abort)(Communicator) = nullptr;
    int (*async_error)(Communicator, int*) = nullptr;
    const char* (*error_string)(int) = nullptr;
    int (*broadcast)(const void*, void*, size_t, int, int, Communicator, Stream) = nullptr;
    int (*all_gather)(const void*, void*, size_t, int, Communicator, Stream) = nullptr;
    int (*send)(const void*, size_t, int, int, Communicator, Stream) = nullptr;
    int (*receive)(void*, size_t, int, int, Communicator, Stream) = nullptr;
    int (*group_start)() = nullptr;
    int (*group_end)() = nullptr;

  private:
    template <typename Function>
    void load(Function& function, const char* function_name) {
        function = reinterpret_cast<Function>(::dlsym(handle_, function_name));
        VILA_CHECK(function != nullptr, name_, ": NCCL has no function ", function_name,
                   ": its version is too old");
    }

    std::string name_;
    void* handle_;
};

// NCCL's collectives on one stream.
class NcclLink final : public GpuLink {
  public:
    NcclLink(Collectives& bootstrap, std::unique_ptr<Device> device, void* stream,
             const std::string& library)
        : device_(std::move(device)), stream_(stream), ranks_(bootstrap.ranks()) {
        UniqueId id = {};
        agree(bootstrap, [&] {
            library_ = std::make_unique<Library>(library);
            if (bootstrap.rank() == 0)
                library_->check(library_->get_unique_id(&id), "ncclGetUniqueId");
        });
        bootstrap.broadcast(&id, sizeof id, 0);
        agree(bootstrap, [&] {
            const int result = library_->init_rank(&communicator_, static_cast<int>(ranks_), id,
                                                   static_cast<int>(bootstrap.rank()));
            VILA_CHECK(result == kSuccess,
                       "[nccl] ncclCommInitRank: ", library_->error_string(result), " (",
                       device_->name(),
                       "; set NCCL_DEBUG=WARN for details; two ranks cannot share a GPU)");
        });
    }
    // ncclCommDestroy() may wait for the other ranks, which may never come after an error.
    ~NcclLink() override {
        if (communicator_ == nullptr) return;
        if (std::uncaught_exceptions() > 0)
            library_->abort(communicator_);
        else
            library_->destroy(communicator_);
    }

    Device& device() override { return *device_; }

    void broadcast(void* data, int64_t bytes, int64_t root) override {
        library_->check(library_->broadcast(data, data, static_cast<size_t>(bytes), kBytes,
                                            static_cast<int>(root), communicator_, stream_),
                        "ncclBroadcast");
    }

    void all_gather(const void* in, void* out, int64_t bytes) override {
        library_->check(library_->all_gather(in, out, static_cast<size_t>(bytes), kBytes,
                                             communicator_, stream_),
                        "ncclAllGather");
    }

    // NCCL 2.7 has no all-to-all: this groups a send to, and a receive from, each rank.
    void all_to_all(const void* in, void* out, int64_t bytes) override {
        const auto* from = static_cast<const char*>(in);
        auto* to = static_cast<char*>(out);
        const auto count = static_cast<size_t>(bytes);
        library_->check(library_->group_start(), "ncclGroupStart");
        for (int64_t rank = 0; rank < ranks_; ++rank) {
            const auto peer = static_cast<int>(rank);
            library_->check(
                library_->send(from + rank * bytes, count, kBytes, peer, communicator_, stream_),
                "ncclSend");
            library_->check(
                library_->receive(to + rank * bytes, count, kBytes, peer, communicator_, stream_),
                "ncclRecv");
        }
        library_->check(library_->group_end(), "ncclGroupEnd");
    }

    std::string transfer_error() override {
        int error = kSuccess;
        const int result = library_->async_error(communicator_, &error);
        if (result != kSuccess) error = result;
        if (error == kSuccess || error == kInProgress) return {};
        return str("[nccl] ", library_->error_string(error));
    }

  private:
    std::unique_ptr<Device> device_;
    void* stream_;
    int64_t ranks_;
    std::unique_ptr<Library> library_;
    Communicator communicator_ = nullptr;
};

class NcclRanks final : public Collectives {
  public:
    NcclRanks(Collectives& bootstrap, std::unique_ptr<Device> device, void* stream,
              const std::string& library)
        : bootstrap_(bootstrap), link_(bootstrap, std::move(device), stream, library) {}

    int64_t rank() const override { return bootstrap_.rank(); }
    int64_t ranks() const override { return bootstrap_.ranks(); }
    std::string name() const override { return "nccl"; }
    std::string transfer_error() override { return link_.transfer_error(); }

  private:
    GpuLink* gpu_link() override { return &link_; }

    void do_barrier() override { bootstrap_.barrier(); }
    void do_broadcast(void* data, int64_t bytes, int64_t root) override {
        bootstrap_.broadcast(data, bytes, root);
    }
    void do_all_gather(const void* in, void* out, int64_t bytes) override {
        bootstrap_.all_gather(in, out, bytes);
    }
    void do_all_to_all(const void* in, void* out, int64_t bytes) override {
        bootstrap_.all_to_all(in, out, bytes);
    }

    Collectives& bootstrap_;
    NcclLink link_;
};

}  // namespace

std::unique_ptr<Collectives> nccl_ranks(Collectives& bootstrap, std::unique_ptr<Device> device,
                                        void* stream, const std::string& library) {
    return std::make_unique<NcclRanks>(bootstrap, std::move(device), stream, library);
}

}  // namespace vila::dist
