// Chat templates that are published with a model: the files that they are read from, the text that
// they render, and the targets in training.

#include "data/text/jinja_chat.h"

#include <gtest/gtest.h>

#include "data/text/chat_template.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

constexpr char kTurns[] =
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";
constexpr char kParts[] =
    "{% for m in messages %}{{ m.role | upper }}: {% for p in m.content %}{% if p.type == 'image' "
    "%}<image>\n"
    "{% else %}{{ p.text }}{% endif %}{% endfor %}</s>{% endfor %}{% if add_generation_prompt "
    "%}ASSISTANT: {% endif %}";

TokenizerFiles files_with(const std::string& source) {
    return {{"chat_template.jinja", source},
            {"tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}})"}};
}

std::shared_ptr<JinjaChat> chat_of(const std::string& source) {
    return JinjaChat::from_files(files_with(source), "DIR");
}

// Returns segments as text: targets in [brackets], (image) for an image.
std::string shown(const std::vector<Segment>& segments) {
    std::string text;
    bool target = false;
    for (const Segment& segment : segments) {
        if (segment.is_target != target) text += segment.is_target ? "[" : "]";
        target = segment.is_target;
        text += segment.kind == Segment::Kind::Image ? "(image)" : segment.text;
    }
    return text + (target ? "]" : "");
}

const std::vector<Message> kTalk = {{Role::System, "Be brief."},
                                    {Role::User, "<image>\nWhat?"},
                                    {Role::Assistant, "A dog."},
                                    {Role::User, "Sure?"},
                                    {Role::Assistant, "Yes."}};

TEST(JinjaChat, RendersPrompts) {
    EXPECT_EQ(shown(chat_of(kTurns)->render({{{Role::User, "Hi"}}}, true)),
              "<s><|user|>Hi<|end|><|assistant|>");
}

TEST(JinjaChat, AnswersAreTargets) {
    EXPECT_EQ(
        shown(chat_of(kTurns)->render(kTalk, false)),
        "<s><|system|>Be brief.<|end|><|user|>(image)\nWhat?<|end|><|assistant|>[A dog.<|end|>]"
        "<|user|>Sure?<|end|><|assistant|>[Yes.<|end|>]");
}

TEST(JinjaChat, GivesTemplatesThatReadPartsAListOfParts) {
    EXPECT_EQ(shown(chat_of(kParts)->render(kTalk, false)),
              "SYSTEM: Be brief.</s>USER: (image)\nWhat?</s>ASSISTANT: [A dog.</s>]USER: "
              "Sure?</s>ASSISTANT: [Yes.</s>]");
}

TEST(JinjaChat, RefusesToTrainOnTemplatesThatChangeEarlierTurns) {
    const auto chat = chat_of(
        "{% for m in messages %}{% if m.role == 'user' or loop.last %}{{ m.content }}|{% endif "
        "%}{% endfor %}");
    EXPECT_EQ(
        shown(chat->render({{{Role::User, "a"}, {Role::Assistant, "b"}, {Role::User, "c"}}}, true)),
        "a|c|");
    EXPECT_EQ(message_of([&] { chat->render(kTalk, false); }),
              "DIR/chat_template.jinja: the chat template changes earlier turns when an answer "
              "follows, so it cannot be "
              "trained on: use another with data.template");
}

TEST(JinjaChat, RefusesTemplatesThatDropAnImage) {
    const auto chat = chat_of(
        "{% for m in messages %}{{ m.content | replace('<image>', 'I') }}"
        "{% endfor %}");
    EXPECT_EQ(
        message_of([&] { chat->render(kTalk, false); }),
        "DIR/chat_template.jinja: <image> in the text of the chat template: expected 1, got 0");
}

// A template that takes text and parts, and marks images with tokens of its own.
constexpr char kMarked[] =
    "{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for p in m.content %}{% if p.type == 'image' %}<|vision_start|><|image_pad|>"
    "<|vision_end|>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}|{% endfor %}";

