// Compares with goldens of sentencepiece, the Hugging Face tokenizers package and transformers,
// which make_piece_goldens.py writes.

#include "data/text/piece_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "data/image/base64.h"
#include "data/text/segments.h"
#include "data/text/tokenizer.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using namespace std::string_literals;
using nlohmann::json;
using Ids = std::vector<int32_t>;

constexpr EncodeOptions kParse{.parse_added_tokens = true};
constexpr const char* kModels[] = {"llama2", "strict", "unused", "bare"};
constexpr const char* kJsons[] = {"prepend", "metaspace"};
constexpr const char* kAll[] = {"llama2", "strict", "unused", "bare", "prepend", "metaspace"};

std::filesystem::path folder(const std::string& name) {
    return VILA_SOURCE_DIR "/tests/goldens/tokenizer_" + name;
}

json cases() {
    return json::parse(read_file(VILA_SOURCE_DIR "/tests/goldens/piece_cases.json"));
}

// Returns the Llama 2 golden with another tokenizer_config.json.
std::unique_ptr<Tokenizer> llama2_with(const std::function<void(json&)>& change) {
    json config = json::parse(read_file(folder("llama2") / "tokenizer_config.json"));
    change(config);
    return make_tokenizer({{"tokenizer.model", read_file(folder("llama2") / "tokenizer.model")},
                           {"tokenizer_config.json", config.dump()}},
                          "DIR");
}

void expect_ids(const Tokenizer& tokenizer, const json& texts, const json& ids,
                const EncodeOptions& options, const std::string& what) {
    ASSERT_EQ(texts.size(), ids.size());
    for (size_t i = 0; i < texts.size(); ++i)
        EXPECT_EQ(json(tokenizer.encode(texts[i].get<std::string>(), options)), ids[i])
            << what << " " << texts[i];
}

TEST(PieceTokenizer, IdsEqualSentencePieceAndTokenizers) {
    const json golden = cases();
    for (const char* name : kAll)
        expect_ids(*load_tokenizer(folder(name)), golden["texts"], golden[name]["plain"], {}, name);
}

TEST(PieceTokenizer, EncodesInvalidUtf8LikeSentencePiece) {
    const json golden = cases();
    for (const char* name : kModels) {
        const auto tokenizer = load_tokenizer(folder(name));
        for (size_t i = 0; i < golden["broken"].size(); ++i) {
            const auto bytes = base64_decode(golden["broken"][i].get<std::string>());
            const std::string text(bytes.begin(), bytes.end());
            EXPECT_EQ(json(tokenizer->encode(text)), golden[name]["broken"][i]) << name << " " << i;
        }
    }
}

TEST(PieceTokenizer, FindsAddedTokensLikeTokenizers) {
    const json golden = cases();
    for (const char* name : kJsons)
        expect_ids(*load_tokenizer(folder(name)), golden["texts"], golden[name]["parsed"], kParse,
                   name);
}

TEST(PieceTokenizer, FindsAddedTokensLikeTheLlamaWrapper) {
    const json golden = cases();
    expect_ids(*load_tokenizer(folder("llama2")), golden["texts"], golden["legacy"], kParse,
               "legacy");
    const auto absent = llama2_with([](json& config) { config.erase("legacy"); });
    expect_ids(*absent, golden["texts"], golden["legacy"], kParse, "absent means legacy");
    const auto newer = llama2_with([](json& config) { config["legacy"] = false; });
    expect_ids(*newer, golden["texts"], golden["not_legacy"], kParse, "not legacy");
}

// transformers 5 writes rules for spaces into the normalizer and the pre_tokenizer at once.
TEST(PieceTokenizer, AppliesBothRulesForSpaces) {
    const json golden = json::parse(read_file(VILA_SOURCE_DIR "/tests/goldens/piece_spaces.json"));
    json file = json::parse(read_file(folder("metaspace") / "tokenizer.json"));
    for (const auto& [name, variant] : golden.items()) {
        if (name == "texts") continue;
        file["normalizer"] = variant["normalizer"];
        file["pre_tokenizer"] = variant["pre_tokenizer"];
        const auto tokenizer = make_tokenizer({{"tokenizer.json", file.dump()}}, "DIR");
        expect_ids(*tokenizer, golden["texts"], variant["ids"], kParse, name);
    }
}

TEST(PieceTokenizer, DecodedTextEqualsOriginals) {
    const json golden = cases();
    for (const char* name : kAll) {
        const auto tokenizer = load_tokenizer(folder(name));
        const json& own = golden[name];
        for (size_t i = 0; i < own["ids"].size(); ++i) {
            const Ids ids = own["ids"][i];
            EXPECT_EQ(tokenizer->decode(ids), own["decoded"][i].get<std::string>())
                << name << " " << own["ids"][i];
            if (!own.contains("without_special")) continue;
            EXPECT_EQ(tokenizer->decode(ids, true), own["without_special"][i]) << name;
        }
    }
}

