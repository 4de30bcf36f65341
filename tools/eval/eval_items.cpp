#include "tools/eval/eval_items.h"

#include <map>

#include "data/records/json_record.h"
#include "tensor/check.h"
#include "tensor/json.h"
#include "tools/base/json_lines.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// Reads a question or a demonstration. A demonstration without a text of its own has `text`.
EvalTurn turn_from_json(const Json& object, const fs::path& images, const std::string& text) {
    VILA_CHECK(data::find_field(object, {"answer"}) != nullptr,
               "a question or a demonstration has no \"answer\": expected a text or a list");
    EvalTurn turn;
    for (const std::string& image : image_names(object)) {
        VILA_CHECK(!image.empty(), "the name of an image is empty: expected a file name");
        turn.images.push_back((images / image).string());
    }
    const Json* own_text = data::find_field(object, {"text"});
    turn.text = own_text == nullptr ? text : data::text_field(object, {"text"});
    const auto answers = string_or_list(object, "answer");
    VILA_CHECK(!answers.empty(), "\"answer\" is an empty list");
    turn.answer = answers.front();
    return turn;
}

EvalItem item_from_json(const Json& object, const std::string& where, const fs::path& images,
                        const EvalItemOptions& options) {
    EvalItem item;
    item.where = where;
    VILA_CHECK(data::find_field(object, {"text"}) != nullptr,
               "a question has no \"text\": expected the text of the question");
    const bool has_id = data::find_field(object, {"question_id"}) != nullptr;
    item.question_id = has_id ? id_field(object, "question_id") : where;
    item.question = turn_from_json(object, images, "");
    item.answers = string_or_list(object, "answer");
    item.choices = string_or_list(object, "choices");
    const Json* given_shots = data::find_field(object, {"shots"});
    const Json shots = given_shots == nullptr ? Json::array() : *given_shots;
    VILA_CHECK(shots.is_array(), "\"shots\": expected a list, got ", shown(shots));
    VILA_CHECK(static_cast<int64_t>(shots.size()) >= options.shots, "has ", shots.size(),
               " demonstrations in \"shots\", but ", options.shots,
               " are requested; lower --shots");
    for (int64_t i = 0; i < options.shots; ++i)
        item.shots.push_back(
            turn_from_json(shots[static_cast<size_t>(i)], images, item.question.text));
    return item;
}

}  // namespace

std::vector<EvalItem> load_eval_items(const fs::path& data, const fs::path& images,
                                      const EvalItemOptions& options) {
    std::vector<EvalItem> items;
    for_each_json_line(data, [&](const Json& object, const std::string& where) {
        if (options.limit > 0 && static_cast<int64_t>(items.size()) >= options.limit) return;
        items.push_back(
            at_line(where, [&] { return item_from_json(object, where, images, options); }));
    });
    VILA_CHECK(!items.empty(), data.string(), ": contains no questions");
    return items;
}

std::vector<std::string> load_predictions(const fs::path& path,
                                          const std::vector<EvalItem>& items) {
    std::map<std::string, const EvalItem*> questions;
    for (const EvalItem& item : items) {
        const auto [other, is_new] = questions.emplace(item.question_id, &item);
        VILA_CHECK(is_new, item.where, ": question_id ", item.question_id, " is that of ",
                   other->second->where, ", too: predictions need one id for each question");
    }
    std::map<std::string, std::string> by_id;
    int64_t unasked = 0;
    for_each_json_line(path, [&](const Json& object, const std::string& where) {
        at_line(where, [&] {
            const std::string id = id_field(object, "question_id");
            const bool is_new = by_id.emplace(id, data::text_field(object, {"text"})).second;
            VILA_CHECK(is_new, "a second prediction for question_id ", id);
            unasked += !questions.contains(id);
        });
    });
    std::vector<std::string> predictions;
    for (const EvalItem& item : items) {
        const auto found = by_id.find(item.question_id);
        VILA_CHECK(found != by_id.end(), path.string(), ": no prediction for question_id ",
                   item.question_id, " of ", item.where);
        predictions.push_back(found->second);
    }
    if (unasked > 0)
        std::fprintf(stderr, "%s: %lld predictions answer none of the questions\n", path.c_str(),
                     static_cast<long long>(unasked));
    return predictions;
}

}  // namespace vila::tools
