#include "data/records/record_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "data/records/gzip.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using Texts = std::vector<std::string>;

Texts texts_of(const RecordFile& file) {
    Texts texts;
    for (int64_t i = 0; i < file.size(); ++i) texts.push_back(file.text(i));
    return texts;
}

TEST(RecordFile, LinesOfJson) {
    const ScratchFolder scratch;
    const auto path = scratch.write("a.jsonl", "\n{\"a\": 1}\r\n  \n \t{\"b\": [\n{\"c\": 3}");
    const RecordFile file(path, RecordLayout::Json);
    EXPECT_EQ(texts_of(file), (Texts{"{\"a\": 1}", "{\"b\": [", "{\"c\": 3}"}));
    EXPECT_EQ(file.where(0), path.string() + ":2");
    EXPECT_EQ(file.where(1), path.string() + ":4");
    EXPECT_EQ(file.where(2), path.string() + ":5");
    const RecordFile dense(scratch.write("b.jsonl", "{}\n{}\n"), RecordLayout::Json);
    EXPECT_EQ(dense.size(), 2);
    EXPECT_EQ(dense.where(1), (scratch.path() / "b.jsonl:2").string());
}

TEST(RecordFile, ElementsOfAnArray) {
    const ScratchFolder scratch;
    const auto path = scratch.write(
        "a.json", "\xEF\xBB\xBF [ {\"a\": \"]},[\\\"{\"},\n\n[1, [2]], \"x,\\\\\", 7 ]\n");
    const RecordFile file(path, RecordLayout::Json);
    EXPECT_EQ(texts_of(file), (Texts{"{\"a\": \"]},[\\\"{\"}", "[1, [2]]", "\"x,\\\\\"", "7"}));
    EXPECT_EQ(file.where(2), path.string() + "[2]");
    EXPECT_EQ(RecordFile(scratch.write("b.json", "[]"), RecordLayout::Json).size(), 0);
    EXPECT_EQ(RecordFile(scratch.write("c.json", " [ \n ] "), RecordLayout::Json).size(), 0);
    EXPECT_EQ(RecordFile(scratch.write("d.json", ""), RecordLayout::Json).size(), 0);
}

// JSON arrays that a library writes are split into their elements, also across blocks of 1 MiB.
TEST(RecordFile, ElementsEqualAJsonLibrary) {
    const ScratchFolder scratch;
    std::mt19937 source(2);
    nlohmann::json array = nlohmann::json::array();
    for (int i = 0; i < 3000; ++i) {
        std::string text(source() % 1500, ' ');
        for (char& c : text) c = "ab\\\"{}[],: \n\t1"[source() % 14];
        array.push_back({{"text", text}, {"list", {1, text.substr(0, 9), nullptr}}});
    }
    for (const int indent : {-1, 2}) {
        const RecordFile file(scratch.write("a.json", array.dump(indent)), RecordLayout::Json);
        ASSERT_EQ(file.size(), static_cast<int64_t>(array.size()));
        for (int64_t i = 0; i < file.size(); ++i)
            ASSERT_EQ(nlohmann::json::parse(file.text(i)), array[i]);
    }
}

TEST(RecordFile, SplitsPlainTextAtBlankLines) {
    const ScratchFolder scratch;
    const auto path =
        scratch.write("a.txt", "\n\n  first line\nsecond\r\n \t\r\n\nnext document\n\n\n");
    const RecordFile file(path, RecordLayout::Paragraphs);
    EXPECT_EQ(texts_of(file), (Texts{"first line\nsecond", "next document"}));
    EXPECT_EQ(file.where(0), path.string() + ":3");
    EXPECT_EQ(file.where(1), path.string() + ":7");
}

TEST(RecordFile, PlainTextWithoutBlankLinesHasOneDocumentPerLine) {
    const ScratchFolder scratch;
    const auto path = scratch.write("a.txt", "one [\ntwo {\n\n");
    const RecordFile file(path, RecordLayout::Paragraphs);
    EXPECT_EQ(texts_of(file), (Texts{"one [", "two {"}));
    EXPECT_EQ(file.where(1), path.string() + ":2");
    EXPECT_EQ(texts_of(RecordFile(scratch.write("b.txt", "only"), RecordLayout::Paragraphs)),
              Texts{"only"});
    EXPECT_EQ(RecordFile(scratch.write("c.txt", " \n\n"), RecordLayout::Paragraphs).size(), 0);
}