// Without a ByteFallback in the decoder, <0x1F> is six characters.
TEST(PieceTokenizer, DecodesBytesOnlyWhereTheDecoderDoes) {
    json file = json::parse(read_file(folder("prepend") / "tokenizer.json"));
    file["model"]["byte_fallback"] = false;
    const auto decoded = [&] {
        const auto tokenizer = make_tokenizer({{"tokenizer.json", file.dump()}}, "DIR");
        return tokenizer->decode(Ids{*tokenizer->token_to_id("<0x1F>")});
    };
    EXPECT_EQ(decoded(), "\x1F") << "the decoder has ByteFallback";
    file["decoder"]["decoders"].erase(1);
    EXPECT_EQ(decoded(), "<0x1F>");
}

// The ids are those of tokenizers 0.23.3.
TEST(PieceTokenizer, CharactersWithoutBytesAreDroppedOrUnknown) {
    const json good = json::parse(read_file(folder("metaspace") / "tokenizer.json"));
    struct Case {
        json unknown;
        bool fuses;
        Ids ids;
    };
    const Case cases[] = {{"<unk>", true, {260, 0, 720, 4, 668, 0}},
                          {"<unk>", false, {260, 0, 0, 0, 720, 4, 668, 0}},
                          {nullptr, true, {260, 720, 4, 668}}};
    for (const Case& one : cases) {
        json file = good;
        for (const char* byte : {"<0xF0>", "<0x07>"}) file["model"]["vocab"].erase(byte);
        file["model"]["unk_token"] = one.unknown;
        file["model"]["fuse_unk"] = one.fuses;
        const auto tokenizer = make_tokenizer({{"tokenizer.json", file.dump()}}, "DIR");
        EXPECT_EQ(tokenizer->encode("a\a\a\U0001f9ff\u00e9\x01"
                                    "b\a"),
                  one.ids);
        // Where a character is dropped, its neighbors merge.
        if (one.unknown.is_null()) {
            EXPECT_EQ(tokenizer->encode("t\ah\ae"), tokenizer->encode("the"));
        }
    }
}

// The first converted Llama names its tokens "".
TEST(PieceTokenizer, UsesTheModelsTokensWhereNamesAreEmpty) {
    for (const json& empty : {json(""), json{{"content", ""}}}) {
        const auto tokenizer = llama2_with([&](json& config) {
            for (const char* key : {"bos_token", "eos_token", "unk_token"}) config[key] = empty;
        });
        EXPECT_EQ(tokenizer->bos_id(), 1);
        EXPECT_EQ(tokenizer->eos_id(), 2);
        EXPECT_TRUE(tokenizer->adds_bos());
    }
    const auto none = llama2_with([](json& config) { config["bos_token"] = nullptr; });
    EXPECT_EQ(none->bos_id(), std::nullopt) << "null says that there is none";
}

TEST(PieceTokenizer, TextRoundTrips) {
    const json golden = cases();
    for (const char* name : {"llama2", "unused", "prepend", "metaspace"}) {
        const auto tokenizer = load_tokenizer(folder(name));
        for (const json& entry : golden["texts"]) {
            const std::string text = entry;
            // The files write U+2581 for a space. Metaspace puts no second space in front of one.
            if (text.find("\u2581") != text.npos || (name == "metaspace"s && text[0] == ' '))
                continue;
            EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << name;
        }
    }
}

TEST(PieceTokenizer, StreamedTextEqualsDecodedText) {
    std::mt19937 source(5);
    for (const char* name : kAll) {
        const auto tokenizer = load_tokenizer(folder(name));
        for (int round = 0; round < 300; ++round) {
            Ids ids(source() % 20);
            const int32_t limit = round % 2 ? 262 : static_cast<int32_t>(tokenizer->vocab_size());
            for (int32_t& id : ids) id = static_cast<int32_t>(source() % limit);
            StreamingDecoder stream(*tokenizer, round % 3 == 0);
            std::string joined;
            for (const int32_t id : ids) joined += stream.push(id);
            joined += stream.finish();
            EXPECT_EQ(joined, tokenizer->decode(ids, round % 3 == 0)) << name;
        }
    }
}

