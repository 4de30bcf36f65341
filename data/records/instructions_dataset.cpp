// Reads instructions without images: {question, answer}, {instruction, input, output} or a
// conversation.

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

class InstructionsDataset final : public JsonDataset {
  public:
    using JsonDataset::JsonDataset;

  protected:
    Sample make(const Json& record, const TemplateContext& context) const override {
        std::vector<Message> messages = read_messages(record);
        place_images(messages, 0);
        return make_sample(context.chat.render(messages), {}, context);
    }

  private:
    static std::vector<Message> read_messages(const Json& record) {
        if (const auto* turns = find_field(record, {"messages", "conversations"}))
            return read_turns(*turns);
        // VILA's files have keys that end with a colon. A line end joins instruction and input, as
        // is usual for Alpaca's data.
        if (find_field(record, {"question", "question:"}) != nullptr)
            return {{Role::User, text_field(record, {"question", "question:"})},
                    {Role::Assistant, text_field(record, {"answer", "answer:"})}};
        VILA_CHECK(find_field(record, {"instruction"}) != nullptr,
                   "expected \"question\" and \"answer\", \"instruction\" and \"output\", or "
                   "\"messages\"");
        std::string question = text_field(record, {"instruction"});
        const auto* input = find_field(record, {"input"});
        if (input != nullptr && *input != "") question += "\n" + text_field(record, {"input"});
        return {{Role::User, question}, {Role::Assistant, text_field(record, {"output"})}};
    }
};

}  // namespace

std::unique_ptr<Dataset> open_instructions(const DatasetSource& source) {
    return open_json<InstructionsDataset>(source);
}

}  // namespace vila::data