// Every line end is one, as in Python's text mode.
TEST(RecordFile, LinesMayEndWithCarriageReturns) {
    const ScratchFolder scratch;
    const auto json = scratch.write("a.jsonl", "{}\r{\"a\": 1}\r\r[2]\r\n3\n4");
    const RecordFile records(json, RecordLayout::Json);
    EXPECT_EQ(texts_of(records), (Texts{"{}", "{\"a\": 1}", "[2]", "3", "4"}));
    EXPECT_EQ(records.where(2), json.string() + ":4");
    EXPECT_EQ(records.where(4), json.string() + ":6");
    const RecordFile lines(scratch.write("a.txt", "one\rtwo\rthree"), RecordLayout::Paragraphs);
    EXPECT_EQ(texts_of(lines), (Texts{"one", "two", "three"}));
    EXPECT_EQ(lines.where(2), (scratch.path() / "a.txt").string() + ":3");
    const RecordFile documents(scratch.write("b.txt", "one\rtwo\r\rthree\r"),
                               RecordLayout::Paragraphs);
    EXPECT_EQ(texts_of(documents), (Texts{"one\rtwo", "three"}));
}

// Line ends at and across the borders of blocks of 1 MiB.
TEST(RecordFile, LineEndsAtTheBordersOfBlocks) {
    const ScratchFolder scratch;
    for (const char* end : {"\n", "\r", "\r\n"})
        for (const int before : {-2, -1, 0, 1}) {
            const std::string first((1 << 20) + before, 'x');
            const auto path = scratch.write("a.jsonl", first + end + "1" + end + "2" + end);
            EXPECT_EQ(texts_of(RecordFile(path, RecordLayout::Json)), (Texts{first, "1", "2"}));
        }
}

TEST(RecordFile, ErrorsNameTheFile) {
    const ScratchFolder scratch;
    const auto open = [&](const char* content) {
        const auto path = scratch.write("x.json", content);
        return message_of([&] { RecordFile(path, RecordLayout::Json); });
    };
    const std::string name = (scratch.path() / "x.json").string();
    for (const char* cut : {"[{}, {", "[", "[{}", "[\"a", "[\"a\\"})
        EXPECT_TRUE(open(cut).starts_with(name + " is cut short: its JSON array is not closed"))
            << open(cut);
    EXPECT_EQ(open("[1] x"), name + " has text after its JSON array, at offset 4");
    const RecordFile file(scratch.write("y.jsonl", "{}"), RecordLayout::Json);
    EXPECT_EQ(message_of([&] { file.text(1); }),
              "record 1 of " + (scratch.path() / "y.jsonl").string() + ", which has 1");
    EXPECT_NE(message_of([&] {
                  RecordFile(scratch.path() / "none", RecordLayout::Json);
              }).find((scratch.path() / "none").string()),
              std::string::npos);
}

TEST(RecordFiles, ReadsADirectoryInOrderOfNames) {
    const ScratchFolder scratch;
    scratch.write("b.jsonl", "{\"b\": 1}\n{\"b\": 2}\n");
    scratch.write("a.json", "[1]");
    scratch.write("c.jsonl", "");
    scratch.write("d.jsonl", "4");
    scratch.write("notes.md", "not data");
    const RecordFiles files(scratch.path(), RecordLayout::Json, {".json", ".jsonl"});
    ASSERT_EQ(files.size(), 4);
    EXPECT_EQ(files.text(0), "1");
    EXPECT_EQ(files.text(2), "{\"b\": 2}");
    EXPECT_EQ(files.text(3), "4");
    EXPECT_EQ(files.where(2), (scratch.path() / "b.jsonl").string() + ":2");
    EXPECT_EQ(files.where(3), (scratch.path() / "d.jsonl").string() + ":1");
    EXPECT_EQ(files.empty_files(), std::vector<std::filesystem::path>{scratch.path() / "c.jsonl"});
    EXPECT_EQ(message_of([&] { files.text(4); }), "record 4: expected 0 to 3");
    EXPECT_EQ(message_of(
                  [&] { RecordFiles(scratch.path() / "c.jsonl", RecordLayout::Json, {".jsonl"}); }),
              (scratch.path() / "c.jsonl").string() + " is empty: expected at least one record");
    EXPECT_EQ(message_of([&] { RecordFiles(scratch.path(), RecordLayout::Json, {".tar"}); }),
              scratch.path().string() + " holds no data: expected files like *.tar");
}

