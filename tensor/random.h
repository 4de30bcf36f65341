#pragma once

// Counter-based random numbers: every draw is a pure function of a key and an index, so there is no
// state to save, and the order of draws does not matter. The generator is splitmix64 (Steele et al.
// 2014) applied to key and counter; normal variates come from Box and Muller (1958).

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace vila {

inline uint64_t mix_bits(uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

// A key from parts: random_key(seed, epoch, index).
inline uint64_t random_key(uint64_t a, uint64_t b = 0, uint64_t c = 0) {
    return mix_bits(mix_bits(mix_bits(a) ^ b) ^ c);
}
// A key from a seed and a name (FNV-1a over the name).
inline uint64_t random_key(uint64_t seed, std::string_view name) {
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return random_key(seed, hash);
}

// Draw number `index` under `key`.
inline uint64_t random_bits(uint64_t key, uint64_t index) {
    return mix_bits(key ^ mix_bits(index));
}
// Uniform in [0, 1), 53 bits.
inline double random_uniform(uint64_t key, uint64_t index) {
    return static_cast<double>(random_bits(key, index) >> 11) * 0x1.0p-53;
}
__extension__ using Uint128 = unsigned __int128;
// Uniform integer in [0, n), n > 0; bias below 2^-40 for n < 2^24.
inline int64_t random_below(uint64_t key, uint64_t index, int64_t n) {
    return static_cast<int64_t>(
        (static_cast<Uint128>(random_bits(key, index)) * static_cast<uint64_t>(n)) >> 64);
}
// Standard normal.
inline double random_normal(uint64_t key, uint64_t index) {
    const double u = 1.0 - random_uniform(key, 2 * index);
    const double v = random_uniform(key, 2 * index + 1);
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace vila
