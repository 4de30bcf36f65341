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
        std::vector<ImageRef> images;
        for (const std::string& name : image_names(record)) images.push_back(image_named(name));
        std::vector<Message> messages = read_turns(field(record, {"conversations", "messages"}));
        place_images(messages, static_cast<int64_t>(images.size()));
        return make_sample(context.chat.render(messages), std::move(images), context);
    }

    std::vector<std::string> image_names(const Json& record) const override {
        std::vector<std::string> images;
        const Json* names = find_field(record, {"image", "images"});
        if (names == nullptr) return images;
        if (names->is_string()) return {*names};
        VILA_CHECK(names->is_array(),
                   "the field \"image\": expected a file name or a list of them, got ",
                   shown(*names));
        for (const Json& name : *names) {
            VILA_CHECK(name.is_string(), "the field \"image\": expected a list of file names, got ",
                       shown(name), " in it");
            images.push_back(name);
        }
        return images;
    }
};

}  // namespace

std::unique_ptr<Dataset> open_llava(const DatasetSource& source) {
    return open_json<LlavaDataset>(source);
}

}  // namespace vila::data
