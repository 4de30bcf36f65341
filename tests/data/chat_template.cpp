// Compares every template with the exact string of the original, with targets in [brackets].

#include "data/text/chat_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using Ids = std::vector<int32_t>;

const std::vector<Message> kTwoTurns = {{Role::User, "<image>\nWhat?"},
                                        {Role::Assistant, "A dog."},
                                        {Role::User, "Sure?"},
                                        {Role::Assistant, "Yes."}};
const std::vector<Message> kQuestion = {{Role::User, "<image>\nWhat?"}};

// Returns segments as one line: (bos), (eos), (image), tokens as spelled, targets in brackets.
std::string shown(const std::vector<Segment>& segments) {
    std::string text;
    bool target = false;
    for (const Segment& segment : segments) {
        if (segment.is_target != target) text += segment.is_target ? "[" : "]";
        target = segment.is_target;
        switch (segment.kind) {
            case Segment::Kind::Text:
            case Segment::Kind::Markup:
                text += segment.text;
                break;
            case Segment::Kind::Token:
                text += segment.text;
                break;
            case Segment::Kind::Bos:
                text += "(bos)";
                break;
            case Segment::Kind::Eos:
                text += "(eos)";
                break;
            case Segment::Kind::Image:
                text += "(image)";
                break;
        }
    }
    return text + (target ? "]" : "");
}

std::string training(const char* name, const std::vector<Message>& messages = kTwoTurns) {
    return shown(ChatTemplate::named(name).render(messages));
}

std::string prompt(const char* name, const std::vector<Message>& messages = kQuestion) {
    return shown(ChatTemplate::named(name).render(messages, true));
}

TEST(ChatTemplate, Plain) {
    const std::vector<Message> pair = {{Role::User, "Describe. <image>"},
                                       {Role::Assistant, "a red circle"}};
    EXPECT_EQ(training("plain", pair), "(bos)(image)[a red circle\n]");
    EXPECT_EQ(prompt("plain"), "(bos)(image)");
    EXPECT_EQ(training("plain", {{Role::User, "<image><image>"}, {Role::Assistant, "two"}}),
              "(bos)(image)(image)[two\n]");
    EXPECT_EQ(message_of([] { training("plain"); }),
              "template plain takes one caption, got 2 turns");
    EXPECT_TRUE(ChatTemplate::named("plain").is_plain());
    EXPECT_FALSE(ChatTemplate::named("qa").is_plain());
}

TEST(ChatTemplate, Vicuna) {
    const std::string system =
        "A chat between a curious user and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the user's questions.";
    const std::string turns =
        " USER: (image)\nWhat? ASSISTANT:[ A dog.(eos)]USER: Sure? ASSISTANT:[ Yes.(eos)]";
    EXPECT_EQ(training("vicuna_v1"), "(bos)" + system + turns);
    EXPECT_EQ(training("vicuna_v1_nosys"), "(bos)" + turns);
    EXPECT_EQ(prompt("vicuna_v1"), "(bos)" + system + " USER: (image)\nWhat? ASSISTANT:");
    EXPECT_EQ(training("llava_v1"),
              "(bos)A chat between a curious human and an artificial intelligence assistant. The "
              "assistant gives helpful, detailed, and polite answers to the human's questions." +
                  turns);
    std::vector<Message> own = kTwoTurns;
    own.insert(own.begin(), {Role::System, "Be brief."});
    EXPECT_EQ(training("vicuna_v1", own), "(bos)Be brief." + turns);
}

TEST(ChatTemplate, Llama2) {
    const std::string system =
        "You are a helpful language and vision assistant. You are able to understand the visual "
        "content that the user provides, and assist the user with a variety of tasks using natural "
        "language.";
    EXPECT_EQ(training("llava_llama_2"),
              "(bos)[INST] <<SYS>>\n" + system +
                  "\n<</SYS>>\n\n(image)\nWhat? [/INST][ A dog. (eos)](bos)[INST] Sure? [/INST][ "
                  "Yes. (eos)]");
    EXPECT_EQ(prompt("llava_llama_2"),
              "(bos)[INST] <<SYS>>\n" + system + "\n<</SYS>>\n\n(image)\nWhat? [/INST]");
    EXPECT_EQ(prompt("llama_2", {{Role::System, ""}, {Role::User, "Hi"}}),
              "(bos)[INST] Hi [/INST]");
    EXPECT_TRUE(prompt("llama_2").starts_with(
        "(bos)[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant. Always answer "));
}

