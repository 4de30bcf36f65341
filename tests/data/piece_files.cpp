// Tokenizer files that are truncated, damaged or use settings that are not implemented give a clear
// one-line error, or a working tokenizer.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "data/text/piece_format.h"
#include "data/text/sentencepiece_model.h"
#include "data/text/tokenizer.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using namespace std::string_literals;
using nlohmann::json;

std::string golden(const std::string& folder, const std::string& file) {
    return read_file(VILA_SOURCE_DIR "/tests/goldens/tokenizer_" + folder + "/" + file);
}

std::string load_message(const std::string& file, const std::string& content) {
    return message_of([&] { make_tokenizer({{file, content}}, "DIR"); });
}

// ---- Messages in the wire format of protobuf ----

std::string number_field(int field, uint64_t value) {
    std::string bytes(1, static_cast<char>(field << 3 & 0x7F));
    if (field > 15) {  // the key takes two bytes
        bytes[0] = static_cast<char>(bytes[0] | 0x80);
        bytes += static_cast<char>(field >> 4);
    }
    for (; value > 127; value >>= 7) bytes += static_cast<char>(value | 0x80);
    return bytes + static_cast<char>(value);
}

std::string text_field(int field, const std::string& text) {
    std::string bytes(1, static_cast<char>(field << 3 | 2));
    return bytes + number_field(0, text.size()).substr(1) + text;
}

std::string piece(const std::string& text, int type = 1) {
    return text_field(1, text_field(1, text) + number_field(3, static_cast<uint64_t>(type)));
}

// Returns a BPE model of <unk>, a, b, ab, followed by the given fields.
std::string small_model(const std::string& more = "", const std::string& trainer = "") {
    return piece("<unk>", 2) + piece("a") + piece("b") + piece("ab") + more +
           text_field(2, number_field(3, 2) + trainer);
}

TEST(SentencePieceModel, ReadsFields) {
    const SentencePieceModel model =
        read_sentencepiece_model(golden("llama2", "tokenizer.model"), "M");
    EXPECT_EQ(model.pieces.size(), 900u);
    EXPECT_EQ(model.pieces[1].text, "<s>");
    EXPECT_EQ(model.pieces[1].type, SentencePieceModel::Type::Control);
    EXPECT_EQ(model.pieces[13].type, SentencePieceModel::Type::Byte);
    EXPECT_EQ(model.pieces[259].score, -0.0f);
    EXPECT_EQ(model.pieces[260].score, -1.0f);
    EXPECT_EQ(model.algorithm, SentencePieceModel::Algorithm::Bpe);
    EXPECT_TRUE(model.byte_fallback);
    EXPECT_TRUE(model.add_dummy_prefix);
    EXPECT_FALSE(model.remove_extra_whitespaces);
    EXPECT_TRUE(model.charsmap.empty());
    EXPECT_FALSE(
        read_sentencepiece_model(golden("strict", "tokenizer.model"), "M").charsmap.empty());
    const SentencePieceModel small = read_sentencepiece_model(
        small_model() + number_field(19, 300) + text_field(9, "from a newer version"), "M");
    EXPECT_EQ(small.pieces.size(), 4u) << "unknown fields are skipped";
    EXPECT_TRUE(small.remove_extra_whitespaces) << "the default of an absent field";
}

TEST(SentencePieceModel, ErrorsNameTheFault) {
    struct Case {
        std::string content;
        const char* message;
    };
    const Case wrong[] = {
        {"", ": no pieces: not a SentencePiece model"},
        {"{\"model\": 1}", "wire type 3: not a SentencePiece model, or damaged"},
        {"\x00x"s, "field number 0 is not one of protobuf"},
        {"\x0A\x7F", "field 1 needs 127 bytes, but only 0 are left: the file is cut or damaged"},
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", "but only 0 are left"},
        {"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", "a number has more than 64 bits"},
        {"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", "a number has more than 64 bits"},
        {number_field(1, 5), "field 1 is a varint: expected a string"},
        {text_field(1, number_field(1, 5)), "piece 0: field 1 is a varint: expected a string"},
        {text_field(1, text_field(1, "a") + text_field(2, "abcd")),
         "piece 0: field 2 is a string: expected 4 bytes"},
        {text_field(1, text_field(1, "a") + "\x15\x00\x00\xC0\x7F"s),
         "piece 0: its score is not a number"},
        {piece("a", 7), "piece 0: its type is 7: expected 1 to 6"},
        {piece(""), "piece 0 has no text"},
        {text_field(2, number_field(3, 9)), "trainer_spec has model_type 9: expected 1 to 4"},
        {piece("a"), ": a unigram model: only BPE is supported"},
        {piece("a") + text_field(2, number_field(3, 3)), ": a word model: only BPE is supported"},
        {piece("a") + text_field(2, number_field(3, 2)), ": no unknown piece"},
        {small_model(piece("a")), ": pieces 1 and 4 are both \"a\""},
        {small_model(piece("<u>", 2)), ": pieces 0 and 4 are both the unknown piece"},
        {small_model(piece("\xFF")), ": piece 4 is not valid UTF-8"},
        {small_model(piece(std::string(2000, 'x'))), ": piece 4 has 2000 bytes: at most 1024"},
        {small_model(piece("<0x41>", 6)), ": piece 4 is a byte, but byte_fallback is off"},
        {small_model(piece("0x41", 6), number_field(35, 1)),
         ": piece 4 is a byte spelled \"0x41\": expected <0x00> to <0xFF>"},
        {small_model(piece("<0x00>", 6), number_field(35, 1)), ": no piece for the byte 1"},
        {small_model("", number_field(24, 1)),
         ": treat_whitespace_as_suffix is set: not supported"},
        {small_model(text_field(3, number_field(5, 0))),
         ": escape_whitespaces is off: not supported"},
        {small_model(text_field(5, text_field(2, "x"))),
         ": a denormalizer with a character map: not supported"},
        {small_model(text_field(3, text_field(2, "abc"))), ": the character map has 3 bytes"},
        {small_model(text_field(3, text_field(2, "\xFF\xFF\x00\x00x"s))),
         ": the character map says that its trie has 65535 of its 1 bytes"},
        {small_model(text_field(3, text_field(2, "\x04\x00\x00\x00xxxxy"s))),
         ": the last replacement of the character map does not end"},
    };
    for (const Case& entry : wrong) {
        const std::string message = load_message("tokenizer.model", entry.content);
        EXPECT_TRUE(message.starts_with("DIR/tokenizer.model: ")) << message;
        EXPECT_NE(message.find(entry.message), std::string::npos) << message;
    }
    EXPECT_EQ(load_message("tokenizer.model", small_model()), "no error");
}

