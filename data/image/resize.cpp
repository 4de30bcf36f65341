// The pass along x takes sixteen rows at a time and transposes them, so that the same channel of
// sixteen rows is contiguous. Both passes are then sums of scaled byte runs, which compilers
// vectorize. Integer sums give the same bytes at any vector width.

#include "data/image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "tensor/cpu/simd.h"

namespace vila::data {

namespace {

using cpu_kernels::with_isa;

constexpr int kFractionBits = 22;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

double filter_radius(Filter filter) {
    return filter == Filter::Bilinear ? 1.0 : 2.0;
}

double filter_value(Filter filter, double x) {
    x = std::abs(x);
    if (filter == Filter::Bilinear) return x < 1.0 ? 1.0 - x : 0.0;
    constexpr double a = -0.5;
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

// For each output position of a range, its first input, the number of inputs, and their weights in
// 22-bit fixed point. Rows of `values` have the same length; unused weights are 0.
struct Weights {
    int64_t taps = 0;
    std::vector<int64_t> first;   // (outputs)
    std::vector<int64_t> count;   // (outputs)
    std::vector<int32_t> values;  // (outputs, taps)

    int64_t outputs() const { return static_cast<int64_t>(first.size()); }
    int64_t begin() const { return first.front(); }  // inputs [begin, end) have weights
    int64_t end() const { return first.back() + count.back(); }
};

// Returns the weights of outputs [begin, end) of an axis of `input` samples resampled to `output`.
// The floating-point operations are in Pillow's order, which determines the last bit of a weight.
Weights make_weights(Filter filter, int64_t input, int64_t output, int64_t begin, int64_t end) {
    const double scale = static_cast<double>(input) / static_cast<double>(output);
    const double widening = std::max(scale, 1.0);
    const double support = filter_radius(filter) * widening;
    const double narrowing = 1.0 / widening;
    Weights weights;
    weights.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
    weights.values.resize(static_cast<size_t>((end - begin) * weights.taps));
    std::vector<double> exact(static_cast<size_t>(weights.taps));
    for (int64_t o = begin; o < end; ++o) {
        const double center = (static_cast<double>(o) + 0.5) * scale;
        const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
        const int64_t last = std::min(static_cast<int64_t>(center + support + 0.5), input);
        double sum = 0.0;
        for (int64_t i = first; i < last; ++i) {
            exact[i - first] =
                filter_value(filter, (static_cast<double>(i) - center + 0.5) * narrowing);
            sum += exact[i - first];
        }
        for (int64_t i = 0; i < last - first; ++i) {
            const double fixed = exact[i] / sum * (1 << kFractionBits);
            weights.values[(o - begin) * weights.taps + i] =
                static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
        weights.first.push_back(first);
        weights.count.push_back(last - first);
    }
    return weights;
}

VILA_ALWAYS_INLINE uint8_t round_to_byte(int32_t sum) {
    return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// out[i] = sum over the taps of in[tap * stride + i] * weights[tap], for i in [0, Lanes). The
// weights sum to about 2^22 and their magnitudes to at most 1.3 times that, so 255 times the sum
// fits in 32 bits.
template <int Lanes>
VILA_ALWAYS_INLINE void weighted_sum(const uint8_t* in, int64_t stride, const int32_t* weights,
                                     int64_t taps, uint8_t* out) {
    int32_t sums[Lanes];
    for (int i = 0; i < Lanes; ++i) sums[i] = kHalf;
    for (int64_t tap = 0; tap < taps; ++tap)
        for (int i = 0; i < Lanes; ++i) sums[i] += in[tap * stride + i] * weights[tap];
    for (int i = 0; i < Lanes; ++i) out[i] = round_to_byte(sums[i]);
}

constexpr int64_t kRows = 16;

// Transposes a block of 16 x 16 bytes in four rounds. Each interleaves the rows of the first half
// with those of the second, which takes one instruction per row in most instruction sets.
VILA_ALWAYS_INLINE void transpose(uint8_t* block) {
    uint8_t mixed[kRows * kRows];
    for (int round = 0; round < 4; ++round) {
        for (int64_t i = 0; i < kRows * kRows / 2; ++i) {
            mixed[2 * i] = block[i];
            mixed[2 * i + 1] = block[i + kRows * kRows / 2];
        }
        std::memcpy(block, mixed, sizeof(mixed));
    }
}

// out[x * 16 + y] = rows[y][x] for x in [0, bytes) and up to sixteen rows.
VILA_ALWAYS_INLINE void rows_to_columns(const uint8_t* rows, int64_t stride, int64_t count,
                                        int64_t bytes, uint8_t* out) {
    int64_t x = 0;
    for (; count == kRows && x + kRows <= bytes; x += kRows) {
        uint8_t* block = out + x * kRows;
        for (int64_t y = 0; y < kRows; ++y)
            std::memcpy(block + y * kRows, rows + y * stride + x, kRows);
        transpose(block);
    }
    for (; x < bytes; ++x)
        for (int64_t y = 0; y < count; ++y) out[x * kRows + y] = rows[y * stride + x];
}

VILA_ALWAYS_INLINE void columns_to_rows(const uint8_t* columns, int64_t stride, int64_t count,
                                        int64_t bytes, uint8_t* out) {
    int64_t x = 0;
    for (; count == kRows && x + kRows <= bytes; x += kRows) {
        uint8_t block[kRows * kRows];
        std::memcpy(block, columns + x * kRows, sizeof(block));
        transpose(block);
        for (int64_t y = 0; y < kRows; ++y)
            std::memcpy(out + y * stride + x, block + y * kRows, kRows);
    }
    for (; x < bytes; ++x)
        for (int64_t y = 0; y < count; ++y) out[y * stride + x] = columns[x * kRows + y];
}

// An image placed on a canvas of one color.
struct Canvas {
    const Image& image;
    int64_t width = image.width, height = image.height;  // of the canvas
    int64_t left = 0, top = 0;                           // position of the image
    Color fill{};
};

// Resamples rows [begin, end) of the image (not of the canvas) along x.
Image resample_columns(const Canvas& canvas, const Weights& weights, int64_t begin, int64_t end,
                       Isa isa) {
    const int64_t outputs = weights.outputs();
    const int64_t first_column = weights.begin(), columns = weights.end() - first_column;
    // The columns of the image among those that have weights.
    const int64_t own_begin = std::max(first_column, canvas.left);
    const int64_t own_end = std::min(weights.end(), canvas.left + canvas.image.width);
    Image resampled(outputs, end - begin);
    std::vector<uint8_t> in(static_cast<size_t>(columns * 3 * kRows));   // (columns, 3, rows)
    std::vector<uint8_t> out(static_cast<size_t>(outputs * 3 * kRows));  // (outputs, 3, rows)
    for (int64_t i = 0; i < columns * 3; ++i)
        std::memset(in.data() + i * kRows, canvas.fill[i % 3], kRows);
    with_isa(isa, [&] {
        for (int64_t y = begin; y < end; y += kRows) {
            const int64_t rows = std::min(kRows, end - y);
            if (own_begin < own_end)
                rows_to_columns(canvas.image.at(own_begin - canvas.left, y), canvas.image.width * 3,
                                rows, (own_end - own_begin) * 3,
                                in.data() + (own_begin - first_column) * 3 * kRows);
            for (int64_t x = 0; x < outputs; ++x)
                for (int64_t c = 0; c < 3; ++c)
                    weighted_sum<kRows>(
                        in.data() + ((weights.first[x] - first_column) * 3 + c) * kRows, 3 * kRows,
                        weights.values.data() + x * weights.taps, weights.count[x],
                        out.data() + (x * 3 + c) * kRows);
            columns_to_rows(out.data(), outputs * 3, rows, outputs * 3, resampled.at(0, y - begin));
        }
    });
    return resampled;
}

// Returns the inputs of output `y`, `margin.size()` bytes a row: rows of the image itself or, at
// its edges, a copy in `edge` with `margin` above and below. Row 0 of the image is input `offset`.
const uint8_t* input_rows(const Image& image, const Weights& weights, int64_t y, int64_t offset,
                          const std::vector<uint8_t>& margin, std::vector<uint8_t>& edge) {
    const int64_t first = weights.first[y] - offset, last = first + weights.count[y];
    if (first >= 0 && last <= image.height) return image.at(0, first);
    const size_t bytes = margin.size();
    edge.resize(static_cast<size_t>(weights.count[y]) * bytes);
    for (int64_t row = first; row < last; ++row)
        std::memcpy(edge.data() + static_cast<size_t>(row - first) * bytes,
                    row >= 0 && row < image.height ? image.at(0, row) : margin.data(), bytes);
    return edge.data();
}

// Resamples an image along y. Its row 0 is input `offset`; inputs outside the image are `fill`.
Image resample_rows(const Image& image, const Weights& weights, int64_t offset, const Color& fill,
                    Isa isa) {
    constexpr int kLanes = 64;
    const int64_t bytes = image.width * 3;
    std::vector<uint8_t> margin(static_cast<size_t>(bytes)), edge;
    for (int64_t i = 0; i < bytes; ++i) margin[i] = fill[i % 3];
    Image resampled(image.width, weights.outputs());
    for (int64_t y = 0; y < weights.outputs(); ++y) {
        const uint8_t* in = input_rows(image, weights, y, offset, margin, edge);
        const int32_t* values = weights.values.data() + y * weights.taps;
        const int64_t taps = weights.count[y];
        uint8_t* out = resampled.at(0, y);
        with_isa(isa, [&] {
            int64_t x = 0;
            for (; x + kLanes <= bytes; x += kLanes)
                weighted_sum<kLanes>(in + x, bytes, values, taps, out + x);
            for (; x < bytes; ++x) weighted_sum<1>(in + x, bytes, values, taps, out + x);
        });
    }
    return resampled;
}

// Since version 13, Pillow resamples along y first where that leaves clearly less work. The
// rounding between the passes makes the order visible in the result.
bool rows_come_first(const Canvas& canvas, int64_t width, int64_t height) {
    return canvas.height > height && canvas.height - height > 2 * (canvas.width - width);
}

Image resample(const Canvas& canvas, int64_t width, int64_t height, Filter filter,
               const Window& window) {
    VILA_CHECK(canvas.image.width > 0 && canvas.image.height > 0 && width > 0 && height > 0,
               "[resize] ", canvas.image.width, " x ", canvas.image.height, " to ", width, " x ",
               height, ": sides must be at least 1");
    VILA_CHECK(window.left >= 0 && window.top >= 0 && window.width > 0 && window.height > 0 &&
                   window.left + window.width <= width && window.top + window.height <= height,
               "[resize] window of ", window.width, " x ", window.height, " at (", window.left,
               ", ", window.top, ") leaves the image of ", width, " x ", height);
    const Isa isa = detect_isa();
    const Weights across =
        make_weights(filter, canvas.width, width, window.left, window.left + window.width);
    const Weights down =
        make_weights(filter, canvas.height, height, window.top, window.top + window.height);
    if (rows_come_first(canvas, width, height)) {
        // Only an image that fills its canvas gets here: a square canvas shrinks alike in both
        // directions.
        VILA_ASSERT(canvas.height == canvas.image.height && canvas.width == canvas.image.width);
        const Image squeezed = resample_rows(canvas.image, down, 0, canvas.fill, isa);
        return resample_columns({.image = squeezed}, across, 0, squeezed.height, isa);
    }
    // The rows of the image that have weights.
    const int64_t begin = std::clamp<int64_t>(down.begin() - canvas.top, 0, canvas.image.height);
    const int64_t end = std::clamp<int64_t>(down.end() - canvas.top, begin, canvas.image.height);
    const Image narrowed = resample_columns(canvas, across, begin, end, isa);
    return resample_rows(narrowed, down, canvas.top + begin, canvas.fill, isa);
}

}  // namespace

Image resize_window(const Image& image, int64_t width, int64_t height, Filter filter,
                    const Window& window) {
    if (width == image.width && height == image.height) return crop(image, window);
    return resample({.image = image}, width, height, filter, window);
}

Image resize(const Image& image, int64_t width, int64_t height, Filter filter) {
    return resize_window(image, width, height, filter, {0, 0, width, height});
}

Image resize_padded(const Image& image, int64_t size, Filter filter, const Color& fill) {
    const int64_t side = std::max(image.width, image.height);
    if (side == size) return pad_to_square(image, fill);
    const Canvas canvas{.image = image,
                        .width = side,
                        .height = side,
                        .left = (side - image.width) / 2,
                        .top = (side - image.height) / 2,
                        .fill = fill};
    return resample(canvas, size, size, filter, {0, 0, size, size});
}

Image pad_to_square(const Image& image, const Color& fill) {
    const int64_t side = std::max(image.width, image.height);
    Image square(side, side);
    for (int64_t i = 0; i < side * side; ++i)
        std::copy_n(fill.data(), 3, square.rgb.data() + i * 3);
    const int64_t left = (side - image.width) / 2, top = (side - image.height) / 2;
    for (int64_t y = 0; y < image.height; ++y)
        std::copy_n(image.at(0, y), image.width * 3, square.at(left, top + y));
    return square;
}

Image crop(const Image& image, const Window& window) {
    Image cut(window.width, window.height);
    const int64_t begin = std::max<int64_t>(window.left, 0);
    const int64_t end = std::min(window.left + window.width, image.width);
    for (int64_t y = 0; y < window.height; ++y) {
        const int64_t row = window.top + y;
        if (row < 0 || row >= image.height || begin >= end) continue;
        std::copy_n(image.at(begin, row), (end - begin) * 3, cut.at(begin - window.left, y));
    }
    return cut;
}

}  // namespace vila::data