TEST(PieceTokenizer, StreamHoldsBackIncompleteCharacters) {
    const auto tokenizer = load_tokenizer(folder("llama2"));
    const Ids ids = tokenizer->encode("\U0001F9FF", {.place = TextPlace::Continues});
    ASSERT_EQ(ids.size(), 4u) << "four bytes";
    StreamingDecoder stream(*tokenizer);
    for (size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(stream.push(ids[i]), "");
    EXPECT_EQ(stream.push(ids.back()), "\U0001F9FF");
    EXPECT_EQ(stream.finish(), "");
}

// Text that begins a sequence gets a space in front; text after special tokens, by some
// conventions.
TEST(PieceTokenizer, FirstSpaceDependsOnThePlaceOfText) {
    const auto legacy = load_tokenizer(folder("llama2"));
    const auto newer = llama2_with([](json& config) { config["legacy"] = false; });
    const auto begins_with_space = [](const Tokenizer& tokenizer, TextPlace place) {
        return tokenizer.token_bytes(tokenizer.encode("x", {.place = place})[0])[0] == ' ';
    };
    for (const Tokenizer* tokenizer : {legacy.get(), newer.get()}) {
        EXPECT_TRUE(begins_with_space(*tokenizer, TextPlace::Start));
        EXPECT_FALSE(begins_with_space(*tokenizer, TextPlace::Continues));
    }
    EXPECT_TRUE(begins_with_space(*legacy, TextPlace::AfterToken));
    EXPECT_FALSE(begins_with_space(*newer, TextPlace::AfterToken));
}

// An image is a token among the others in a published template, and begins a sequence elsewhere.
TEST(PieceTokenizer, FirstSpaceAfterAnImageDependsOnTheKindOfText) {
    const auto legacy = load_tokenizer(folder("llama2"));
    const auto newer = llama2_with([](json& config) { config["legacy"] = false; });
    const auto begins_with_space = [](const Tokenizer& tokenizer, Segment::Kind kind) {
        const std::vector<Segment> segments = {{Segment::Kind::Image, ""}, {kind, "x"}};
        return tokenizer.token_bytes(encode_segments(segments, tokenizer).ids[1])[0] == ' ';
    };
    EXPECT_TRUE(begins_with_space(*newer, Segment::Kind::Text));
    EXPECT_TRUE(begins_with_space(*legacy, Segment::Kind::Text));
    EXPECT_FALSE(begins_with_space(*newer, Segment::Kind::Markup));
    EXPECT_TRUE(begins_with_space(*legacy, Segment::Kind::Markup));
}

TEST(PieceTokenizer, MillionEqualCharactersRoundTrip) {
    for (const char* name : kAll) {
        const auto tokenizer = load_tokenizer(folder(name));
        for (const std::string& unit : {"a"s, " "s, "1"s, "\u4e2d"s, "ab"s, "<"s}) {
            std::string text;
            while (text.size() < 1000000) text += unit;
            const Ids ids = tokenizer->encode(text, kParse);
            EXPECT_LE(ids.size(), text.size() + 1) << name;
            if (name != "llama2"s && name != "prepend"s) continue;
            EXPECT_EQ(tokenizer->decode(ids), text) << name << " " << unit;
        }
    }
}

TEST(PieceTokenizer, SpecialTokens) {
    const auto llama = load_tokenizer(folder("llama2"));
    EXPECT_EQ(llama->vocab_size(), 903) << "three added tokens count";
    EXPECT_EQ(llama->bos_id(), 1);
    EXPECT_EQ(llama->eos_id(), 2);
    EXPECT_EQ(llama->pad_id(), std::nullopt);
    EXPECT_TRUE(llama->adds_bos());
    EXPECT_EQ(llama->token(13), "<0x0A>");
    EXPECT_EQ(llama->token_bytes(13), "\n");
    EXPECT_TRUE(llama->is_special(2));
    EXPECT_FALSE(llama->is_special(13));
    EXPECT_EQ(llama->token_to_id("<image>"), 900);
    const auto bare = load_tokenizer(folder("bare"));
    EXPECT_EQ(bare->bos_id(), 1) << "as the model itself says";
    EXPECT_EQ(bare->eos_id(), 2);
    EXPECT_EQ(load_tokenizer(folder("prepend"))->bos_id(), 1);
}

TEST(PieceTokenizer, SavesTheFilesItWasLoadedFrom) {
    const ScratchFolder scratch;
    for (const char* name : kAll) {
        const auto target = scratch.path() / name;
        load_tokenizer(folder(name))->save(target);
        for (const auto& entry : std::filesystem::directory_iterator(folder(name)))
            EXPECT_EQ(read_file(target / entry.path().filename()), read_file(entry.path()));
    }
}

}  // namespace
}  // namespace vila::data
