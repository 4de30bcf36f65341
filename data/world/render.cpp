#include "data/world/render.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tensor/check.h"

namespace vila::data {

namespace {

using Rgb = std::array<double, 3>;

constexpr std::array<Rgb, 6> kPalette = {
    {{220, 40, 40}, {40, 190, 60}, {50, 80, 230}, {230, 210, 50}, {170, 60, 200}, {240, 240, 240}}};
constexpr std::array<double, 2> kRadius = {3.6, 6.0};  // pixels; small and large
constexpr double kSceneNoise = 8.0;                    // standard deviation, in levels of 0 to 255
constexpr double kWordNoise = 12.0;

// The letters of kWordLetters as seven rows of five pixels; the highest bit is the leftmost pixel.
constexpr std::array<std::array<uint8_t, 7>, 16> kFace = {{
    {0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11},  // A
    {0x0f, 0x10, 0x10, 0x10, 0x10, 0x10, 0x0f},  // C
    {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f},  // E
    {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10},  // F
    {0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11},  // H
    {0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e},  // I
    {0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11},  // K
    {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f},  // L
    {0x11, 0x19, 0x15, 0x15, 0x13, 0x11, 0x11},  // N
    {0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e},  // O
    {0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10},  // P
    {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11},  // R
    {0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e},  // S
    {0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04},  // T
    {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e},  // U
    {0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04},  // Y
}};

// Returns whether the point (x, y) is inside the shape. Coordinates are pixels from its center; y
// points down. `shape` is an index into kShapes.
bool inside(int shape, double radius, double x, double y) {
    const double distance = std::sqrt(x * x + y * y);
    switch (shape) {
        case 0:
            return distance <= radius;
        case 1:
            return std::abs(x) <= .88 * radius && std::abs(y) <= .88 * radius;
        case 2:
            return y >= -radius && y <= .85 * radius && std::abs(x) <= .55 * (y + radius);
        case 3:
            return (std::abs(x) <= .3 * radius || std::abs(y) <= .3 * radius) &&
                   std::abs(x) <= radius && std::abs(y) <= radius;
        case 4:
            return distance >= .55 * radius && distance <= radius;
        default:
            VILA_ASSERT(false);
    }
}

// An image in floating point, before noise and rounding.
class Canvas {
  public:
    Canvas(int side, const Rgb& background)
        : side_(side), pixels_(static_cast<size_t>(side) * side, background) {}

    void set(int x, int y, const Rgb& color) {
        pixels_[static_cast<size_t>(y) * side_ + x] = color;
    }

    Image finish(double noise, WorldRandom& random) const {
        Image image(side_, side_);
        auto byte = image.rgb.begin();
        for (const Rgb& pixel : pixels_)
            for (const double channel : pixel) {
                const double noisy = channel + noise * random.normal();
                *byte++ = static_cast<uint8_t>(std::lround(std::clamp(noisy, 0.0, 255.0)));
            }
        return image;
    }

  private:
    int side_;
    std::vector<Rgb> pixels_;
};

Rgb random_color(double low, double high, WorldRandom& random) {
    Rgb color{};
    for (double& channel : color) channel = low + (high - low) * random.uniform();
    return color;
}

}  // namespace

Image render_scene(const Scene& scene, WorldRandom& random) {
    constexpr int kCellSide = kSceneSide / 2;
    Canvas canvas(kSceneSide, random_color(10, 70, random));
    for (const Object& object : scene.objects) {
        const double middle_x = (kCellSide - 1) / 2.0 + random.between(-1, 1);
        const double middle_y = (kCellSide - 1) / 2.0 + random.between(-1, 1);
        Rgb color = kPalette[static_cast<size_t>(object.color)];
        for (double& channel : color) channel += 40 * random.uniform() - 20;
        const double radius = kRadius[static_cast<size_t>(object.size)];
        for (int y = 0; y < kCellSide; ++y)
            for (int x = 0; x < kCellSide; ++x)
                if (inside(object.shape, radius, x - middle_x, y - middle_y))
                    canvas.set(object.cell % 2 * kCellSide + x, object.cell / 2 * kCellSide + y,
                               color);
    }
    return canvas.finish(kSceneNoise, random);
}

Image render_word(const std::string& word, WorldRandom& random) {
    constexpr int kPitch = 8;
    VILA_CHECK(!word.empty() && word.size() <= 3, "[world] a word of ", word.size(),
               " letters: expected 1 to 3");
    Canvas canvas(kWordSide, random_color(10, 80, random));
    const Rgb color = random_color(130, 250, random);
    const int row = random.below(kWordSide / kPitch);
    const int column = random.below(kWordSide / kPitch - static_cast<int>(word.size()) + 1);
    for (size_t index = 0; index < word.size(); ++index) {
        const size_t letter = kWordLetters.find(word[index]);
        VILA_CHECK(letter != std::string_view::npos, "[world] letter '", word[index],
                   "': expected one of ", kWordLetters);
        const int left = (column + static_cast<int>(index)) * kPitch + random.between(0, 3);
        const int top = row * kPitch + random.between(0, 1);
        for (int y = 0; y < 7; ++y)
            for (int x = 0; x < 5; ++x)
                if (kFace[letter][static_cast<size_t>(y)] >> (4 - x) & 1)
                    canvas.set(left + x, top + y, color);
    }
    return canvas.finish(kWordNoise, random);
}

}  // namespace vila::data
