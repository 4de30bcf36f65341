// The table of templates is at the end; the functions above it render one family of templates each.
// The strings equal those of LLaVA 1.5 and VILA, including every space.

#include "data/text/named_template.h"

#include <utility>

#include "data/text/trim.h"
#include "tensor/check.h"

namespace vila::data {

// A conversation as its system message and its turns, questions and answers in alternation.
struct Conversation {
    std::string system;
    std::vector<std::string> turns;  // even ones are the user's
    bool generates = false;          // the last turn is a question to be answered

    bool is_last(size_t turn) const { return turn + 1 == turns.size(); }
};

// Builds a list of segments. Splits images out of texts and joins adjacent texts of one kind.
class SegmentList {
  public:
    void add(Segment::Kind kind, std::string_view text, bool is_target) {
        const bool is_text = kind == Segment::Kind::Text || kind == Segment::Kind::Markup;
        if (is_text && text.empty()) return;
        const bool joins = is_text && !segments_.empty() && segments_.back().kind == kind &&
                           segments_.back().is_target == is_target;
        if (joins)
            segments_.back().text += text;
        else
            segments_.push_back({kind, std::string(text), is_target});
    }
    // Adds text of the template or of a message. A placeholder becomes an image, never a target.
    SegmentList& text(std::string_view text, bool is_target = false,
                      Segment::Kind kind = Segment::Kind::Text) {
        while (true) {
            const size_t at = text.find(kImagePlaceholder);
            add(kind, text.substr(0, at), is_target);
            if (at == std::string_view::npos) return *this;
            add(Segment::Kind::Image, "", false);
            text.remove_prefix(at + kImagePlaceholder.size());
        }
    }
    SegmentList& token(std::string_view spelling, bool is_target = false) {
        add(Segment::Kind::Token, spelling, is_target);
        return *this;
    }
    SegmentList& bos() {
        add(Segment::Kind::Bos, "", false);
        return *this;
    }
    SegmentList& eos() {
        add(Segment::Kind::Eos, "", true);
        return *this;
    }
    std::vector<Segment> take() { return std::move(segments_); }