TEST(JinjaChat, PutsAnImageWhereTheTemplateWritesTheTokenOfTheModel) {
    const auto chat = chat_of(kMarked);
    EXPECT_EQ(chat->image_marker(), "<|vision_start|><|image_pad|><|vision_end|>");
    EXPECT_FALSE(chat->places_images());
    chat->set_image_token("<|image_pad|>");
    EXPECT_TRUE(chat->places_images());
    EXPECT_EQ(shown(chat->render(kTalk, false)),
              "system:Be brief.|user:<|vision_start|>(image)<|vision_end|>What?|[assistant:A dog.|]"
              "user:Sure?|[assistant:Yes.|]");
    EXPECT_EQ(shown(chat->render({{{Role::User, "a<image>\n<image>\nb"}}}, true)),
              "user:a<|vision_start|>(image)<|vision_end|><|vision_start|>(image)<|vision_end|>b|");
    EXPECT_EQ(message_of([&] {
                  chat->render({{{Role::User, "<|image_pad|>"}}}, true);
              }),
              "DIR/chat_template.jinja: <|image_pad|> in the text of the chat template: expected "
              "0, got 1");
}

TEST(JinjaChat, RefusesImagesWhoseMarkerIsNoTokenOfTheModel) {
    const auto chat = chat_of(kMarked);
    EXPECT_EQ(shown(chat->render({{{Role::User, "Hi"}}}, true)), "user:Hi|");
    const std::string refusal =
        "DIR/chat_template.jinja: the chat template writes "
        "\"<|vision_start|><|image_pad|><|vision_end|>\" for an image, and the model's config.json "
        "names no token of it as that of an image: set image_token_index there, or use another "
        "template with --template";
    EXPECT_EQ(message_of([&] { chat->render(kTalk, false); }), refusal);
    chat->set_image_token("<image_soft_token>");
    EXPECT_EQ(message_of([&] { chat->render(kTalk, false); }), refusal);
}

// The text around the marker may begin as the marker does.
TEST(JinjaChat, FindsMarkersBesideSimilarText) {
    const auto marker = [](const std::string& image) {
        return chat_of(
                   "{% for m in messages %}<|user|>{% for p in m.content %}{% if p.type == "
                   "'image' %}" +
                   image + "{% else %}<|text|>{{ p.text }}{% endif %}{% endfor %}{% endfor %}")
            ->image_marker();
    };
    EXPECT_EQ(marker("<|image|>"), "<|image|>");
    EXPECT_EQ(marker("[IMG]"), "[IMG]");
    EXPECT_EQ(marker("<image>\n"), "<image>\n");
    EXPECT_EQ(marker(""), "");
}

TEST(JinjaChat, FindsMarkersThatReplaceText) {
    const auto chat = chat_of(
        "{% for m in messages %}human:{% if m.content is string %} {{ m.content }}{% else %}"
        "{% for p in m.content %}{% if p.type == 'image' %}<image></image>{% else %}"
        "{% if loop.first %} {% endif %}{{ p.text }}{% endif %}{% endfor %}{% endif %}{% endfor "
        "%}");
    EXPECT_EQ(chat->image_marker(), "<image></image>");
    EXPECT_EQ(shown(chat->render({{{Role::User, "<image>\nWhat?"}}}, true)),
              "human:(image)</image>What?");
}

// A template without a place for images keeps them in the text.
TEST(JinjaChat, KeepsImagesInTextWhereTheTemplateDropsImageParts) {
    const auto chat = chat_of(
        "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
        "{{ m.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }}"
        "{% endif %}|{% endfor %}");
    EXPECT_EQ(shown(chat->render({{{Role::User, "<image>\nWhat?"}}}, true)), "(image)\nWhat?|");
}

// One that prints the list itself does not read parts.
TEST(JinjaChat, GivesTextToTemplatesThatPrintWhatTheyGet) {
    const auto chat = chat_of("{% for m in messages %}{{ m.content }}|{% endfor %}");
    EXPECT_EQ(chat->image_marker(), "");
    EXPECT_EQ(shown(chat->render({{{Role::User, "<image>\nWhat?"}}}, true)), "(image)\nWhat?|");
}