// Loads a tokenizer and, if that works, uses it. Expects no crash, no id outside the vocabulary,
// and errors of one line.
void use(const TokenizerFiles& files, int64_t& loaded) {
    std::unique_ptr<Tokenizer> tokenizer;
    const std::string message = message_of([&] { tokenizer = make_tokenizer(files, "DIR"); });
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    if (tokenizer == nullptr) {
        EXPECT_TRUE(message.starts_with("DIR")) << message;
        return;
    }
    ++loaded;
    const std::string text = "A small red circle,\n  \u4e2d\u6587 1234 \U0001F600 <s> ab ab\xFF";
    const auto ids = tokenizer->encode(text, {.parse_added_tokens = true});
    for (const int32_t id : ids) EXPECT_TRUE(id >= 0 && id < tokenizer->vocab_size());
    tokenizer->decode(ids);
}

TEST(TokenizerFiles, CutFilesAreRefusedOrWork) {
    const std::string good = golden("llama2", "tokenizer.model");
    int64_t loaded = 0;
    for (size_t size = 0; size < good.size();
         size += size < 400 || size + 400 > good.size() ? 1 : 17)
        use({{"tokenizer.model", good.substr(0, size)}}, loaded);
    EXPECT_LT(loaded, 200) << "without its settings a model is not one of BPE";
    for (const char* name : {"prepend", "metaspace", "llama3"}) {
        loaded = 0;
        const std::string text = golden(name, "tokenizer.json");
        for (size_t size = 0; size + 1 < text.size(); size += 97)
            use({{"tokenizer.json", text.substr(0, size)}}, loaded);
        EXPECT_EQ(loaded, 0) << name;
    }
}

TEST(TokenizerFiles, DamagedFilesAreRefusedOrWork) {
    std::mt19937 source(17);
    int64_t loaded = 0, rounds = 0;
    const auto damage = [&](const std::string& folder, const std::string& file, int times) {
        const std::string good = golden(folder, file);
        for (int round = 0; round < times; ++round, ++rounds) {
            std::string bad = good;
            for (uint32_t change = 0; change <= source() % 4; ++change)
                bad[source() % bad.size()] = static_cast<char>(source());
            if (round % 8 == 0) bad.erase(source() % bad.size(), source() % 20);
            use({{file, bad}}, loaded);
        }
    };
    for (const char* name : {"llama2", "strict", "bare"}) damage(name, "tokenizer.model", 200);
    for (const char* name : {"prepend", "metaspace", "qwen2"}) damage(name, "tokenizer.json", 200);
    EXPECT_GT(loaded, rounds / 20);
    EXPECT_LT(loaded, rounds);
}

// Each change to a valid file, and the words that its error must contain.
struct Change {
    const char* at;
    json value;
    const char* message;
};

void expect_refusals(const char* folder, std::span<const Change> changes) {
    const json good = json::parse(golden(folder, "tokenizer.json"));
    for (const Change& change : changes) {
        json bad = good;
        bad[json::json_pointer(change.at)] = change.value;
        const std::string message = load_message("tokenizer.json", bad.dump());
        EXPECT_NE(message.find(change.message), std::string::npos) << change.at << ": " << message;
        EXPECT_TRUE(message.starts_with("DIR")) << message;
    }
}

