// Fuzz target: reads any bytes as a tokenizer's file and a text. The file is refused with one line,
// or gives a tokenizer that works: it produces no id outside the vocabulary, and streaming gives
// the decoded text.
//
// The first byte of the input selects the file format (0: tokenizer.model, 1: tokenizer.json). A
// NUL line ("\n\0\n") separates the file from the text. Start from the files in
// tests/goldens/tokenizer_*/.

#include <cstdlib>
#include <string>

#include "data/text/tokenizer.h"
#include "tensor/check.h"

namespace {

using vila::data::Tokenizer;

void require(bool holds) {
    if (!holds) std::abort();
}

void use(const Tokenizer& tokenizer, std::string_view text) {
    for (const bool parses : {false, true}) {
        const auto ids = tokenizer.encode(text, {.parse_added_tokens = parses});
        vila::data::StreamingDecoder stream(tokenizer, false);
        std::string streamed;
        for (const int32_t id : ids) {
            require(id >= 0 && id < tokenizer.vocab_size());
            streamed += stream.push(id);
        }
        require(streamed + stream.finish() == tokenizer.decode(ids));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    constexpr std::string_view kDivider("\n\0\n", 3);
    const size_t divider = input.find(kDivider);
    const std::string file(input.substr(0, divider));
    const std::string_view text =
        divider == input.npos ? input.substr(0, 100) : input.substr(divider + kDivider.size());
    try {
        use(*vila::data::make_tokenizer(
                {{data[0] % 2 == 0 ? "tokenizer.model" : "tokenizer.json", file}}, "DIR"),
            text);
    } catch (const vila::Error& error) {
        require(std::string(error.what()).find('\n') == std::string::npos);
    }
    return 0;
}