TEST(JinjaChat, TriesPartsIfTheTemplateRefusesText) {
    const auto chat = chat_of(
        "{% for m in messages %}{% if m.content is string %}{{ raise_exception('parts') }}"
        "{% endif %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}");
    EXPECT_EQ(shown(chat->render({{{Role::User, "Hi"}}}, true)), "Hi");
}

TEST(JinjaChat, NamesTheReasonWhereTheTemplateRefusesEveryQuestion) {
    EXPECT_EQ(message_of([] { chat_of("{{ messages[0].content }}{{ raise_exception('no') }}"); }),
              "DIR/chat_template.jinja line 1: the template refuses the conversation: no");
}

TEST(JinjaChat, RefusesTemplatesThatDropTheQuestion) {
    EXPECT_EQ(message_of([] { chat_of("USER: {{ messages | length }}"); }),
              "DIR/chat_template.jinja: the chat template does not print what the user says; use "
              "another with --template");
}

TEST(JinjaChat, ReadsTheNewestFileFirst) {
    const auto where = [](const TokenizerFiles& files) {
        return JinjaChat::from_files(files, "DIR")->where();
    };
    TokenizerFiles files = {{"tokenizer_config.json", Json{{"chat_template", kTurns}}.dump()}};
    EXPECT_EQ(where(files), "DIR/tokenizer_config.json");
    files["chat_template.json"] = Json{{"chat_template", kParts}}.dump();
    EXPECT_EQ(where(files), "DIR/chat_template.json");
    files["chat_template.jinja"] = kTurns;
    EXPECT_EQ(where(files), "DIR/chat_template.jinja");
}

TEST(JinjaChat, FindsNoneWhereThereIsNone) {
    EXPECT_EQ(JinjaChat::from_files({}, "DIR"), nullptr);
    EXPECT_EQ(
        JinjaChat::from_files({{"tokenizer_config.json", R"({"chat_template": null})"}}, "DIR"),
        nullptr);
}

TEST(JinjaChat, TakesTheDefaultOfNamedTemplates) {
    const auto config = [](const Json& entry) {
        return TokenizerFiles{{"tokenizer_config.json", Json{{"chat_template", entry}}.dump()}};
    };
    const Json two = {{{"name", "tool_use"}, {"template", "T{{ messages[0].content }}"}},
                      {{"name", "default"}, {"template", "D{{ messages[0].content }}"}}};
    const Message question{Role::User, "q"};
    EXPECT_EQ(shown(JinjaChat::from_files(config(two), "DIR")->render({&question, 1}, true)), "Dq");
    const Json none = {{{"name", "rag"}, {"template", "R"}},
                       {{"name", "tool_use"}, {"template", "T"}}};
    EXPECT_EQ(message_of([&] { JinjaChat::from_files(config(none), "DIR"); }),
              "DIR/tokenizer_config.json: field chat_template: expected a template, or several "
              "with one named default, got "
              "rag, tool_use");
    for (const Json& bad : {Json{{{"name", "default"}}}, Json{{{"name", 1}, {"template", "T"}}},
                            Json{{"default", 1}}, Json::array({1})})
        EXPECT_EQ(message_of([&] { JinjaChat::from_files(config(bad), "DIR"); }),
                  "DIR/tokenizer_config.json: field chat_template: expected names and templates as "
                  "text")
            << bad;
    EXPECT_EQ(message_of([&] { JinjaChat::from_files(config(7), "DIR"); }),
              "DIR/tokenizer_config.json: field chat_template: expected a template, or several "
              "with one named default, got 7");
}

TEST(JinjaChat, NamesTheFileOfASyntaxError) {
    EXPECT_EQ(message_of([] { chat_of("{{ messages"); }),
              "DIR/chat_template.jinja line 1: a tag does not end: expected }}");
}

// Returns the tokens and the texts that end an answer, the tokens first. The template ends an
// answer with `end`, and begins a question with `user`.
std::string stops_of(const std::string& end, const std::string& user) {
    BpeTraining training;
    training.special_tokens = {"<s>", "</s>", "<|end|>", "<|user|>", "<|assistant|>"};
    const auto tokenizer = byte_tokenizer(training);
    const ChatTemplate chat(chat_of("{% for m in messages %}{% if m.role == 'user' %}" + user +
                                    "{{ m.content }}<|assistant|>{% else %}{{ m.content }}" + end +
                                    "{% endif %}{% endfor %}"));
    std::string stops;
    for (const int32_t id : chat.stop_ids(*tokenizer)) stops += "(" + tokenizer->token(id) + ")";
    for (const std::string& text : chat.stop_texts(*tokenizer)) stops += "[" + text + "]";
    return stops;
}