  private:
    std::vector<Segment> segments_;
};

namespace {

bool is_question(size_t turn) {
    return turn % 2 == 0;
}

// "<image>caption\n": the question's text is dropped, its images stay.
void render_plain(const NamedTemplate& definition, const Conversation& conversation,
                  SegmentList& list) {
    VILA_CHECK(conversation.turns.size() <= 2, "template ", definition.name,
               " takes one caption, got ", conversation.turns.size() / 2, " turns");
    list.bos();
    const int64_t images = count_placeholders(conversation.turns[0]);
    for (int64_t i = 0; i < images; ++i) list.text(kImagePlaceholder);
    if (!conversation.generates) list.text(conversation.turns[1] + "\n", true);
}

// The texts without roles, each on a line of its own, for a model that was trained without a
// template.
void render_none(const NamedTemplate&, const Conversation& conversation, SegmentList& list) {
    list.bos();
    if (!conversation.system.empty())
        list.text(conversation.system + "\n", false, Segment::Kind::Markup);
    for (size_t turn = 0; turn < conversation.turns.size(); ++turn) {
        if (turn > 0) list.text("\n", false, Segment::Kind::Markup);
        list.text(conversation.turns[turn], !is_question(turn), Segment::Kind::Markup);
    }
    if (!conversation.generates) list.eos();
}

// "SYSTEM USER: question ASSISTANT: answer</s>USER: ..."
void render_vicuna(const NamedTemplate& definition, const Conversation& conversation,
                   SegmentList& list) {
    list.bos().text(conversation.system).text(" ");
    for (size_t turn = 0; turn < conversation.turns.size(); ++turn) {
        const std::string& text = conversation.turns[turn];
        if (is_question(turn))
            list.text(definition.user)
                .text(": ")
                .text(text)
                .text(" ")
                .text(definition.assistant)
                .text(":");
        else
            list.text(" ", true).text(text, true).eos();
    }
}

// "[INST] <<SYS>>\nSYSTEM\n<</SYS>>\n\nquestion [/INST] answer </s><s>[INST] ..."
void render_llama_2(const NamedTemplate&, const Conversation& conversation, SegmentList& list) {
    for (size_t turn = 0; turn < conversation.turns.size(); ++turn) {
        const std::string& text = conversation.turns[turn];
        if (!is_question(turn)) {
            list.text(" ", true).text(text, true).text(" ", true).eos();
            continue;
        }
        list.bos().text("[INST] ");
        if (turn == 0 && !conversation.system.empty())
            list.text("<<SYS>>\n").text(conversation.system).text("\n<</SYS>>\n\n");
        list.text(text).text(" [/INST]");
    }
}

// "<|im_start|>user\nquestion<|im_end|>...", with or without a line end after each <|im_end|>.
void render_chatml(const NamedTemplate& definition, const Conversation& conversation,
                   SegmentList& list) {
    const auto open = [&](std::string_view role) {
        list.token("<|im_start|>").text(role).text("\n");
    };
    list.bos();
    open("system");
    list.text(conversation.system).token("<|im_end|>").text(definition.end);
    for (size_t turn = 0; turn < conversation.turns.size(); ++turn) {
        const bool is_target = !is_question(turn);
        open(is_target ? "assistant" : "user");
        list.text(conversation.turns[turn], is_target);
        list.token("<|im_end|>", is_target).text(definition.end);
    }
    if (conversation.generates) open("assistant");
}

// "<|start_header_id|>user<|end_header_id|>\n\nquestion<|eot_id|>...". The template contains the
// beginning-of-text token. With a tokenizer that adds its own, the token comes twice, as in VILA.
void render_llama_3(const NamedTemplate& definition, const Conversation& conversation,
                    SegmentList& list) {
    const auto open = [&](std::string_view role) {
        list.token("<|start_header_id|>").text(role).token("<|end_header_id|>").text("\n\n");
    };
    list.bos().token("<|begin_of_text|>");
    open("system");
    list.text(conversation.system).token(definition.end);
    for (size_t turn = 0; turn < conversation.turns.size(); ++turn) {
        const bool is_target = !is_question(turn);
        open(is_target ? definition.assistant : definition.user);
        list.text(conversation.turns[turn], is_target);
        const bool ends = conversation.is_last(turn) && !conversation.generates;
        list.token(ends ? definition.last_end : definition.end, is_target);
    }
    if (conversation.generates) open(definition.assistant);
}

// Returns a question with one space before each part of its text, and none before an image.
std::string with_single_spaces(std::string_view question) {
    std::string spaced;
    while (true) {
        const size_t at = question.find(kImagePlaceholder);
        const std::string_view piece = trimmed(question.substr(0, at), " \t\r\n");
        if (!piece.empty()) spaced.append(" ").append(piece);
        if (at == std::string_view::npos) return spaced;
        spaced += kImagePlaceholder;
        question.remove_prefix(at + kImagePlaceholder.size());
    }
}

// "question : what is it ? answer : a dog ." in words of a tiny vocabulary. The full stop ends an
// answer if it is a token of its own.
void render_qa(const NamedTemplate&, const Conversation& conversation, SegmentList& list) {
    list.bos().text(conversation.system);
    for (size_t turn = 0; turn < conversation.turns.size(); ++turn) {
        const std::string& text = conversation.turns[turn];
        if (is_question(turn))
            list.text(turn == 0 && conversation.system.empty() ? "" : " ")
                .text("question :")
                .text(with_single_spaces(text))
                .text(" answer :");
        else
            list.text(" ", true).text(text, true).text(" .", true);
    }
    if (!conversation.generates) list.eos();
}

constexpr const char* kVicunaSystem =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions.";
constexpr const char* kLlavaSystem =
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions.";
constexpr const char* kLlama2System =
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, "
    "while being safe.  Your answers should not include any harmful, unethical, racist, sexist, "
    "toxic, dangerous, or illegal content. Please ensure that your responses are socially unbiased "
    "and positive in nature.\n\nIf a question does not make any sense, or is not factually "
    "coherent, "
    "explain why instead of answering something not correct. If you don't know the answer to a "
    "question, please don't share false information.";
constexpr const char* kLlavaLlama2System =
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content "
    "that the user provides, and assist the user with a variety of tasks using natural language.";
constexpr const char* kMptSystem =
    "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and "
    "honest answers.";

constexpr const char* kHermesSystem = "Answer the questions.";
constexpr const char* kQwenSystem = "You are a helpful assistant";

// Rows of one family differ in their words. llama_3_system is VILA 1.5's version of llama_3.
constexpr NamedTemplate kTemplates[] = {
    {"plain", "", render_plain, "", "", "", "", {}},
    {"none", "", render_none, "", "", "", "", {}},
    {"vicuna_v1", kVicunaSystem, render_vicuna, "USER", "ASSISTANT", "", "", {}},
    {"vicuna_v1_nosys", "", render_vicuna, "USER", "ASSISTANT", "", "", {}},
    {"llava_v1", kLlavaSystem, render_vicuna, "USER", "ASSISTANT", "", "", {}},
    {"llama_2", kLlama2System, render_llama_2, "", "", "", "", {}},
    {"llava_llama_2", kLlavaLlama2System, render_llama_2, "", "", "", "", {}},
    {"llama_3",
     kLlavaLlama2System,
     render_llama_3,
     "user",
     "assistant",
     "<|eot_id|>",
     "<|end_of_text|>",
     {"<|eot_id|>", "<|end_of_text|>"}},
    {"llama_3_system",
     kLlavaLlama2System,
     render_llama_3,
     "user",
     "system",
     "<|end_of_text|>",
     "<|end_of_text|>",
     {"<|end_of_text|>", ""}},
    {"chatml", kHermesSystem, render_chatml, "", "", "", "", {"<|im_end|>", ""}},
    {"chatml_direct", kHermesSystem, render_chatml, "", "", "", "", {"<|im_end|>", ""}},
    {"hermes-2", kHermesSystem, render_chatml, "", "", "", "", {"<|im_end|>", ""}},
    {"mpt", kMptSystem, render_chatml, "", "", "", "", {"<|im_end|>", ""}},
    {"qwen2", kQwenSystem, render_chatml, "", "", "\n", "", {"<|im_end|>", "<|endoftext|>"}},
    {"qa", "", render_qa, "", "", "", "", {"\u0120.", ""}},
};

Conversation take_apart(std::span<const Message> messages, const NamedTemplate& definition,
                        bool generation_prompt) {
    Conversation conversation;
    conversation.system = definition.system;
    conversation.generates = generation_prompt;
    if (!messages.empty() && messages[0].role == Role::System) {
        conversation.system = messages[0].text;
        messages = messages.subspan(1);
    }
    for (size_t i = 0; i < messages.size(); ++i) {
        const Role expected = is_question(i) ? Role::User : Role::Assistant;
        VILA_CHECK(
            messages[i].role == expected, "turn ", i + 1, " of the conversation: expected the ",
            expected == Role::User ? "user" : "assistant", " (turns alternate, the user's first)");
        conversation.turns.push_back(messages[i].text);
    }
    VILA_CHECK(!conversation.turns.empty(), "the conversation has no turns");
    VILA_CHECK((conversation.turns.size() % 2 == 1) == generation_prompt,
               generation_prompt ? "the conversation ends with an answer: expected a question"
                                 : "the conversation ends with a question: expected an answer");
    return conversation;
}

}  // namespace

std::span<const NamedTemplate> named_templates() {
    return kTemplates;
}

std::vector<Segment> render(const NamedTemplate& named, std::span<const Message> messages,
                            bool generation_prompt) {
    SegmentList list;
    named.render(named, take_apart(messages, named, generation_prompt), list);
    return list.take();
}

}  // namespace vila::data
