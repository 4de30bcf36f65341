#include "tools/base/hash64.h"

#include <bit>
#include <cstdio>
#include <cstring>
#include <vector>

#include "tensor/random.h"

namespace vila::tools {

namespace {

constexpr int64_t kLanes = 4;
constexpr int64_t kStripe = kLanes * 8;
constexpr uint64_t kMultiplier = 0x9fb21c651e98df25ULL;  // odd, so that multiplying is a bijection

uint64_t absorb(uint64_t lane, uint64_t word) {
    return std::rotl((lane ^ word) * kMultiplier, 29);
}

uint64_t read_word(const unsigned char* bytes) {
    uint64_t word;
    std::memcpy(&word, bytes, sizeof(word));
    if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
    return word;
}

}  // namespace

uint64_t hash64(const void* data, int64_t bytes) {
    const auto* next = static_cast<const unsigned char*>(data);
    uint64_t lanes[kLanes] = {1, 2, 3, 4};
    int64_t left = bytes;
    for (; left >= kStripe; left -= kStripe, next += kStripe)
        for (int64_t lane = 0; lane < kLanes; ++lane)
            lanes[lane] = absorb(lanes[lane], read_word(next + 8 * lane));
    unsigned char tail[kStripe] = {};
    if (left > 0) std::memcpy(tail, next, static_cast<size_t>(left));
    uint64_t hash = static_cast<uint64_t>(bytes);
    for (int64_t lane = 0; lane < kLanes; ++lane)
        hash = mix_bits(hash ^ absorb(lanes[lane], read_word(tail + 8 * lane)));
    return hash;
}

uint64_t hash64(const Tensor& tensor) {
    if (tensor.device().kind() == DeviceKind::Cpu && tensor.is_contiguous())
        return hash64(tensor.raw(), tensor.bytes());
    std::vector<unsigned char> bytes(static_cast<size_t>(tensor.bytes()));
    tensor.contiguous().copy_to_host(bytes.data());
    return hash64(bytes.data(), tensor.bytes());
}

std::string hash_text(uint64_t hash) {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
    return text;
}

}  // namespace vila::tools
