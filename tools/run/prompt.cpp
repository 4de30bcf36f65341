#include "tools/run/prompt.h"

#include "tools/base/hash64.h"
#include "tools/base/image_source.h"

namespace vila::tools {

std::shared_ptr<const std::vector<uint8_t>> PromptImage::encoded() const {
    if (encoded_ != nullptr) return encoded_;
    return std::make_shared<const std::vector<uint8_t>>(read_encoded_image(file_));
}

std::string PromptImage::name() const {
    return encoded_ != nullptr ? name_ : image_name(file_);
}

std::vector<PromptImage> image_files(const std::vector<std::string>& paths) {
    std::vector<PromptImage> images;
    for (const std::string& path : paths) images.emplace_back(data::ImageRef{.path = path});
    return images;
}

models::Sequence Prompt::view() const {
    models::Sequence sequence{ids, labels, {}};
    for (const auto& image : images) {
        const auto bytes = static_cast<int64_t>(image->values.size() * sizeof(float));
        sequence.images.push_back({.shape = image->shape,
                                   .values = image->values,
                                   .tokens = image->tokens,
                                   .key = hash64(image->values.data(), bytes)});
    }
    return sequence;
}

int64_t Prompt::positions() const {
    auto count = static_cast<int64_t>(ids.size());
    for (const auto& image : images) count += image->tokens - 1;
    return count;
}

}  // namespace vila::tools