TEST(ChatTemplate, Llama3InBothVersions) {
    const auto header = [](const std::string& role) {
        return "<|start_header_id|>" + role + "<|end_header_id|>\n\n";
    };
    const std::string system =
        "(bos)<|begin_of_text|>" + header("system") +
        "You are a helpful language and vision assistant. You are able to understand the visual "
        "content that the user provides, and assist the user with a variety of tasks using natural "
        "language.";
    EXPECT_EQ(training("llama_3"), system + "<|eot_id|>" + header("user") +
                                       "(image)\nWhat?<|eot_id|>" + header("assistant") +
                                       "[A dog.<|eot_id|>]" + header("user") + "Sure?<|eot_id|>" +
                                       header("assistant") + "[Yes.<|end_of_text|>]");
    EXPECT_EQ(prompt("llama_3"), system + "<|eot_id|>" + header("user") +
                                     "(image)\nWhat?<|eot_id|>" + header("assistant"));
    EXPECT_EQ(training("llama_3_system"),
              system + "<|end_of_text|>" + header("user") + "(image)\nWhat?<|end_of_text|>" +
                  header("system") + "[A dog.<|end_of_text|>]" + header("user") +
                  "Sure?<|end_of_text|>" + header("system") + "[Yes.<|end_of_text|>]");
}

TEST(ChatTemplate, ChatMl) {
    const std::string turns =
        "<|im_start|>user\n(image)\nWhat?<|im_end|><|im_start|>assistant\n[A dog.<|im_end|>]"
        "<|im_start|>user\nSure?<|im_end|><|im_start|>assistant\n[Yes.<|im_end|>]";
    for (const char* name : {"hermes-2", "chatml", "chatml_direct"})
        EXPECT_EQ(training(name),
                  "(bos)<|im_start|>system\nAnswer the questions.<|im_end|>" + turns);
    EXPECT_EQ(training("mpt"),
              "(bos)<|im_start|>system\nA conversation between a user and an LLM-based AI "
              "assistant. The assistant gives helpful and honest answers.<|im_end|>" +
                  turns);
    EXPECT_EQ(prompt("hermes-2"),
              "(bos)<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n(image)\n"
              "What?<|im_end|><|im_start|>assistant\n");
}

TEST(ChatTemplate, Qwen2) {
    EXPECT_EQ(training("qwen2"),
              "(bos)<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"
              "<|im_start|>user\n(image)\nWhat?<|im_end|>\n"
              "<|im_start|>assistant\n[A dog.<|im_end|>]\n"
              "<|im_start|>user\nSure?<|im_end|>\n"
              "<|im_start|>assistant\n[Yes.<|im_end|>]\n");
    EXPECT_EQ(prompt("qwen2"),
              "(bos)<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"
              "<|im_start|>user\n(image)\nWhat?<|im_end|>\n<|im_start|>assistant\n");
}

std::vector<Message> messages_of(const nlohmann::json& turns) {
    std::vector<Message> messages;
    for (const auto& turn : turns)
        messages.push_back({turn[0] == "system" ? Role::System
                            : turn[0] == "user" ? Role::User
                                                : Role::Assistant,
                            turn[1]});
    return messages;
}

// The goldens were made by make_template_goldens.py with the templates of Llama 2, Llama 3 and
// Qwen2.
TEST(ChatTemplate, TextEqualsPublishedTemplates) {
    const auto cases =
        nlohmann::json::parse(read_file(VILA_SOURCE_DIR "/tests/goldens/chat_templates.json"));
    for (const auto& golden : cases) {
        const std::string name = golden["template"];
        std::string text;
        for (const Segment& segment : ChatTemplate::named(name).render(
                 messages_of(golden["messages"]), golden["generates"])) {
            if (segment.kind == Segment::Kind::Image) text += kImagePlaceholder;
            // Qwen2 has no beginning of sequence; the template of Llama 3 contains its own.
            if (segment.kind == Segment::Kind::Bos && name == "llama_2") text += golden["bos"];
            if (segment.kind == Segment::Kind::Eos) text += golden["eos"];
            text += segment.text;
        }
        std::string expected = golden["text"];
        const std::string last = "<|eot_id|>";  // VILA writes another token instead
        if (name == "llama_3" && expected.ends_with(last))
            expected.replace(expected.size() - last.size(), last.size(), "<|end_of_text|>");
        EXPECT_EQ(text, expected) << name;
    }
}

