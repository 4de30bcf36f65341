#include "data/world/world.h"

#include <algorithm>
#include <cmath>

#include "data/world/corpora.h"
#include "data/world/evaluation.h"
#include "data/world/files.h"
#include "data/world/text.h"
#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::data {

namespace {

namespace fs = std::filesystem;

// ---- Text ----

// Writes mostly documents that teach a model to look back and copy, which it needs before it can
// learn the main mixture.
void write_warmup_text(const WorldOptions& options, const fs::path& out) {
    WorldRandom random(options.seed, "lm-warmup");
    LineWriter file(out / "lm-warmup.txt");
    const int words = options.document_words * 3 / 4;
    for (int document = 0; document < options.warmup_documents; ++document) {
        const double kind = random.uniform();
        file.line(kind < .60   ? recall_document(words, random)
                  : kind < .80 ? list_document(words, random)
                               : scene_document(words, random));
    }
    file.close();
}

void write_text(const std::string& name, int documents, const WorldOptions& options,
                const Facts& facts, const fs::path& out) {
    WorldRandom random(options.seed, name);
    LineWriter file(out / name);
    const int words = options.document_words;
    for (int document = 0; document < documents; ++document) {
        const double kind = random.uniform();
        file.line(kind < .15   ? fact_document(words, facts, random)
                  : kind < .40 ? list_document(words, random)
                  : kind < .52 ? recall_document(words, random)
                               : scene_document(words, random));
    }
    file.close();
}

// ---- Image-text pairs ----

template <typename Say>
void write_pairs(const std::string& name, int rows, const WorldOptions& options, const Pool& pool,
                 const fs::path& out, Say say) {
    WorldRandom random(options.seed, name);
    LineWriter file(out / name);
    std::vector<int> order;
    for (int row = 0; row < rows; ++row) {
        // Use every image once before using any twice.
        const int images = static_cast<int>(pool.images.size());
        if (row % images == 0) order = random.sample(images, images);
        const SceneImage& image =
            pool.images[static_cast<size_t>(order[static_cast<size_t>(row % images)])];
        file.line(Json{{"id", row}, {"image", image.file}, {"caption", say(image.scene, random)}});
    }
    file.close();
}

Json described(const WorldOptions& options, const Facts& facts, const Json& tasks) {
    Json known = Json::array();
    for (int fact = 0; fact < facts.size(); ++fact)
        known.push_back({{"question", facts.question(fact)},
                         {"answer", facts.answer(fact)},
                         {"in_documents", facts.in_documents(fact)}});
    return {{"seed", options.seed},
            {"train_images", options.train_single + options.train_multi},
            {"test_images", options.test_single + options.test_multi},
            {"image_side", kSceneSide},
            {"colors", kColors},
            {"shapes", kShapes},
            {"sizes", kSizes},
            {"positions", kPositions},
            {"counts", kCounts},
            {"tasks", tasks},
            {"facts", known}};
}

void write_everything(const WorldOptions& options, const fs::path& out,
                      const std::function<void()>& on_image) {
    const Facts facts(options.seed);
    const fs::path images = out / "images";
    const Pool train = make_pool("train", options.train_single, options.train_multi, options.seed,
                                 images, on_image);
    const Pool test =
        make_pool("test", options.test_single, options.test_multi, options.seed, images, on_image);
    write_warmup_text(options, out);
    write_text("lm.txt", options.documents, options, facts, out);
    write_text("lm-test.txt", std::max(1, options.documents / 100), options, facts, out);
    write_text_instructions(options, facts, out);
    const auto caption = [](const Scene& scene, WorldRandom&) { return full_caption(scene); };
    write_pairs("captions.jsonl", options.captions, options, train, out, caption);
    write_pairs("alt-text.jsonl", options.alt_texts, options, train, out, alt_text);
    write_pairs("referring.jsonl", options.referring_texts, options, train, out, referring_text);
    write_interleaved(options, train, facts, out);
    write_instructions(options, train, out);
    write_multi_instructions(options, train, out);
    if (options.word_images > 0) {
        write_word_instructions("words", options.word_images, options, out);
        write_word_instructions("words-test", options.word_images / 10, options, out);
    }
    const Json tasks = write_evaluations(options, train, test, facts, out / "eval");
    LineWriter file(out / "world.json");
    file.line(described(options, facts, tasks).dump(1));
    file.close();
}

}  // namespace

WorldOptions WorldOptions::scaled(double factor) const {
    WorldOptions scaled = *this;
    for (int WorldOptions::*size :
         {&WorldOptions::train_single, &WorldOptions::train_multi, &WorldOptions::test_single,
          &WorldOptions::test_multi, &WorldOptions::warmup_documents, &WorldOptions::documents,
          &WorldOptions::captions, &WorldOptions::alt_texts, &WorldOptions::referring_texts,
          &WorldOptions::interleaved, &WorldOptions::conversations,
          &WorldOptions::multi_conversations, &WorldOptions::text_instructions,
          &WorldOptions::questions})
        scaled.*size = std::max(1, static_cast<int>(std::lround(this->*size * factor)));
    scaled.word_images = static_cast<int>(std::lround(word_images * factor));
    return scaled;
}

void make_world(const WorldOptions& options, const fs::path& out,
                const std::function<void(int64_t done, int64_t total)>& on_image) {
    const int64_t total = int64_t{options.train_single} + options.train_multi +
                          options.test_single + options.test_multi;
    int64_t done = 0;
    AtomicDirectory directory(out);
    write_everything(options, directory.path(), [&] {
        ++done;
        if (on_image) on_image(done, total);
    });
    // Thousands of small files are not flushed to disk: the same seed makes them again.
    directory.commit(false);
}

}  // namespace vila::data
