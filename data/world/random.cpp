#include "data/world/random.h"

#include <cmath>
#include <numeric>

#include "tensor/check.h"

namespace vila::data {

WorldRandom::WorldRandom(uint64_t seed, std::string_view purpose) : state_(seed) {
    // FNV-1a of the purpose, combined with one step of the generator from the seed.
    uint64_t hash = 14695981039346656037ull;
    for (const char letter : purpose)
        hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211ull;
    state_ = next() ^ hash;
}

uint64_t WorldRandom::next() {
    uint64_t mixed = (state_ += 0x9e3779b97f4a7c15ull);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
    return mixed ^ (mixed >> 31);
}

int WorldRandom::below(int bound) {
    VILA_ASSERT(bound > 0);
    return static_cast<int>(uniform() * bound);
}

double WorldRandom::uniform() {
    return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

double WorldRandom::normal() {
    while (true) {
        const double x = 2 * uniform() - 1;
        const double y = 2 * uniform() - 1;
        const double square = x * x + y * y;
        if (square > 0 && square < 1) return x * std::sqrt(-2 * std::log(square) / square);
    }
}

std::vector<int> WorldRandom::sample(int count, int bound) {
    VILA_ASSERT(count <= bound);
    std::vector<int> all(static_cast<size_t>(bound));
    std::iota(all.begin(), all.end(), 0);
    shuffle(all);
    all.resize(static_cast<size_t>(count));
    return all;
}

}  // namespace vila::data