TEST(ChatTemplate, QuestionAndAnswer) {
    EXPECT_EQ(training("qa"),
              "(bos)question :(image) What? answer :[ A dog. .] question : Sure? answer :[ Yes. "
              ".(eos)]");
    EXPECT_EQ(prompt("qa"), "(bos)question :(image) What? answer :");
}

TEST(ChatTemplate, PromptEndsWhereTheAnswerBeginsInTraining) {
    for (const std::string& name : ChatTemplate::names()) {
        const ChatTemplate chat = ChatTemplate::named(name);
        EXPECT_EQ(chat.name(), name);
        std::vector<Segment> whole = chat.render(std::vector<Message>{
            {Role::User, "<image>\nWhat is it?"}, {Role::Assistant, "It is a dog"}});
        const std::vector<Segment> start = chat.render(kQuestion, true);
        size_t first_target = 0;
        while (!whole[first_target].is_target) ++first_target;
        ASSERT_EQ(start.size(), first_target) << name;
        for (size_t i = 0; i + 1 < start.size(); ++i) EXPECT_EQ(start[i].kind, whole[i].kind);
    }
}

TEST(ChatTemplate, ErrorsNameTheExpectation) {
    const std::string unknown = message_of([] { ChatTemplate::named("vicuna"); });
    EXPECT_TRUE(unknown.starts_with("unknown chat template \"vicuna\": expected plain, "));
    for (const std::string& name : ChatTemplate::names())
        EXPECT_NE(unknown.find(name), std::string::npos);
    EXPECT_EQ(message_of([] { training("qa", {}); }), "the conversation has no turns");
    EXPECT_EQ(message_of([] { training("qa", kQuestion); }),
              "the conversation ends with a question: expected an answer");
    EXPECT_EQ(message_of([] { prompt("qa", kTwoTurns); }),
              "the conversation ends with an answer: expected a question");
    EXPECT_EQ(message_of([] {
                  training("qa", {{Role::Assistant, "Hi"}, {Role::User, "?"}});
              }),
              "turn 1 of the conversation: expected the user (turns alternate, the user's first)");
    EXPECT_EQ(message_of([] {
                  training("qa", {{Role::User, "?"}, {Role::System, "Hi"}});
              }),
              "turn 2 of the conversation: expected the assistant (turns alternate, the user's "
              "first)");
}

std::string shown(const TokenizedText& encoded, const Tokenizer& tokenizer) {
    return shown(encoded.ids, encoded.labels, tokenizer);
}

TEST(Message, PlaceholdersGoInFrontOfTheFirstUserMessage) {
    std::vector<Message> messages = {
        {Role::System, "s"}, {Role::User, "a"}, {Role::Assistant, "b"}, {Role::User, "c"}};
    EXPECT_TRUE(prepend_placeholders(2, messages));
    EXPECT_EQ(messages[0].text, "s");
    EXPECT_EQ(messages[1].text, "<image>\n<image>\na");
    EXPECT_EQ(messages[3].text, "c");
    EXPECT_EQ(count_placeholders(messages[1].text), 2);
    messages.resize(1);
    EXPECT_FALSE(prepend_placeholders(1, messages));
    EXPECT_EQ(role_named("assistant"), Role::Assistant);
    EXPECT_EQ(role_named("gpt"), std::nullopt);
}

TEST(ChatTemplate, EncodesIdsAndLabelsTogether) {
    const auto tokenizer = byte_tokenizer();
    const auto segments = ChatTemplate::named("vicuna_v1_nosys").render(kTwoTurns);
    EXPECT_EQ(shown(encode_segments(segments, *tokenizer), *tokenizer),
              "<s> USER: (image)\nWhat? ASSISTANT:[ A dog.</s>]USER: Sure? ASSISTANT:[ Yes.</s>]");
    BpeTraining without_bos;
    without_bos.add_bos = false;
    const auto bare = byte_tokenizer(without_bos);
    EXPECT_EQ(shown(encode_segments(segments, *bare), *bare),
              " USER: (image)\nWhat? ASSISTANT:[ A dog.</s>]USER: Sure? ASSISTANT:[ Yes.</s>]");
}

