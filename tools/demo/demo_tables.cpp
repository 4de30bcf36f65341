#include "tools/demo/demo_tables.h"

#include <iterator>

#include "tensor/json.h"

namespace vila::tools {

namespace {

// Tasks with images whose question states which attribute is asked for.
constexpr const char* kOrdinaryTasks[] = {"color", "shape", "count", "position", "size", "caption"};
// The task whose question is "what is it ?"; only the demonstrations tell which property to name.
constexpr const char* kPropertyTask = "property";

Json image_table(const Json& results) {
    Json rows = Json::array();
    const auto add_row = [&](const std::string& label, const Json& entry) {
        rows.push_back({label, entry.at("zero_shot"), entry.at("four_shot"), entry.at("blind"),
                        entry.value("unbound", Json()), entry.value("chance", Json())});
    };
    for (const char* task : kOrdinaryTasks) add_row(task, results.at("tasks").at(task));
    add_row("mean of these six", results.at("means"));
    add_row("what is it? (in context)", results.at("tasks").at(kPropertyTask));
    return {{"title",
             "Held-out questions about images, exact match. Blind: the same model without "
             "image features. Unbound: the attribute of a random object of the scene."},
            {"columns", {"task", "0-shot", "4-shot", "blind", "unbound", "chance"}},
            {"rows", rows}};
}

Json text_table(const Json& results) {
    Json rows = Json::array();
    for (const auto& [name, entry] : results.at("text_tasks").items())
        rows.push_back({name, entry.at("zero_shot"), entry.at("base"), entry.at("chance")});
    const Json& means = results.at("means");
    rows.push_back({"mean", means.at("text_zero_shot"), means.at("text_base"), Json()});
    return {{"title", "Held-out questions without images, exact match"},
            {"columns", {"task", "final model", "base language model", "chance"}},
            {"rows", rows}};
}

}  // namespace

Json demo_means(const Json& results) {
    Json means;
    for (const char* column : {"zero_shot", "four_shot", "blind"}) {
        double sum = 0.0;
        for (const char* task : kOrdinaryTasks)
            sum += results.at("tasks").at(task).at(column).get<double>();
        means[column] = sum / static_cast<double>(std::size(kOrdinaryTasks));
    }
    const Json& text = results.at("text_tasks");
    for (const char* column : {"zero_shot", "base"}) {
        double sum = 0.0;
        for (const auto& [name, entry] : text.items()) sum += entry.at(column).get<double>();
        means[std::string("text_") + column] = sum / static_cast<double>(text.size());
    }
    return means;
}

Json demo_tables(const Json& results) {
    return Json::array({image_table(results), text_table(results)});
}

}  // namespace vila::tools
