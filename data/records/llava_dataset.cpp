// Reads LLaVA instructions (Liu et al. 2023, Visual Instruction Tuning): {id, image,
// conversations}. ShareGPT4V and LLaVA's pretraining captions have this format too.

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

class LlavaDataset final : public JsonDataset {
  public:
    using JsonDataset::JsonDataset;

  protected:
    Sample make(const Json& record, const TemplateContext& context) const override {
        VILA_CHECK(find_field(record, {"video", "video_id"}) == nullptr,
                   "the record has a video: extract its frames and list them under \"image\"");
        std::vector<ImageRef> images = read_images(record);
        std::vector<Message> messages = read_turns(field(record, {"conversations", "messages"}));
        place_images(messages, static_cast<int64_t>(images.size()));
        return make_sample(context.chat.render(messages), std::move(images), context);
    }

  private:
    std::vector<ImageRef> read_images(const Json& record) const {
        std::vector<ImageRef> images;
        const Json* names = find_field(record, {"image", "images"});
        if (names == nullptr) return images;
        if (names->is_string()) return {image_named(*names)};
        VILA_CHECK(names->is_array(),
                   "the field \"image\": expected a file name or a list of them, got ",
                   shown(*names));
        for (const Json& name : *names) {
            VILA_CHECK(name.is_string(), "the field \"image\": expected a list of file names, got ",
                       shown(name), " in it");
            images.push_back(image_named(name));
        }
        return images;
    }
};

}  // namespace

std::unique_ptr<Dataset> open_llava(const DatasetSource& source) {
    return std::make_unique<LlavaDataset>(source);
}

}  // namespace vila::data