TEST(TokenizerFiles, RefusesSettingsThatWouldChangeIds) {
    const json split_spaces = {{"type", "Metaspace"}, {"replacement", "_"}};
    const Change of_prepend[] = {
        {"/normalizer/normalizers/0",
         {{"type", "Lowercase"}},
         "normalizer {\"type\":\"Lowercase\"}"},
        {"/normalizer/normalizers/0/prepend", "x", "expected NFC, Prepend of U+2581 or Replace"},
        {"/normalizer",
         {{"type", "NFC"}},
         "neither normalizes spaces to U+2581 nor has a Metaspace"},
        {"/model/type", "Unigram", "a Unigram model: expected BPE"},
        {"/model/end_of_word_suffix", "</w>", "sets end_of_word_suffix: not supported"},
        {"/model/dropout", 0.1, "sets dropout: ids would be random"},
        {"/post_processor/single/2",
         {{"SpecialToken", {{"id", "</s>"}, {"type_id", 0}}}},
         "puts </s> after each text (post_processor, single)"},
        {"/model/merges/0", {"zz", "qq"}, "not all in the vocabulary"},
        {"/model/merges/0", "one", "field merges: expected two tokens, got \"one\""},
        {"/model/merges/0", {"<0x41>", "<0x42>"}, "not all in the vocabulary"},
        {"/model/vocab/<0x41>", 800, "the same id 800"},
        {"/model/vocab/<0x41>", -1, "the id -1"},
        {"/model/vocab/<0x41>", 6e98, "the id 6e+98"},
        {"/decoder/decoders/3/start", 6e98, "that order"},
        {"/model/vocab", {"a", "b"}, "has a vocab that is no object"},
        {"/decoder", nullptr, "has decoder null: expected Replace of U+2581"},
        {"/decoder/decoders/3/start", 2, "Strip of one space, in that order"},
        {"/added_tokens/0/id", -3, "the id -3"},
        {"/added_tokens/0/id", 2000000000, "the id 2000000000"},
        {"/added_tokens/0/content", 7, "field content: expected a string, got 7"},
        {"/model/fuse_unk", "yes", "field fuse_unk: expected true or false, got \"yes\""},
    };
    expect_refusals("prepend", of_prepend);
    const Change of_metaspace[] = {
        {"/pre_tokenizer", split_spaces, "expected Metaspace with U+2581, or none"},
        {"/pre_tokenizer/prepend_scheme", "often", "expected first, always or never"},
        {"/decoder/decoders/1/type", "Sequence", "Strip of one space, in that order"},
    };
    expect_refusals("metaspace", of_metaspace);
}

// A file of megabytes could make one letter into megabytes of text.
TEST(TokenizerFiles, RefusesLongReplacementsOfCharacters) {
    const auto message = [](size_t bytes) {
        const std::string map =
            "\x04\x00\x00\x00"s + "\x00\x00\x00\x00"s + "a\0"s + std::string(bytes, 'x') + "\0"s;
        return load_message("tokenizer.model", small_model(text_field(3, text_field(2, map))));
    };
    EXPECT_EQ(message(1024), "no error");
    EXPECT_EQ(
        message(1025),
        "DIR/tokenizer.model: a replacement of the character map has 1025 bytes: at most 1024 "
        "are supported");
}

TEST(TokenizerFiles, NamesTiktokenVocabularies) {
    EXPECT_EQ(load_message("tokenizer.model", "IQ== 0\nIg== 1\nIw== 2\n"),
              "DIR/tokenizer.model: a tiktoken vocabulary, as Meta distributes Llama 3, not one of "
              "SentencePiece: put the tokenizer.json of the model's Hugging Face form beside it");
    EXPECT_NE(load_message("tokenizer.model", "IQ== zero\n").find("DIR/tokenizer.model"),
              std::string::npos);
}

TEST(TokenizerFiles, ErrorsNameTheFileBesideTheModel) {
    const auto message = [](const char* file, const char* content) {
        return message_of([&] {
            make_tokenizer({{"tokenizer.model", small_model()}, {file, content}}, "DIR");
        });
    };
    EXPECT_NE(
        message("tokenizer_config.json", "{").find("DIR/tokenizer_config.json: not valid JSON"),
        std::string::npos);
    EXPECT_NE(
        message("added_tokens.json", "[]").find("DIR/added_tokens.json: expected a JSON object"),
        std::string::npos);
    EXPECT_NE(message("added_tokens.json", R"({"<x>": "y"})").find("DIR/added_tokens.json: "),
              std::string::npos);
    EXPECT_NE(
        message("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "y"}}})")
            .find("added_tokens_decoder has the key \"x\": expected an id"),
        std::string::npos);
    EXPECT_EQ(message("tokenizer_config.json", R"({"eos_token": "<none>"})"), "no error");
    EXPECT_EQ(message("tokenizer_config.json", R"({"eos_token": ["a"]})"),
              "DIR/tokenizer_config.json: field eos_token: expected a token, got [\"a\"]");
    EXPECT_NE(message("tokenizer_config.json", R"({"add_eos_token": true})")
                  .find("DIR/tokenizer_config.json: field add_eos_token"),
              std::string::npos);
    EXPECT_EQ(message_of([] { make_tokenizer({}, "DIR"); }), "DIR has no tokenizer.model");
}

}  // namespace
}  // namespace vila::data
