// Writes interleaved documents in the layout of MMC4 (Zhu et al. 2023, Multimodal C4).

#include <array>

#include "data/world/corpora.h"
#include "data/world/text.h"

namespace vila::data {

namespace {

// One document: sentences, and images before some of them.
class InterleavedDocument {
  public:
    void sentence(const std::string& text) { texts_.push_back(text); }
    void image(const SceneImage& image, const std::string& text) {
        images_.push_back({{"image_name", image.file},
                           {"raw_url", nullptr},
                           {"matched_text_index", texts_.size()},
                           {"matched_sim", 1.0},
                           {"face_detections", nullptr}});
        texts_.push_back(text);
    }
    Json json(int id) const {
        Json similarity = Json::array();
        for (const Json& image : images_) {
            std::vector<double> row(texts_.size(), 0.0);
            row[image["matched_text_index"].get<size_t>()] = 1.0;
            similarity.push_back(row);
        }
        return {{"url", "world/" + std::to_string(id)},
                {"text_list", texts_},
                {"image_info", images_},
                {"similarity_matrix", similarity},
                {"could_have_url_duplicate", 0}};
    }

  private:
    Json texts_ = Json::array();
    Json images_ = Json::array();
};

// Replaces "%" in a template by the word.
std::string fill(std::string_view form, const std::string& word) {
    std::string text(form);
    return text.replace(text.find('%'), 1, word);
}

std::string some_fact(const Facts& facts, WorldRandom& random) {
    while (true) {
        const int fact = random.below(facts.size());
        if (facts.in_documents(fact)) return facts.statement(fact);
    }
}

// Labels images by one attribute, of which two values occur, each with one label: earlier images
// show the label of a later one.
void write_labels(InterleavedDocument& document, const Pool& pool, WorldRandom& random) {
    constexpr std::array<std::string_view, 4> kForms = {"this is a % .", "we see the % .",
                                                        "here is one % .", "name : % ;"};
    const std::string_view form = random.pick(kForms);
    const Attribute rule = random.chance(.5) ? Attribute::Color : Attribute::Shape;
    const std::vector<int> values = random.sample(2, 5);
    const std::vector<int> labels = random.sample(2, kImageLabels);
    for (int left = random.between(4, 6); left > 0;) {
        const SceneImage& image = pool.one_object(random);
        for (size_t which = 0; which < 2; ++which) {
            if (value_of(image.scene.objects[0], rule) != values[which]) continue;
            const auto label = static_cast<size_t>(labels[which]);
            document.image(image, fill(form, std::string(kLabels[label])));
            --left;
        }
    }
}

// Describes every image by one attribute.
void write_recurring(InterleavedDocument& document, const Pool& pool, WorldRandom& random) {
    constexpr std::array<std::string_view, 4> kForms = {"this one is % .", "kind : % ;",
                                                        "the % one .", "we see % here ."};
    constexpr std::array<Attribute, 4> kAttributes = {Attribute::Color, Attribute::Shape,
                                                      Attribute::Size, Attribute::Position};
    const std::string_view form = random.pick(kForms);
    const int attribute = random.below(9);  // 0 to 6: color, shape, size twice, position
    for (int left = random.between(4, 6); left > 0; --left) {
        if (attribute >= 7) {
            const SceneImage& image = pool.several(random);
            const auto count = static_cast<size_t>(image.scene.count() - 1);
            document.image(image, fill(form, std::string(kCounts[count])));
        } else {
            const SceneImage& image = pool.one_object(random);
            const auto kind = static_cast<size_t>(attribute == 6 ? 3 : attribute % 3);
            document.image(image, fill(form, word_of(image.scene.objects[0], kAttributes[kind])));
        }
    }
}

// Tells a story: "the zorp saw a red circle ." and other events.
void write_story(InterleavedDocument& document, const Pool& pool, const Facts& facts,
                 WorldRandom& random) {
    for (int left = random.between(3, 4); left > 0; --left) {
        const std::string creature(random.pick(kCreatures));
        const double kind = random.uniform();
        const SceneImage& image = kind < .5 ? pool.one_object(random) : pool.several(random);
        const Object& object = image.scene.objects[0];
        const auto count = static_cast<size_t>(image.scene.count() - 1);
        if (kind < .5)
            document.image(image, "the " + creature + " saw a " +
                                      word_of(object, Attribute::Color) + " " +
                                      word_of(object, Attribute::Shape) + " .");
        else if (kind < .75)
            document.image(image, "then the " + creature + " saw " + std::string(kCounts[count]) +
                                      " objects .");
        else
            document.image(image, "a nice day .");
        document.sentence(some_fact(facts, random));
    }
}

}  // namespace

void write_interleaved(const WorldOptions& options, const Pool& pool, const Facts& facts,
                       const std::filesystem::path& out) {
    WorldRandom random(options.seed, "interleaved");
    LineWriter file(out / "interleaved.jsonl");
    for (int row = 0; row < options.interleaved; ++row) {
        InterleavedDocument document;
        const double kind = random.uniform();
        if (kind < .20)
            write_labels(document, pool, random);
        else if (kind < .75)
            write_recurring(document, pool, random);
        else
            write_story(document, pool, facts, random);
        file.line(document.json(row));
    }
    file.close();
}

}  // namespace vila::data
