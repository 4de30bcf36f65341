#include "data/records/text_file.h"

#include "data/records/record_file.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using namespace std::string_literals;

TEST(TextFile, NamesFilesThatAreNoText) {
    const ScratchFolder scratch;
    const auto message = [&](const std::string& content) {
        const auto path = scratch.write("a.jsonl", content);
        const std::string text = message_of([&] { RecordFile(path, RecordLayout::Json); });
        EXPECT_TRUE(text.starts_with(path.string() + " is ")) << text;
        return text.substr(std::min(path.string().size(), text.size()));
    };
    EXPECT_EQ(message("PK\x03\x04\x14\0\0"s),
              " is a zip archive: unpack it (unzip FILE) and give the file in it");
    EXPECT_EQ(message("\x28\xB5\x2F\xFD\0"s), " is compressed by zstd: unpack it with unzstd");
    EXPECT_EQ(message("PAR1\x15\x04"),
              " is a parquet table: convert it to JSON lines, one object per row");
    EXPECT_EQ(message("version https://git-lfs.github.com/spec/v1\n"),
              " is a git-lfs pointer, not the file itself: run git lfs pull");
    const char* utf16 = " is UTF-16 text: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)";
    EXPECT_EQ(message("\xFF\xFE{\0}\0"s), utf16);
    EXPECT_EQ(message("\xFE\xFF\0{\0}"s), utf16);
    EXPECT_EQ(message("{\0}\0\n\0"s), utf16) << "without a byte-order mark";
    EXPECT_EQ(message("\0{\0}"s), utf16);
    std::string tar(512, '\0');
    tar.replace(0, 5, "a.jpg").replace(257, 5, "ustar");
    EXPECT_TRUE(message(tar).starts_with(" is a tar file: "));
}

TEST(TextFile, ReadsTextAsPythonDoes) {
    EXPECT_EQ(read_text("a\r\nb\rc\n\r\n"), "a\nb\nc\n\n");
    EXPECT_EQ(read_text("\xEF\xBB\xBF"
                        "caf\u00e9"),
              "caf\u00e9");
    EXPECT_EQ(read_text("PAR1\x15 is text here"), "PAR1\x15 is text here");
    EXPECT_EQ(message_of([] { read_text("caf\xE9 au lait"); }),
              "byte 3 of the text is not UTF-8: convert the text (iconv -f LATIN1 -t UTF-8, if it "
              "is Latin-1)");
    EXPECT_TRUE(message_of([] {
                    read_text(
                        "\xFF\xFE"
                        "a\0"s);
                }).starts_with("the text is UTF-16"));
    EXPECT_EQ(read_text(""), "");
}

TEST(TextFile, DirectoriesSkipHiddenFilesAndRefuseArchives) {
    const ScratchFolder scratch;
    scratch.write("a.jsonl", "{}\n");
    scratch.write("._a.jsonl", "\0\x05\x16\x07"s);
    EXPECT_EQ(RecordFiles(scratch.path(), RecordLayout::Json, {".jsonl"}).size(), 1);
    scratch.write("notes.zip", "PK");
    EXPECT_EQ(RecordFiles(scratch.path(), RecordLayout::Json, {".jsonl"}).size(), 1);
    const auto zip = scratch.write("b.jsonl.zip", "PK");
    EXPECT_EQ(message_of([&] { RecordFiles(scratch.path(), RecordLayout::Json, {".jsonl"}); }),
              zip.string() + " is a zip archive: unpack it (unzip FILE), or move it elsewhere");
}

}  // namespace
}  // namespace vila::data
