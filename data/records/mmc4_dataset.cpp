// Reads documents with images between their sentences (Zhu et al. 2023, Multimodal C4) as VILA
// does: the first images of a document in stored order, each in front of its matched sentence;
// sentences joined by one space, none next to an image; loss on all text and on the end of
// sequence. Ignores the similarity of image and sentence and the size of the image.

#include <algorithm>

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

struct Placed {
    int64_t sentence;
    ImageRef image;
};

// Text and images in order, without spaces on either side of an image.
struct Document {
    std::vector<Segment> segments = {{Segment::Kind::Bos, "", false}};
    std::vector<ImageRef> images;

    void text(std::string_view piece) {
        if (segments.back().kind == Segment::Kind::Image)
            piece.remove_prefix(std::min(piece.find_first_not_of(' '), piece.size()));
        if (!piece.empty()) segments.push_back({Segment::Kind::Text, std::string(piece), true});
    }
    void image(const ImageRef& ref) {
        while (segments.back().kind == Segment::Kind::Text) {
            std::string& before = segments.back().text;
            before.erase(before.find_last_not_of(' ') + 1);
            if (!before.empty()) break;
            segments.pop_back();
        }
        segments.push_back({Segment::Kind::Image, "", false});
        images.push_back(ref);
    }
    void end() { segments.push_back({Segment::Kind::Eos, "", true}); }
};

class Mmc4Dataset final : public JsonDataset {
  public:
    explicit Mmc4Dataset(const DatasetSource& source)
        : JsonDataset(source), max_images_(source.max_images) {
        VILA_CHECK(max_images_ >= 0, "max_images of an mmc4 source is ", max_images_,
                   ": expected 0 or more");
    }

  protected:
    Sample make(const Json& record, const TemplateContext& context) const override {
        const Json& sentences = field(record, {"text_list"});
        VILA_CHECK(sentences.is_array(),
                   "the field \"text_list\": expected an array of sentences, got ",
                   shown(sentences));
        const auto count = static_cast<int64_t>(sentences.size());
        const std::vector<Placed> placed = read_images(record, count);
        Document document;
        auto next = placed.begin();
        for (int64_t i = 0; i < count; ++i) {
            VILA_CHECK(sentences[i].is_string(),
                       "the field \"text_list\": expected sentences, got ", shown(sentences[i]),
                       " in it");
            if (i > 0) document.text(" ");
            for (; next != placed.end() && next->sentence == i; ++next) document.image(next->image);
            document.text(without_placeholders(sentences[i]));
        }
        document.end();
        return make_sample(document.segments, std::move(document.images), context);
    }

    std::vector<std::string> image_names(const Json& record) const override {
        std::vector<std::string> names;
        for (const Json& info : image_infos(record)) {
            if (missing_image() != MissingImage::DropImage && is_full(names)) break;
            names.push_back(name_of(info));
        }
        return names;
    }

  private:
    template <typename List>
    bool is_full(const List& images) const {
        return static_cast<int64_t>(images.size()) == max_images_;
    }
    static std::string name_of(const Json& info) { return text_field(info, {"image_name"}); }

    static const Json& image_infos(const Json& record) {
        static const Json none = Json::array();
        const Json* infos = find_field(record, {"image_info"});
        if (infos == nullptr) return none;
        VILA_CHECK(infos->is_array(), "the field \"image_info\": expected an array, got ",
                   shown(*infos));
        return *infos;
    }

    // Returns the images that are kept, in the order of their sentences.
    std::vector<Placed> read_images(const Json& record, int64_t sentences) const {
        std::vector<Placed> placed;
        for (const Json& info : image_infos(record)) {
            if (is_full(placed)) break;
            const Json& index = field(info, {"matched_text_index"});
            VILA_CHECK(index.is_number_integer() && index >= 0 && index < sentences,
                       "an image is matched to sentence ", index.dump(), " of ", sentences);
            const std::string name = name_of(info);
            if (!is_missing(name)) placed.push_back({index, image_named(name)});
        }
        std::stable_sort(placed.begin(), placed.end(),
                         [](const Placed& a, const Placed& b) { return a.sentence < b.sentence; });
        return placed;
    }

    int64_t max_images_;
};

}  // namespace

std::unique_ptr<Dataset> open_mmc4(const DatasetSource& source) {
    return open_json<Mmc4Dataset>(source);
}

}  // namespace vila::data