TEST(ChatTemplate, SpecialTokensInMessagesAreText) {
    const auto tokenizer = byte_tokenizer();
    const auto segments =
        ChatTemplate::named("vicuna_v1_nosys")
            .render(std::vector<Message>{{Role::User, "</s>"}, {Role::Assistant, "<s>"}});
    const Ids ids = encode_segments(segments, *tokenizer).ids;
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 0), 1);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 1);
}

TEST(ChatTemplate, FirstLabelIsNeverATarget) {
    BpeTraining without_bos;
    without_bos.add_bos = false;
    const auto tokenizer = byte_tokenizer(without_bos);
    const std::vector<Segment> segments = {{Segment::Kind::Text, "ab", true}};
    const TokenizedText encoded = encode_segments(segments, *tokenizer);
    EXPECT_EQ(encoded.labels[0], kIgnoreLabel);
    EXPECT_EQ(encoded.labels[1], encoded.ids[1]);
    EXPECT_TRUE(encode_segments({}, *tokenizer).ids.empty());
}

TEST(ChatTemplate, EncodesAdjacentTextsAsOne) {
    BpeTraining training;
    training.vocab_size = 260;
    const auto tokenizer = train_bpe(std::vector<std::string>{"abab abab"}, training);
    const std::vector<Segment> cut = {{Segment::Kind::Text, "a", false},
                                      {Segment::Kind::Text, "b", false},
                                      {Segment::Kind::Text, "a", true},
                                      {Segment::Kind::Text, "b", true}};
    EXPECT_EQ(encode_segments(cut, *tokenizer).ids.size(), 2u);
    const std::vector<Segment> mixed = {{Segment::Kind::Text, "a", false},
                                        {Segment::Kind::Text, "b", true}};
    EXPECT_EQ(encode_segments(mixed, *tokenizer).ids.size(), 2u) << "not merged across the mask";
}

TEST(ChatTemplate, NamesMissingTokens) {
    const auto tokenizer = byte_tokenizer();
    EXPECT_EQ(message_of([&] {
                  encode_segments(ChatTemplate::named("qwen2").render(kTwoTurns), *tokenizer);
              }),
              "the chat template needs the token \"<|im_start|>\", which the tokenizer does not "
              "have: use another template");
    BpeTraining without_eos;
    without_eos.eos = "";
    const auto endless = byte_tokenizer(without_eos);
    EXPECT_EQ(
        message_of([&] { encode_segments(ChatTemplate::named("qa").render(kTwoTurns), *endless); }),
        "the tokenizer names no end of sequence: set eos_token in tokenizer_config.json to a token "
        "of the vocabulary");
}

TEST(ChatTemplate, StopIds) {
    BpeTraining training;
    training.special_tokens = {"<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>"};
    const auto tokenizer = byte_tokenizer(training);
    EXPECT_EQ(ChatTemplate::named("vicuna_v1").stop_ids(*tokenizer), Ids{1});
    EXPECT_EQ(ChatTemplate::named("qwen2").stop_ids(*tokenizer), (Ids{1, 3}));
    EXPECT_EQ(ChatTemplate::named("llama_3").stop_ids(*tokenizer), (Ids{1, 4}));
    training.special_tokens = {"<s>", "</s>", "\u0120."};
    EXPECT_EQ(ChatTemplate::named("qa").stop_ids(*byte_tokenizer(training)), (Ids{1, 2}));
}

TEST(ChatTemplate, RawPromptsParseTokensAndImages) {
    const auto tokenizer = byte_tokenizer();
    const TokenizedText raw = encode_prompt("<image>a</s>b<image><image>", *tokenizer);
    EXPECT_EQ(shown(raw, *tokenizer), "<s>(image)a</s>b(image)(image)");
    EXPECT_EQ(std::count(raw.ids.begin(), raw.ids.end(), 1), 1);
    EXPECT_EQ(encode_prompt("", *tokenizer).ids, Ids{0});
}

}  // namespace
}  // namespace vila::data