// {"a": 1} and {"a": 2} on two lines, compressed by gzip -n9.
constexpr char kGzip[] =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x54\xb2\x52\x30\xac\xe5\xaa\x06\x33\x8c"
    "\x6a\xb9\x00\xce\x32\xde\xc1\x12\x00\x00\x00";

TEST(RecordFile, UnpacksGzip) {
    const ScratchFolder scratch;
    const std::string packed(kGzip, sizeof(kGzip) - 1);
    const auto path = scratch.write("a.jsonl.gz", packed);
    if (!has_gzip()) {
        EXPECT_NE(message_of([&] { RecordFile(path, RecordLayout::Json); }).find("no zlib"),
                  std::string::npos);
        return;
    }
    EXPECT_EQ(texts_of(RecordFile(path, RecordLayout::Json)), (Texts{"{\"a\": 1}", "{\"a\": 2}"}));
    EXPECT_EQ(RecordFiles(scratch.path(), RecordLayout::Json, {".jsonl"}).size(), 2);
    const auto twice = scratch.write("b.jsonl.gz", packed + packed);
    EXPECT_EQ(RecordFile(twice, RecordLayout::Json).size(), 4);
    // Tapes and block devices pad members with zeros; any other bytes between them are an error.
    const std::string zeros(600, '\0');
    const auto padded = scratch.write("b.jsonl.gz", packed + zeros + packed + zeros);
    EXPECT_EQ(RecordFile(padded, RecordLayout::Json).size(), 4);
    std::string damaged = packed;
    damaged[20] = 'x';
    for (const std::string& bad :
         {damaged, packed.substr(0, 25), packed + zeros + packed.substr(0, 25), packed + "x",
          packed + zeros + "{}", packed + "\x1f" + "x"}) {
        const auto broken = scratch.write("c.jsonl.gz", bad);
        EXPECT_TRUE(message_of([&] {
                        RecordFile(broken, RecordLayout::Json);
                    }).starts_with("cannot unpack " + broken.string()));
    }
    const auto followed = scratch.write("c.jsonl.gz", packed + zeros + "{\"a\": 3}");
    EXPECT_EQ(message_of([&] { RecordFile(followed, RecordLayout::Json); }),
              "cannot unpack " + followed.string() +
                  ": it goes on after its last gzip member with something else, at byte 634; "
                  "`head -c 34` gives the part before that");
}

// A MiB of spaces, compressed by gzip -n9 to a KiB, most of it zeros.
std::string packed_spaces() {
    const std::string head(
        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\x2a"
        "\xeb\x9f\xd2\x10\xbe\x40\x01",
        27);
    const std::string tail("\x7c\x06\xa7\x02\x03\xf1\x00\x00\x10\x00", 10);
    return head + std::string(1052 - head.size() - tail.size(), '\0') + tail;
}

TEST(RecordFile, RefusesAFileThatUnpacksToHundredsOfTimesItsSize) {
    if (!has_gzip()) GTEST_SKIP() << "this build has no zlib";
    const ScratchFolder scratch;
    const auto small = scratch.write("b.jsonl.gz", packed_spaces());
    EXPECT_EQ(RecordFile(small, RecordLayout::Json).size(), 0);
    std::string bomb;
    for (int i = 0; i < 300; ++i) bomb += packed_spaces();
    const auto path = scratch.write("a.jsonl.gz", bomb);
    EXPECT_TRUE(
        message_of([&] { RecordFile(path, RecordLayout::Json); })
            .ends_with("it unpacks to more than 200 times its size; if that is right, unpack "
                       "it with gunzip"));
}

}  // namespace
}  // namespace vila::data