TEST(ChatTemplate, StopsAtTheTokensAfterAnAnswer) {
    EXPECT_EQ(stops_of("<|end|>", "<|user|>"), "(</s>)(<|end|>)");
    EXPECT_EQ(stops_of(" </s>", "USER: "), "(</s>)");
    EXPECT_EQ(stops_of("<|end|>\n", "<|user|>"), "(</s>)(<|end|>)");
    EXPECT_EQ(stops_of(" END\n<|end|>\n<|user|>", "<|user|>"), "(</s>)(<|end|>)(<|user|>)");
    EXPECT_EQ(stops_of("", "\n<|user|>\n<|assistant|>"), "(</s>)(<|user|>)");
}

TEST(ChatTemplate, StopsAtTextWhereNoTokenEndsAnAnswer) {
    EXPECT_EQ(stops_of("<|eot_id|>", "<|user|>"), "(</s>)(<|user|>)[<|eot_id|>]");
    EXPECT_EQ(stops_of("<end_of_turn>\n", "USER: "), "(</s>)[<end_of_turn>]");
    EXPECT_EQ(stops_of("", "{{ '\\n\\nHuman: ' }}"), "(</s>)[\n\nHuman:]");
    EXPECT_EQ(stops_of("\n", "USER: "), "(</s>)[\nUSER:]");
    // Blanks alone are part of answers.
    EXPECT_EQ(stops_of("\n", ""), "(</s>)");
    EXPECT_EQ(stops_of("", ""), "(</s>)");
}

TEST(ChatTemplate, HasNoStopsOfItsOwnWhereTheTemplateRefusesAnswers) {
    BpeTraining training;
    training.special_tokens = {"<s>", "</s>"};
    const auto tokenizer = byte_tokenizer(training);
    const ChatTemplate chat(
        chat_of("{{ messages[0].content }}{% if messages | length > 1 %}"
                "{{ raise_exception('one question') }}{% endif %}"));
    EXPECT_EQ(chat.stop_ids(*tokenizer), (std::vector<int32_t>{1}));
    EXPECT_TRUE(chat.stop_texts(*tokenizer).empty());
    EXPECT_TRUE(ChatTemplate::named("vicuna_v1").stop_texts(*tokenizer).empty());
}

// Added tokens in the text of a published template become their ids, and no other token is put in
// front.
TEST(ChatTemplate, EncodesTheTokensOfAPublishedTemplate) {
    BpeTraining training;
    training.special_tokens = {"<s>", "</s>", "<|user|>", "<|end|>", "<|assistant|>"};
    const auto tokenizer = byte_tokenizer(training);
    const auto ids =
        encode_segments(ChatTemplate(chat_of(kTurns)).render({{{Role::User, "Hi"}}}, true),
                        *tokenizer)
            .ids;
    const auto id = [&](const char* token) { return tokenizer->token_to_id(token).value(); };
    EXPECT_EQ(ids, (std::vector<int32_t>{id("<s>"), id("<|user|>"), id("H"), id("i"), id("<|end|>"),
                                         id("<|assistant|>")}));
}

TEST(ChatTemplate, NonePassesTheTextOn) {
    const auto tokenizer = byte_tokenizer();
    const ChatTemplate none = ChatTemplate::named("none");
    EXPECT_TRUE(none.is_none());
    const auto text = [&](const std::vector<Message>& messages) {
        const auto encoded = encode_segments(none.render(messages, true), *tokenizer);
        return shown(encoded.ids, encoded.labels, *tokenizer);
    };
    EXPECT_NE(text({{Role::User, "one"}}), text({{Role::User, "two"}}));
    EXPECT_NE(text({{Role::User, "one"}}).find("one"), std::string::npos);
}

}  // namespace
}  // namespace vila::data
