#pragma once

// Helpers for image tests: golden files, a synthetic image, a digest.

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "data/image/image.h"

namespace vila::data {

inline std::filesystem::path image_goldens() {
    return std::filesystem::path(VILA_SOURCE_DIR) / "tests" / "goldens" / "images";
}

inline std::vector<uint8_t> read_bytes(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::filesystem::path& path, const std::vector<uint8_t>& bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
}

// Reads pixels that Pillow decoded: "P6 WIDTH HEIGHT 255\n" and the bytes.
inline Image read_ppm(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    std::string magic;
    int64_t width = 0, height = 0, limit = 0;
    file >> magic >> width >> height >> limit;
    file.get();
    Image image(width, height);
    file.read(reinterpret_cast<char*>(image.rgb.data()),
              static_cast<std::streamsize>(image.rgb.size()));
    EXPECT_TRUE(file) << path;
    return image;
}

// Returns the 64-bit FNV-1a hash, as the golden scripts compute it.
inline uint64_t digest(const void* data, size_t bytes) {
    uint64_t value = 0xcbf29ce484222325U;
    for (size_t i = 0; i < bytes; ++i)
        value = (value ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3U;
    return value;
}

// Returns the image of scene() in make_image_goldens.py: gradients, edges and noise.
inline Image scene(int64_t width, int64_t height, int64_t seed) {
    Image image(width, height);
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            const int64_t noise = (x * 7919 + y * 104729 + seed * 1299709) % 9973 % 31;
            const int64_t dx = x * 2 - width, dy = y * 2 - height;
            const bool inside = dx * dx + dy * dy < height * height / 2;
            const bool light = (x / 8 + y / 8) % 2 == 0;
            uint8_t* rgb = image.at(x, y);
            rgb[0] = static_cast<uint8_t>(x * 255 / std::max<int64_t>(width - 1, 1) + noise);
            rgb[1] = static_cast<uint8_t>(light ? 230 - noise : 25 + noise);
            rgb[2] = inside ? uint8_t{255}
                            : static_cast<uint8_t>(
                                  y * 255 / std::max<int64_t>(height - 1, 1) * 3 / 4 + noise * 2);
        }
    }
    return image;
}

}  // namespace vila::data
