#include "models/batch.h"

#include <algorithm>
#include <optional>
#include <string>

#include "tensor/check.h"

namespace vila::models {

namespace {

Tensor device_ids(Device& device, const std::vector<int32_t>& values) {
    return Tensor::from_values<int32_t>(device, {static_cast<int64_t>(values.size())}, values);
}

void check_sequence(const Sequence& sequence) {
    const auto placeholders = std::count(sequence.ids.begin(), sequence.ids.end(), kImageToken);
    VILA_CHECK_EQ(static_cast<int64_t>(sequence.images.size()), static_cast<int64_t>(placeholders),
                  "images of a sequence for its placeholders");
    VILA_CHECK(sequence.labels.empty() || sequence.labels.size() == sequence.ids.size(),
               "a sequence has ", sequence.ids.size(), " ids but ", sequence.labels.size(),
               " labels");
    VILA_CHECK(!sequence.ids.empty(), "a sequence has no ids: expected at least one");
}

// An image as a number of items that are laid end to end: tiles (3, height, width) or feature rows
// (Cv).
struct Items {
    int64_t count;
    Shape shape;  // of each
};

Items items_of(const Shape& shape) {
    if (shape.rank() == 4) return {shape[0], {shape[1], shape[2], shape[3]}};
    if (shape.rank() == 3) return {1, shape};
    VILA_CHECK_EQ(shape.rank(), 2, "an image of shape ", shape,
                  ": expected pixels (3, height, width), or (tiles, 3, height, width), or features "
                  "(N, C); axes");
    return {shape[0], {shape[1]}};
}

std::string describe_item(const Shape& shape) {
    return shape.rank() == 3 ? str("tiles ", shape) : str("features of width ", shape[0]);
}

// The rows of a batch under construction.
struct BatchRows {
    std::vector<int32_t> ids, positions, cu_seqlens{0}, loss_rows, targets, image_rows;
    std::vector<int64_t> image_offsets{0};

    void append(const Sequence& sequence) {
        auto image = sequence.images.begin();
        const auto first = static_cast<int32_t>(ids.size());
        for (size_t i = 0; i < sequence.ids.size(); ++i) {
            const int32_t id = sequence.ids[i];
            const bool is_target = !sequence.labels.empty() && sequence.labels[i] != kIgnoreLabel;
            if (is_target) append_target(first, sequence.labels[i]);
            if (id != kImageToken) {
                append_row(first, id);
                continue;
            }
            append_image(first, *image++);
        }
        cu_seqlens.push_back(static_cast<int32_t>(ids.size()));
    }

    // `first` is the first row of the sequence, here and below.
    void append_image(int32_t first, const HostImage& image) {
        VILA_CHECK(image.tokens > 0, "an image of shape ", image.shape, " with ", image.tokens,
                   " tokens: expected at least 1");
        for (int64_t n = 0; n < image.tokens; ++n) {
            image_rows.push_back(static_cast<int32_t>(ids.size()));
            append_row(first, 0);
        }
        image_offsets.push_back(static_cast<int64_t>(image_rows.size()));
    }

    void append_row(int32_t first, int32_t id) {
        positions.push_back(static_cast<int32_t>(ids.size()) - first);
        ids.push_back(id);
    }

    // The row before the next token predicts it.
    void append_target(int32_t first, int32_t label) {
        const auto next = static_cast<int32_t>(ids.size());
        VILA_CHECK(next > first, "the first token of a sequence cannot be a target");
        loss_rows.push_back(next - 1);
        targets.push_back(label);
    }
};

}  // namespace

Batch make_batch(Device& device, const std::vector<Sequence>& sequences) {
    BatchRows rows;
    for (const Sequence& sequence : sequences) {
        check_sequence(sequence);
        rows.append(sequence);
    }
    Batch batch;
    batch.ids = device_ids(device, rows.ids);
    batch.positions = device_ids(device, rows.positions);
    batch.cu_seqlens = device_ids(device, rows.cu_seqlens);
    batch.loss_rows = device_ids(device, rows.loss_rows);
    batch.targets = device_ids(device, rows.targets);
    batch.image_rows = device_ids(device, rows.image_rows);
    batch.image_offsets = std::move(rows.image_offsets);
    for (size_t b = 0; b + 1 < rows.cu_seqlens.size(); ++b)
        batch.longest =
            std::max<int64_t>(batch.longest, rows.cu_seqlens[b + 1] - rows.cu_seqlens[b]);
    if (rows.image_rows.empty()) return batch;
    const Tensor images = stack_images(device, sequences);
    (images.rank() == 4 ? batch.pixels : batch.features) = images;
    return batch;
}

Tensor stack_images(Device& device, const std::vector<Sequence>& sequences) {
    std::vector<float> values;   // of all images, end to end
    std::optional<Shape> shape;  // of one tile or feature row
    int64_t count = 0;           // of tiles or feature rows
    for (const Sequence& sequence : sequences)
        for (const HostImage& image : sequence.images) {
            const Items items = items_of(image.shape);
            if (!shape) shape = items.shape;
            VILA_CHECK(items.shape == *shape, "an image of shape ", image.shape,
                       " in a batch whose first image has ", describe_item(*shape),
                       ": expected all pixels of one size, or all features of one width");
            VILA_CHECK_EQ(static_cast<int64_t>(image.values.size()), image.shape.numel(),
                          "values of an image of shape ", image.shape);
            values.insert(values.end(), image.values.begin(), image.values.end());
            count += items.count;
        }
    VILA_CHECK(shape.has_value(), "[stack_images] there is no image");
    const Shape& one = *shape;
    return Tensor::from_values(
        device, one.rank() == 3 ? Shape{count, one[0], one[1], one[2]} : Shape{count, one[0]},
        values);
}

}  // namespace vila::models
