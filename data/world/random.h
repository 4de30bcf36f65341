#pragma once

// Random numbers of the miniature world: identical on every platform and standard library, with one
// independent stream for each purpose, so that adding a file to the world changes no other file.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace vila::data {

// SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
class WorldRandom {
  public:
    // Starts the stream of a purpose. Streams of one seed are independent of each other.
    WorldRandom(uint64_t seed, std::string_view purpose);

    uint64_t next();
    // Uniform in [0, bound); bound > 0.
    int below(int bound);
    // Uniform in [low, high].
    int between(int low, int high) { return low + below(high - low + 1); }
    // Uniform in [0, 1).
    double uniform();
    bool chance(double probability) { return uniform() < probability; }
    // Standard normal by the polar method (Marsaglia and Bray, 1964).
    double normal();

    template <typename List>
    const auto& pick(const List& list) {
        return list[static_cast<size_t>(below(static_cast<int>(list.size())))];
    }
    template <typename T>
    void shuffle(std::vector<T>& list) {
        for (int last = static_cast<int>(list.size()) - 1; last > 0; --last)
            std::swap(list[static_cast<size_t>(last)], list[static_cast<size_t>(below(last + 1))]);
    }
    // Returns `count` distinct numbers of [0, bound), in random order.
    std::vector<int> sample(int count, int bound);

  private:
    uint64_t state_;
};

}  // namespace vila::data
