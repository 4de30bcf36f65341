#include "tensor/cpu/cpu_device.h"

#include <omp.h>
#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "tensor/cpu/kernels.h"
#include "tensor/int_math.h"

namespace vila {

namespace {

// Blocks of at least kLargeBlock bytes are aligned to huge pages, and the system is asked to use
// such pages: a matrix product walks down columns, and with small pages each row is another page.
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kLargeBlock = 2 * kHugePage;

std::align_val_t alignment(int64_t bytes) {
    return std::align_val_t{bytes >= kLargeBlock ? static_cast<size_t>(kHugePage) : 64};
}
// Block sizes are rounded up to a size class, so that the tensors of the next step can reuse them.
// Classes are an eighth of a power of two apart, so rounding wastes at most an eighth.
constexpr int64_t kSmallestBlock = 256;

int64_t size_class(int64_t bytes) {
    if (bytes <= kSmallestBlock) return kSmallestBlock;
    const int64_t eighth =
        static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(bytes - 1))) / 8;
    return round_up(bytes, eighth);
}

}  // namespace

struct CpuDevice::Cache {
    std::mutex mutex;  // because loader threads may free tensors of a batch
    std::map<int64_t, std::vector<void*>> free_blocks;
};

const char* isa_name(Isa isa) {
    constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "avx512_bf16", "amx_bf16"};
    return kNames[static_cast<int>(isa)];
}

namespace {

#if defined(__x86_64__)
// Whether the processor has tile registers and the system lets this process use them. Linux grants
// them only on request, because they add eight kilobytes to the state of each thread.
bool may_use_amx() {
#if defined(__linux__)
    constexpr unsigned kTile = 1U << 24, kBf16 = 1U << 22;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTile) != 0 && (d & kBf16) != 0 &&
           ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return false;
#endif
}
#endif

Isa best_isa() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::Baseline;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return Isa::Avx2;
    if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vnni"))
        return Isa::Avx512;
    return may_use_amx() ? Isa::Amx : Isa::Avx512Bf16;
#else
    return Isa::Baseline;
#endif
}

}  // namespace

Isa detect_isa() {
    static const Isa best = best_isa();
    return best;
}

CpuDevice::CpuDevice(const Kernels& kernels, int threads, Isa isa)
    : Device(DeviceKind::Cpu, kernels),
      threads_(threads > 0 ? threads : omp_get_num_procs()),
      isa_(std::min(isa, detect_isa())),
      cache_(std::make_unique<Cache>()) {}

CpuDevice::~CpuDevice() {
    for (auto& [bytes, blocks] : cache_->free_blocks)
        for (void* block : blocks) ::operator delete(block, alignment(bytes));
}

std::string CpuDevice::name() const {
    return str("cpu, ", threads_, threads_ == 1 ? " thread, " : " threads, ", isa_name(isa_));
}

void CpuDevice::copy_from_host(void* destination, const void* source, int64_t bytes) {
    if (bytes > 0) std::memcpy(destination, source, static_cast<size_t>(bytes));
}

void CpuDevice::copy_to_host(void* destination, const void* source, int64_t bytes) {
    if (bytes > 0) std::memcpy(destination, source, static_cast<size_t>(bytes));
}

void* CpuDevice::allocate_bytes(int64_t bytes) {
    const int64_t rounded = size_class(bytes);
    {
        const std::lock_guard lock(cache_->mutex);
        auto found = cache_->free_blocks.find(rounded);
        if (found != cache_->free_blocks.end() && !found->second.empty()) {
            void* block = found->second.back();
            found->second.pop_back();
            return block;
        }
    }
    void* memory = ::operator new(static_cast<size_t>(rounded), alignment(rounded), std::nothrow);
    if (memory == nullptr)
        throw OutOfMemory(
            str(out_of_memory_text(bytes), "; use a smaller micro_batch or max_length"));
#if defined(__linux__)
    if (rounded >= kLargeBlock)  // a hint: nothing depends on it
        static_cast<void>(madvise(memory, static_cast<size_t>(rounded), MADV_HUGEPAGE));
#endif
    return memory;
}

void CpuDevice::release_bytes(void* memory, int64_t bytes) noexcept {
    const std::lock_guard lock(cache_->mutex);
    try {
        cache_->free_blocks[size_class(bytes)].push_back(memory);
    } catch (...) {
        ::operator delete(memory, alignment(size_class(bytes)));
    }
}

std::unique_ptr<CpuDevice> make_cpu_device(int threads, Isa isa) {
    return std::make_unique<CpuDevice>(cpu_kernels::table(), threads, isa);
}

}  // namespace vila
