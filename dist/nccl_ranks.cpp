#include "dist/nccl_ranks.h"

#include <dlfcn.h>

#include <cstring>
#include <span>

#include "dist/agree.h"
#include "tensor/check.h"

namespace vila::dist {

namespace {

// The part of NCCL's interface that is used here. Its values have not changed since version 2.7,
// which brought ncclSend() and ncclRecv().
constexpr int kLeastVersion = 2700;
constexpr int kSuccess = 0;
constexpr int kBytes = 1;  // ncclUint8
struct UniqueId {
    char bytes[128];
};
using Communicator = void*;
using Stream = void*;

class Library {
  public:
    explicit Library(const std::string& name) : handle_(::dlopen(name.c_str(), RTLD_NOW)) {
        VILA_CHECK(handle_ != nullptr, "NCCL cannot be opened (", ::dlerror(),
                   "); install it, or train without --device cuda");
        load(get_version, "ncclGetVersion");
        load(get_unique_id, "ncclGetUniqueId");
        load(init_rank, "ncclCommInitRank");
        load(destroy, "ncclCommDestroy");
        load(error_string, "ncclGetErrorString");
        load(broadcast, "ncclBroadcast");
        load(all_gather, "ncclAllGather");
        load(send, "ncclSend");
        load(receive, "ncclRecv");
        load(group_start, "ncclGroupStart");
        load(group_end, "ncclGroupEnd");
        int version = 0;
        check(get_version(&version), "ncclGetVersion");
        VILA_CHECK(version >= kLeastVersion, name, ": NCCL ", version, ": expected ", kLeastVersion,
                   " or later");
    }
    // It stays open: NCCL has threads of its own.
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
    const char* (*error_string)(int) = nullptr;
    int (*broadcast)(const void*, void*, size_t, int, int, Communicator, Stream) = nullptr;
    int (*all_gather)(const void*, void*, size_t, int, Communicator, Stream) = nullptr;
    int (*send)(const void*, size_t, int, int, Communicator, Stream) = nullptr;
    int (*receive)(void*, size_t, int, int, Communicator, Stream) = nullptr;
    int (*group_start)() = nullptr;
    int (*group_end)() = nullptr;

  private:
    template <typename Function>
    void load(Function& function, const char* name) {
        function = reinterpret_cast<Function>(::dlsym(handle_, name));
        VILA_CHECK(function != nullptr, "NCCL has no function ", name, ": its version is too old");
    }

    void* handle_;
};

// Memory of the device for the length of a call.
class Staging {
  public:
    Staging(Device& device, int64_t bytes)
        : device_(device), bytes_(bytes), memory_(static_cast<char*>(device.allocate(bytes))) {}
    ~Staging() { device_.release(memory_, bytes_); }
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    char* at(int64_t offset = 0) const { return memory_ + offset; }

  private:
    Device& device_;
    int64_t bytes_;
    char* memory_;
};

class NcclRanks final : public Collectives {
  public:
    NcclRanks(Collectives& bootstrap, std::unique_ptr<Device> device, void* stream,
              const std::string& library)
        : bootstrap_(bootstrap), device_(std::move(device)), stream_(stream) {
        UniqueId id = {};
        agree(bootstrap_, [&] {
            library_ = std::make_unique<Library>(library);
            if (rank() == 0) library_->check(library_->get_unique_id(&id), "ncclGetUniqueId");
        });
        bootstrap_.broadcast(&id, sizeof id, 0);
        agree(bootstrap_, [&] {
            library_->check(library_->init_rank(&communicator_, static_cast<int>(ranks()), id,
                                                static_cast<int>(rank())),
                            "ncclCommInitRank");
        });
    }
    ~NcclRanks() override {
        if (communicator_ != nullptr) library_->destroy(communicator_);
    }

    int64_t rank() const override { return bootstrap_.rank(); }
    int64_t ranks() const override { return bootstrap_.ranks(); }
    std::string name() const override { return "nccl"; }

  private:
    void do_barrier() override { bootstrap_.barrier(); }

    void do_broadcast(void* data, int64_t bytes, int64_t root) override {
        if (bytes == 0) return;
        const Staging block(*device_, bytes);
        if (rank() == root) device_->copy_from_host(block.at(), data, bytes);
        library_->check(library_->broadcast(block.at(), block.at(), static_cast<size_t>(bytes),
                                            kBytes, static_cast<int>(root), communicator_, stream_),
                        "ncclBroadcast");
        device_->synchronize();
        device_->copy_to_host(data, block.at(), bytes);
    }

    void do_all_gather(const void* in, void* out, int64_t bytes) override {
        if (bytes == 0) return;
        const Staging mine(*device_, bytes), all(*device_, bytes * ranks());
        device_->copy_from_host(mine.at(), in, bytes);
        library_->check(library_->all_gather(mine.at(), all.at(), static_cast<size_t>(bytes),
                                             kBytes, communicator_, stream_),
                        "ncclAllGather");
        device_->synchronize();
        device_->copy_to_host(out, all.at(), bytes * ranks());
    }

    // NCCL has none: a send and a receive for each rank, begun together.
    void do_all_to_all(const void* in, void* out, int64_t bytes) override {
        if (bytes == 0) return;
        const Staging from(*device_, bytes * ranks()), to(*device_, bytes * ranks());
        device_->copy_from_host(from.at(), in, bytes * ranks());
        library_->check(library_->group_start(), "ncclGroupStart");
        for (int64_t peer = 0; peer < ranks(); ++peer) {
            library_->check(library_->send(from.at(peer * bytes), static_cast<size_t>(bytes),
                                           kBytes, static_cast<int>(peer), communicator_, stream_),
                            "ncclSend");
            library_->check(
                library_->receive(to.at(peer * bytes), static_cast<size_t>(bytes), kBytes,
                                  static_cast<int>(peer), communicator_, stream_),
                "ncclRecv");
        }
        library_->check(library_->group_end(), "ncclGroupEnd");
        device_->synchronize();
        device_->copy_to_host(out, to.at(), bytes * ranks());
    }

    Collectives& bootstrap_;
    std::unique_ptr<Device> device_;
    void* stream_;
    std::unique_ptr<Library> library_;
    Communicator communicator_ = nullptr;
};

}  // namespace

std::unique_ptr<Collectives> nccl_ranks(Collectives& bootstrap, std::unique_ptr<Device> device,
                                        void* stream, const std::string& library) {
    return std::make_unique<NcclRanks>(bootstrap, std::move(device), stream, library);
}

}  // namespace vila::dist
