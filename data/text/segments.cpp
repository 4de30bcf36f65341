#include "data/text/segments.h"

#include "tensor/check.h"

namespace vila::data {

namespace {

// Appends ids and labels, and tracks the place of the next text.
class SegmentEncoder {
  public:
    explicit SegmentEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

    void text(std::string_view text, bool is_target, bool has_markup) {
        // In a published template the image is a token, so the text after it follows a token.
        if (has_markup && after_image_) place_ = TextPlace::AfterToken;
        after_image_ = false;
        const EncodeOptions options{.parse_added_tokens = has_markup, .place = place_};
        const std::vector<int32_t> ids = tokenizer_.encode(text, options);
        for (const int32_t id : ids) put(id, is_target);
        const bool ends_with_token =
            has_markup && !ids.empty() && tokenizer_.is_special(ids.back());
        place_ = ends_with_token ? TextPlace::AfterToken : TextPlace::Continues;
    }
    void bos() {
        if (!tokenizer_.adds_bos()) return;
        // Text after the very first token still begins the sequence.
        place_ = out_.ids.empty() ? TextPlace::Start : TextPlace::AfterToken;
        put(tokenizer_.bos_id().value(), false);
    }
    void eos(bool is_target) {
        VILA_CHECK(tokenizer_.eos_id().has_value(),
                   "the tokenizer names no end of sequence: set eos_token in "
                   "tokenizer_config.json to a token of the vocabulary");
        put(*tokenizer_.eos_id(), is_target);
        place_ = TextPlace::AfterToken;
    }
    void token(std::string_view spelling, bool is_target) {
        const auto id = tokenizer_.token_to_id(spelling);
        VILA_CHECK(id.has_value(), "the chat template needs the token \"", spelling,
                   "\", which the tokenizer does not have: use another template");
        put(*id, is_target);
        place_ = TextPlace::AfterToken;
    }
    void image() {
        put(kImageToken, false);
        place_ = TextPlace::Start;
        after_image_ = true;
    }
    TokenizedText take() {
        if (!out_.labels.empty()) out_.labels[0] = kIgnoreLabel;
        return std::move(out_);
    }

  private:
    void put(int32_t id, bool is_target) {
        out_.ids.push_back(id);
        out_.labels.push_back(is_target ? id : kIgnoreLabel);
    }

    const Tokenizer& tokenizer_;
    TextPlace place_ = TextPlace::Start;
    bool after_image_ = false;
    TokenizedText out_;
};

}  // namespace

int64_t count_placeholders(std::string_view text) {
    int64_t count = 0;
    for (size_t at = text.find(kImagePlaceholder); at != std::string_view::npos;
         at = text.find(kImagePlaceholder, at + kImagePlaceholder.size()))
        ++count;
    return count;
}

std::string remove_placeholders(std::string text) {
    for (size_t at; (at = text.find(kImagePlaceholder)) != std::string::npos;)
        text.erase(at, kImagePlaceholder.size());
    return text;
}

std::string prepend_placeholders(int64_t images, std::string_view text) {
    std::string front;
    for (int64_t i = 0; i < images; ++i) front.append(kImagePlaceholder).append("\n");
    return front.append(text);
}

TokenizedText encode_segments(std::span<const Segment> segments, const Tokenizer& tokenizer) {
    SegmentEncoder encoder(tokenizer);
    for (size_t i = 0; i < segments.size(); ++i) {
        const Segment& segment = segments[i];
        switch (segment.kind) {
            case Segment::Kind::Text:
            case Segment::Kind::Markup: {
                std::string text = segment.text;
                while (i + 1 < segments.size() && segments[i + 1].kind == segment.kind &&
                       segments[i + 1].is_target == segment.is_target)
                    text += segments[++i].text;
                encoder.text(text, segment.is_target, segment.kind == Segment::Kind::Markup);
                break;
            }
            case Segment::Kind::Bos:
                encoder.bos();
                break;
            case Segment::Kind::Eos:
                encoder.eos(segment.is_target);
                break;
            case Segment::Kind::Token:
                encoder.token(segment.text, segment.is_target);
                break;
            case Segment::Kind::Image:
                encoder.image();
                break;
        }
    }
    return encoder.take();
}

TokenizedText encode_prompt(std::string_view prompt, const Tokenizer& tokenizer) {
    TokenizedText out;
    if (tokenizer.adds_bos()) out.ids.push_back(tokenizer.bos_id().value());
    while (true) {
        const size_t at = prompt.find(kImagePlaceholder);
        const EncodeOptions options{.parse_added_tokens = true};
        for (const int32_t id : tokenizer.encode(prompt.substr(0, at), options))
            out.ids.push_back(id);
        if (at == std::string_view::npos) break;
        out.ids.push_back(kImageToken);
        prompt.remove_prefix(at + kImagePlaceholder.size());
    }
    out.labels.assign(out.ids.size(), kIgnoreLabel);
    return out;
}

}  // namespace vila::data
