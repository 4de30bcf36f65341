#include "data/records/conversation.h"

#include <gtest/gtest.h>

#include <string>

#include "tensor/json.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

std::string placed(const std::string& text, int64_t images) {
    std::vector<Message> messages = {{Role::System, "be brief"}, {Role::User, text}};
    place_images(messages, images);
    return messages[1].text;
}

TEST(Conversation, PlacesImages) {
    EXPECT_EQ(placed("What?", 1), "<image>\nWhat?");
    EXPECT_EQ(placed("What?", 2), "<image>\n<image>\nWhat?");
    EXPECT_EQ(placed("<image>\nWhat?", 1), "<image>\nWhat?");
    EXPECT_EQ(placed("What?\n<image>", 1), "What? <image>") << "stripped after the image is placed";
    EXPECT_EQ(placed("<image>", 1), "<image>");
    EXPECT_EQ(placed("", 1), "<image>");
    EXPECT_EQ(placed("What?\n", 1), "<image>\nWhat?");
    EXPECT_EQ(placed("\u00a0What?\u00a0<image>\u2003\x1c", 1), "What? <image>")
        << "Python's white space";
    EXPECT_EQ(placed("\u200bWhat?<image>", 1), "\u200bWhat? <image>") << "not white space";
    EXPECT_EQ(placed("See  <image>  and\n<image>!", 2), "See <image>\nand <image>\n!");
    EXPECT_EQ(placed("<image><image>", 2), "<image>\n<image>");
    EXPECT_EQ(placed("a <image> tag", 0), "a <IMAGE> tag");
    std::vector<Message> later = {
        {Role::User, "Hi"}, {Role::Assistant, "Yes"}, {Role::User, "<image>And?"}};
    place_images(later, 1);
    EXPECT_EQ(later[0].text, "Hi");
    EXPECT_EQ(later[2].text, "<image>\nAnd?");
}

// A conversation is trained as it is written, or refused by its template.
TEST(Conversation, KeepsAnAnswerAfterALaterSystemTurn) {
    const std::vector<Message> messages = read_turns(parse_json(
        R"([{"role": "system", "content": "S"}, {"role": "assistant", "content": "stray"},
            {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"},
            {"role": "system", "content": "T"}, {"role": "assistant", "content": "B"}])",
        ""));
    std::string texts;
    for (const Message& message : messages) texts += message.text;
    EXPECT_EQ(texts, "SQATB");
    EXPECT_EQ(message_of([&] { ChatTemplate::named("qa").render(messages); }),
              "turn 3 of the conversation: expected the user (turns alternate, the user's first)");
}

}  // namespace
}  // namespace vila::data
