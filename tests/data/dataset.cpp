#include "data/records/dataset.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>

#include "data/records/dataset_formats.h"
#include "data/records/tar.h"
#include "tests/support/text_helpers.h"

namespace vila::data {
namespace {

using Paths = std::vector<std::string>;

// Reads a source in a scratch folder with a byte tokenizer.
class Reader {
  public:
    Reader(const std::string& format, const std::string& name, const std::string& content,
           const std::string& chat = "qa", int64_t max_images = 6)
        : chat_(ChatTemplate::named(chat)),
          dataset_(open_dataset({format, scratch_.write(name, content), "/images", max_images})) {}
    Reader(const DatasetSource& source, const std::string& chat)
        : chat_(ChatTemplate::named(chat)), dataset_(open_dataset(source)) {}

    int64_t size() const { return dataset_->size(); }
    Sample get(int64_t index) const { return dataset_->get(index, {*tokenizer_, chat_}); }
    std::string text(int64_t index) const { return shown(get(index), *tokenizer_); }
    Paths images(int64_t index) const {
        Paths paths;
        for (const ImageRef& image : get(index).images) paths.push_back(image.path);
        return paths;
    }
    // Returns the error of a record, without the folder's name.
    std::string error(int64_t index) const {
        const std::string message = message_of([&] { get(index); });
        const std::string folder = scratch_.path().string() + "/";
        EXPECT_TRUE(message.starts_with(folder)) << message;
        return message.substr(std::min(folder.size(), message.size()));
    }

  private:
    ScratchFolder scratch_;
    std::unique_ptr<Tokenizer> tokenizer_ = byte_tokenizer();
    ChatTemplate chat_;
    std::unique_ptr<Dataset> dataset_;
};

TEST(Dataset, LlavaConversations) {
    const Reader reader("llava", "train.json", R"([
        {"id": 7, "image": "coco/1.jpg", "conversations": [
            {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A dog"},
            {"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes"}]},
        {"id": "text", "conversations": [
            {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"image": ["a.jpg", "/b.jpg"], "messages": [
            {"role": "user", "content": "<image> and <image>?"}, {"role": "assistant", "content": "x"}]}
    ])");
    ASSERT_EQ(reader.size(), 3);
    EXPECT_EQ(reader.text(0),
              "<s>question :(image) What? answer :[ A dog .] question : Sure? answer :[ Yes "
              ".</s>]");
    EXPECT_EQ(reader.images(0), Paths{"/images/coco/1.jpg"});
    EXPECT_EQ(reader.get(0).id, "7");
    EXPECT_EQ(reader.get(1).id, "text");
    EXPECT_EQ(reader.get(1).index, 1);
    EXPECT_EQ(reader.text(1), "<s>question : Hi answer :[ Hello .</s>]");
    EXPECT_EQ(reader.text(2), "<s>question :(image) and(image) ? answer :[ x .</s>]");
    EXPECT_EQ(reader.images(2), (Paths{"/images/a.jpg", "/b.jpg"}));
}

TEST(Dataset, NullAndNaNAreNoValue) {
    const Reader reader(
        "llava", "a.jsonl",
        R"({"id": NaN, "image": null, "score": NaN, "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}
{"id": null, "image": NaN, "x": [Infinity, -Infinity], "video": null, "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}
{"image": "1.jpg", "conversations": [{"from": "human", "value": NaN}, {"from": "gpt", "value": "A"}]})");
    for (const int64_t i : {0, 1}) {
        EXPECT_EQ(reader.text(i), "<s>question : Q answer :[ A .</s>]");
        EXPECT_EQ(reader.get(i).id, "");
    }
    EXPECT_EQ(reader.error(2), "a.jsonl:3: the field \"value\" or \"content\" is missing");
    const Reader docs("mmc4", "b.jsonl",
                      R"({"text_list": ["a"], "image_info": NaN, "similarity_matrix": [[NaN]]})");
    EXPECT_EQ(docs.text(0), "<s>[a</s>]");
}

TEST(Dataset, LlavaLeavesOutTurnsWithoutPartner) {
    const Reader reader("llava", "a.jsonl",
                        R"({"conversations": [{"from": "gpt", "value": "stray"},
                            {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"},
                            {"from": "human", "value": "open"}]})"
                        "\n");
    EXPECT_EQ(reader.size(), 3) << "a record must stand on one line";
    const Reader one("llava", "a.json", R"([{"conversations": [{"from": "gpt", "value": "stray"},
                         {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"},
                         {"from": "human", "value": "open"}]}])");
    EXPECT_EQ(one.text(0), "<s>question : Q answer :[ A .</s>]");
}

TEST(Dataset, MemoryThatRunsOutIsNoBadRecord) {
    const auto where = [] { return std::string("a.json[0]"); };
    EXPECT_THROW(at_record(where, []() -> Sample { throw std::bad_alloc(); }), std::bad_alloc);
    EXPECT_EQ(
        message_of([&] { at_record(where, []() -> Sample { throw std::out_of_range("far"); }); }),
        "a.json[0]: far");
}

TEST(Dataset, LlavaErrorsNameTheRecord) {
    const Reader reader("llava", "bad.json", R"([
        {"image": "a.jpg"},
        {"image": "a.jpg", "conversations": [{"from": "human", "value": "<image><image>"},
                                             {"from": "gpt", "value": "x"}]},
        {"video": "a.mp4", "conversations": []},
        {"conversations": [{"from": "robot", "value": "x"}]},
        {"conversations": [{"from": "human"}]},
        {"conversations": [{"from": "human", "value": "x"}, {"from": "human", "value": "y"}]},
        {"image": 3, "conversations": []},
        {"image": "a.jpg", "conversations": {"from": "human"}},
        5,
        {"conversations": [1 2]},
        {"image": "a.png\u0000.jpg", "conversations": []}
    ])");
    ASSERT_EQ(reader.size(), 11);
    EXPECT_EQ(reader.error(10),
              "bad.json[10]: the name of an image, \"a.png\\u0000.jpg\", has a NUL byte: expected "
              "a file name");
    EXPECT_EQ(reader.error(0),
              "bad.json[0]: the field \"conversations\" or \"messages\" is missing");
    EXPECT_EQ(reader.error(1),
              "bad.json[1]: the text has 2 <image> placeholders and the record has 1 images: write "
              "one placeholder for each image, or none at all");
    EXPECT_EQ(reader.error(2),
              "bad.json[2]: the record has a video: extract its frames and list them under "
              "\"image\"");
    EXPECT_EQ(
        reader.error(3),
        "bad.json[3]: a turn is by \"robot\": expected human, gpt, user, assistant or system");
    EXPECT_EQ(reader.error(4), "bad.json[4]: the field \"value\" or \"content\" is missing");
    EXPECT_EQ(reader.error(5),
              "bad.json[5]: the conversation ends with a question: expected an answer");
    EXPECT_EQ(reader.error(6),
              "bad.json[6]: the field \"image\": expected a file name or a list of them, got 3");
    EXPECT_EQ(reader.error(7),
              "bad.json[7]: the conversation: expected an array, got {\"from\":\"human\"}");
    EXPECT_EQ(reader.error(8), "bad.json[8]: the record: expected an object, got 5");
    EXPECT_TRUE(reader.error(9).starts_with("bad.json[9]: not valid JSON: ")) << reader.error(9);
}

TEST(Dataset, PairsWithEveryFieldName) {
    const std::string lines = R"({"id": "x", "image": "1.png", "caption": "a red circle"}
        {"image_name": "2.png", "text": "two <image> three"}
        {"url": "https://a.example/b/3.jpg?w=1", "TEXT": "far"}
        {"file_name": "4.png", "caption": ""}
        {"image": "5.png"})";
    const Reader reader("pairs", "pairs.jsonl", lines, "vicuna_v1");
    ASSERT_EQ(reader.size(), 5);
    EXPECT_EQ(reader.text(0), "<s>(image)[a red circle</s>]") << "no prompt but under plain";
    EXPECT_EQ(reader.get(0).id, "x");
    EXPECT_EQ(reader.text(1), "<s>(image)[two <image> three</s>]");
    EXPECT_EQ(reader.images(1), Paths{"/images/2.png"});
    EXPECT_EQ(reader.text(2), "<s>(image)[far</s>]");
    EXPECT_EQ(reader.images(2), Paths{"/images/3.jpg"});
    EXPECT_EQ(reader.text(3), "<s>(image)[</s>]");
    EXPECT_EQ(reader.error(4),
              "pairs.jsonl:5: the field \"caption\" or \"text\" or \"TEXT\" is missing");
    const Reader plain("pairs", "pairs.jsonl", lines, "plain");
    EXPECT_EQ(plain.text(0), "<s>(image)[a red circle\n]");
    EXPECT_EQ(plain.text(1), "<s>(image)[two <IMAGE> three\n]");
}

TEST(Dataset, PairsInATarFile) {
    const std::filesystem::path tar = VILA_SOURCE_DIR "/tests/goldens/pairs.tar";
    const Reader reader(DatasetSource{"pairs", tar, "", 6}, "vicuna_v1");
    ASSERT_EQ(reader.size(), 4);
    std::string second;
    for (int i = 0; i < 100; ++i) second += "image two";
    const std::string images[] = {"image one", second, "image three", "image four"};
    const char* texts[] = {"<s>(image)[first caption</s>]", "<s>(image)[second caption</s>]",
                           "<s>(image)[third caption</s>]", "<s>(image)[fourth caption</s>]"};
    const std::string file = read_file(tar);
    for (int64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(reader.text(i), texts[i]);
        const ImageRef image = reader.get(i).images[0];
        EXPECT_EQ(image.path, tar.string());
        EXPECT_EQ(file.substr(image.offset, image.bytes), images[i]);
    }
    EXPECT_EQ(reader.get(0).id, "shard/0001");
    EXPECT_EQ(reader.get(3).id, "caf\u00e9");
}

// A member of a tar file: its header and its data, padded to blocks of 512 bytes.
std::string tar_member(const std::string& name, const std::string& data, char type = '0') {
    std::string header(512, '\0');
    const auto put = [&](size_t at, const std::string& text) {
        header.replace(at, text.size(), text);
    };
    const auto octal = [](size_t value, int digits) {
        char text[16];
        std::snprintf(text, sizeof(text), "%0*zo", digits, value);
        return std::string(text);
    };
    put(0, name);
    put(124, octal(data.size(), 11));
    put(148, "        ");
    header[156] = type;
    put(257, "ustar");
    size_t sum = 0;
    for (const unsigned char c : header) sum += c;
    put(148, octal(sum, 6));
    header[154] = '\0';
    return header + data + std::string((512 - data.size() % 512) % 512, '\0');
}

class TarPairs : public testing::Test {
  protected:
    // Returns the captions of the pairs in a tar file, and what was left out.
    std::string read(const std::string& content) {
        const auto path = scratch_.write("a.tar", content);
        const auto dataset = open_dataset({"pairs", path, "", 6});
        std::string text;
        for (int64_t i = 0; i < dataset->size(); ++i) {
            const Sample sample = dataset->get(i, {*tokenizer_, chat_});
            text += sample.id + " " + shown(sample, *tokenizer_) + "\n";
        }
        for (const LeftOut& reason : dataset->left_out()) {
            std::string line = describe(reason);
            for (size_t at = 0; (at = line.find(path.string())) != std::string::npos;)
                line.replace(at, path.string().size(), "TAR");
            text += line + "\n";
        }
        return text;
    }

    ScratchFolder scratch_;
    std::unique_ptr<Tokenizer> tokenizer_ = byte_tokenizer();
    ChatTemplate chat_ = ChatTemplate::named("vicuna_v1");
};

// Members are paired as in the webdataset package, which skips names without a dot and names that
// begin with a dot.
TEST_F(TarPairs, OtherMembersDoNotSeparateSamples) {
    const std::string both = "0 <s>(image)[one</s>]\n1 <s>(image)[two</s>]\n";
    const auto noise = [](const std::string& name) { return tar_member(name, "noise"); };
    const auto with = [&](const std::string& a, const std::string& b) {
        return read(tar_member("0.jpg", "x") + noise(a) + tar_member("0.txt", "one") + noise(b) +
                    tar_member("1.txt", "two") + noise(a) + tar_member("1.jpg", "x"));
    };
    for (const char* name : {"README", "._0.jpg", ".DS_Store", "d/._1.jpg", "__MACOSX/0.png",
                             "PaxHeaders.7/0.jpg", "./PaxHeaders/0.txt", "__index__/0.jpg"})
        EXPECT_EQ(with(name, "LICENSE"), both + "3 members that are no part of a sample: TAR: " +
                                             name + "; TAR: LICENSE" + "; TAR: " + name + "\n");
    EXPECT_EQ(
        read(tar_member("d.x/", "", '5') + tar_member("d.x/0.jpg", "x") +
             tar_member("comment", "18 comment=a b cd\n", 'g') + tar_member("d.x/0.txt", "one")),
        "d.x/0 <s>(image)[one</s>]\n");
}

TEST_F(TarPairs, CountsWhatIsLeftOut) {
    EXPECT_EQ(
        read(tar_member("img.001.jpg", "x") + tar_member("img.001.txt", "one") +
             tar_member("img.002.jpg", "x") + tar_member("7.jpg", "x") + tar_member("7.cls", "3") +
             tar_member("8.jpg", "x") + tar_member("8.txt", "eight") +
             tar_member("9.jpg", "", '1') + tar_member("9.txt", "nine")),
        "8 <s>(image)[eight</s>]\n3 samples without an image or a caption (the name of a "
        "member up to its first dot tells its sample): TAR: img.001.jpg; TAR: 7.jpg; TAR: "
        "9.txt\n1 members that are no part of a sample: TAR: 9.jpg\n");
    EXPECT_EQ(
        read(tar_member("0.jpg", "x") + tar_member("0.txt", "old") + tar_member("0.txt", "new")),
        "0 <s>(image)[new</s>]\n1 members that a later one of the same name replaces: TAR: "
        "0.txt\n");
    EXPECT_EQ(message_of([&] { read(tar_member("a.b.jpg", "x")); }),
              (scratch_.path() / "a.tar").string() +
                  " has no image with a caption: expected members like 0.jpg and 0.txt; found 1 "
                  "samples without an image or a caption (the name of a member up to its first dot "
                  "tells its sample): " +
                  (scratch_.path() / "a.tar").string() + ": a.b.jpg");
}

// `cat` of two archives makes a file of which tar programs read the first archive only.
TEST_F(TarPairs, NamesBytesAfterTheEndOfTheArchive) {
    const std::string one = tar_member("0.jpg", "x") + tar_member("0.txt", "one");
    const std::string end(1024, '\0');
    const std::string pair = "0 <s>(image)[one</s>]\n";
    EXPECT_EQ(read(one + end + std::string(70000, '\0')), pair);
    EXPECT_EQ(read(one + end + one + end),
              pair +
                  "1 tar files with bytes after the end of the archive, which are not read (as in "
                  "archives joined by cat): TAR: offset 3072\n");
}

TEST_F(TarPairs, CaptionsAreTextWithoutLineEnds) {
    const auto caption = [&](const std::string& text) {
        return read(tar_member("0.jpg", "x") + tar_member("0.txt", text));
    };
    EXPECT_EQ(caption("a dog\r\n"), "0 <s>(image)[a dog</s>]\n");
    EXPECT_EQ(caption("\xEF\xBB\xBF"
                      "a dog\n\n"),
              "0 <s>(image)[a dog</s>]\n");
    EXPECT_EQ(caption("a\rdog\r"), "0 <s>(image)[a\ndog</s>]\n");
    const std::string where = (scratch_.path() / "a.tar").string() + ", 0.jpg: ";
    EXPECT_TRUE(message_of([&] {
                    caption("caf\xE9");
                }).starts_with(where + "byte 3 of the text is not UTF-8"));
    EXPECT_TRUE(message_of([&] {
                    caption(
                        std::string("\xFF\xFE"
                                    "a\0",
                                    4));
                }).starts_with(where + "the text is UTF-16"));
}

TEST_F(TarPairs, AFileMayEndOnlyBetweenMembers) {
    const std::string whole = tar_member("0.jpg", "x") + tar_member("0.txt", "one");
    const std::string pair = "0 <s>(image)[one</s>]\n";
    EXPECT_EQ(read(whole), pair) << "without end-of-archive blocks";
    EXPECT_EQ(read(whole + std::string(100, '\0')), pair);
    const std::string more = tar_member("1.jpg", "x");
    for (const size_t cut : {1, 100, 511})
        EXPECT_NE(message_of([&] {
                      read(whole + more.substr(0, cut));
                  }).find("is cut short: it ends within the header at offset 2048"),
                  std::string::npos);
    EXPECT_NE(message_of([&] {
                  read(whole + tar_member("long", "a/b/1.jpg", 'L'));
              }).find("is cut short: it ends after an extended header, at offset 3072"),
              std::string::npos);
}

TEST(Tar, ReadsNamesOfEveryKind) {
    const auto members = read_tar_index(VILA_SOURCE_DIR "/tests/goldens/pairs.tar").files;
    ASSERT_EQ(members.size(), 13u);
    EXPECT_EQ(members[0].name, "shard/0001.jpg");
    EXPECT_EQ(members[7].name,
              "first_of_two_folders_with_long_names/first_of_two_folders_with_long_names/"
              "0005.txt.which_makes_more_than_100_bytes");
    EXPECT_EQ(members[8].name.size(), 7u + 19 * 8 + 8);
    EXPECT_EQ(members[10].bytes, 0);
    EXPECT_EQ(members[12].name, "caf\u00e9.txt");
}

TEST(Tar, RefusesDamagedFiles) {
    const ScratchFolder scratch;
    const std::string good = read_file(VILA_SOURCE_DIR "/tests/goldens/pairs.tar");
    std::string damaged = good;
    damaged[512 + 3] ^= 1;
    const auto path = scratch.write("bad.tar", damaged);
    EXPECT_EQ(message_of([&] { read_tar_index(path); }),
              path.string() +
                  " is damaged, or not a tar file: the header at offset 512 has a wrong checksum");
    const auto cut = scratch.write("cut.tar", good.substr(0, 512 * 9 + 100));
    EXPECT_NE(message_of([&] { read_tar_index(cut); }).find("is cut short: the member at offset"),
              std::string::npos)
        << message_of([&] { read_tar_index(cut); });
    const auto packed = scratch.write("a.tar.gz", "");
    EXPECT_NE(message_of([&] {
                  open_dataset({"pairs", packed, "", 6});
              }).find("unpack it to .tar"),
              std::string::npos);
    const auto empty = scratch.write("empty.tar", std::string(1024, '\0'));
    EXPECT_NE(message_of([&] {
                  open_dataset({"pairs", empty, "", 6});
              }).find("has no image with a caption"),
              std::string::npos);
}

TEST(Dataset, Mmc4Documents) {
    const std::string lines =
        R"({"url": "u", "text_list": ["One.", "Two <image>.", "Three."], "image_info": [
            {"image_name": "b.jpg", "matched_text_index": 2},
            {"image_name": "a.jpg", "matched_text_index": 0},
            {"image_name": "c.jpg", "matched_text_index": 2}]})";
    std::string one_line = lines;
    std::replace(one_line.begin(), one_line.end(), '\n', ' ');
    const std::string more = R"(
{"text_list": ["One.", "Two."], "image_info": []}
{"text_list": [" a ", " b", "", "c"], "image_info": [{"image_name": "x", "matched_text_index": 1}, {"image_name": "y", "matched_text_index": 2}]}
{"text_list": ["only"], "image_info": [{"image_name": "x", "matched_text_index": 1}]}
{"text_list": ["only"], "image_info": [{"matched_text_index": 0}]}
{"text_list": "no list"})";
    const Reader reader("mmc4", "docs.jsonl", one_line + more);
    ASSERT_EQ(reader.size(), 6);
    EXPECT_EQ(reader.text(0), "<s>(image)[One. Two <IMAGE>.](image)(image)[Three.</s>]");
    EXPECT_EQ(reader.images(0), (Paths{"/images/a.jpg", "/images/b.jpg", "/images/c.jpg"}));
    EXPECT_EQ(reader.get(0).id, "u");
    EXPECT_EQ(reader.text(1), "<s>[One. Two.</s>]");
    EXPECT_EQ(reader.text(2), "<s>[ a](image)[b](image)[c</s>]");
    EXPECT_EQ(reader.error(3), "docs.jsonl:4: an image is matched to sentence 1 of 1");
    EXPECT_EQ(reader.error(4), "docs.jsonl:5: the field \"image_name\" is missing");
    EXPECT_EQ(
        reader.error(5),
        "docs.jsonl:6: the field \"text_list\": expected an array of sentences, got \"no list\"");
}

TEST(Dataset, Mmc4KeepsTheFirstImages) {
    std::string infos;
    for (int i = 0; i < 9; ++i)
        infos += std::string(i ? ", " : "") + R"({"image_name": ")" + std::to_string(i) +
                 R"(", "matched_text_index": )" + std::to_string(8 - i) + "}";
    const std::string line =
        R"({"text_list": ["a","b","c","d","e","f","g","h","i"], "image_info": [)" + infos + "]}";
    EXPECT_EQ(Reader("mmc4", "a.jsonl", line).text(0),
              "<s>[a b c](image)[d](image)[e](image)[f](image)[g](image)[h](image)[i</s>]");
    EXPECT_EQ(Reader("mmc4", "a.jsonl", line).images(0)[0], "/images/5");
    EXPECT_EQ(Reader("mmc4", "a.jsonl", line, "qa", 1).text(0),
              "<s>[a b c d e f g h](image)[i</s>]");
    EXPECT_EQ(Reader("mmc4", "a.jsonl", line, "qa", 0).text(0), "<s>[a b c d e f g h i</s>]");
}

class MissingImages : public testing::Test {
  protected:
    MissingImages() {
        for (const char* name : {"0.jpg", "2.jpg", "3.jpg"}) scratch_.write(name, "an image");
        scratch_.write("empty.jpg", "");
        scratch_.write(
            "docs.jsonl",
            R"({"text_list": ["a", "b"], "image_info": [{"image_name": "0.jpg", "matched_text_index": 0}]}
{"text_list": ["c", "d"], "image_info": [{"image_name": "1.jpg", "matched_text_index": 0}, {"image_name": "2.jpg", "matched_text_index": 1}, {"image_name": "3.jpg", "matched_text_index": 1}]}
{"text_list": ["e"], "image_info": [{"image_name": "empty.jpg", "matched_text_index": 0}]}
{"text_list": "no list"}
)");
    }
    std::unique_ptr<Dataset> open(const std::string& format, MissingImage missing,
                                  int64_t max_images = 6) {
        return open_dataset(
            {format, scratch_.path() / "docs.jsonl", scratch_.path(), max_images, missing});
    }
    std::string text(const Dataset& dataset, int64_t index) {
        return shown(dataset.get(index, {*tokenizer_, chat_}), *tokenizer_);
    }
    std::string place(const std::string& name) { return (scratch_.path() / name).string(); }

    ScratchFolder scratch_;
    std::unique_ptr<Tokenizer> tokenizer_ = byte_tokenizer();
    ChatTemplate chat_ = ChatTemplate::named("qa");
};

TEST_F(MissingImages, AreErrorsUnlessAskedOtherwise) {
    const auto dataset = open("mmc4", MissingImage::Error);
    EXPECT_EQ(dataset->size(), 4);
    EXPECT_EQ(text(*dataset, 1), "<s>(image)[c](image)(image)[d</s>]");
    EXPECT_TRUE(dataset->left_out().empty());
}

TEST_F(MissingImages, AreDroppedBeforeTheFirstAreKept) {
    const auto dataset = open("mmc4", MissingImage::DropImage, 1);
    EXPECT_EQ(dataset->size(), 4);
    EXPECT_EQ(text(*dataset, 0), "<s>(image)[a b</s>]");
    EXPECT_EQ(text(*dataset, 1), "<s>[c](image)[d</s>]");
    EXPECT_EQ(text(*dataset, 2), "<s>[e</s>]") << "an empty file holds no image";
    ASSERT_EQ(dataset->left_out().size(), 1u);
    EXPECT_EQ(describe(dataset->left_out()[0]),
              "2 images that are missing: " + place("docs.jsonl:2: 1.jpg; ") +
                  place("docs.jsonl:3: empty.jpg"));
}

TEST_F(MissingImages, DropTheirDocument) {
    const auto dataset = open("mmc4", MissingImage::DropDocument);
    EXPECT_EQ(dataset->size(), 2) << "a record that is no document stays and is an error";
    EXPECT_EQ(text(*dataset, 0), "<s>(image)[a b</s>]");
    EXPECT_EQ(dataset->where(1), place("docs.jsonl:4"));
    EXPECT_EQ(dataset->get(0, {*tokenizer_, chat_}).index, 0);
    ASSERT_EQ(dataset->left_out().size(), 1u);
    EXPECT_EQ(describe(dataset->left_out()[0]),
              "2 records with a missing image: " + place("docs.jsonl:2: 1.jpg; ") +
                  place("docs.jsonl:3: empty.jpg"));
    // Only images that are used count.
    scratch_.write(
        "docs.jsonl",
        R"({"text_list": ["a"], "image_info": [{"image_name": "0.jpg", "matched_text_index": 0}, {"image_name": "1.jpg", "matched_text_index": 0}]})");
    EXPECT_EQ(open("mmc4", MissingImage::DropDocument, 1)->size(), 1);
    EXPECT_TRUE(
        message_of([&] {
            open("mmc4", MissingImage::DropDocument);
        }).starts_with(place("docs.jsonl:1") + " and every other record name a missing image"));
}

TEST_F(MissingImages, OfPairsAndConversations) {
    scratch_.write("docs.jsonl", R"({"image": "1.jpg", "caption": "gone"}
{"image": "2.jpg", "caption": "here"})");
    const auto pairs = open("pairs", MissingImage::DropDocument);
    ASSERT_EQ(pairs->size(), 1);
    EXPECT_EQ(text(*pairs, 0), "<s>(image)[here</s>]");
    scratch_.write("docs.jsonl", R"({"image": ["2.jpg", "1.jpg"], "conversations": []}
{"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]})");
    EXPECT_EQ(open("llava", MissingImage::DropDocument)->size(), 1);
    EXPECT_EQ(message_of([&] { open("llava", MissingImage::DropImage); }),
              "missing_image is \"drop-image\" for " + place("docs.jsonl") +
                  ": only a document of format mmc4 can lose an image; use \"drop-document\"");
}

TEST(Dataset, Instructions) {
    const Reader reader("text-instructions", "a.jsonl",
                        R"({"question": "Q", "answer": "A"}
{"question:": "Q", "answer:": "A"}
{"instruction": "Add.", "input": "1 1", "output": 2}
{"instruction": "Say hi.", "input": "", "output": "hi"}
{"messages": [{"role": "system", "content": "S."}, {"role": "user", "content": "a <image> b"}, {"role": "assistant", "content": "c"}]}
{"prompt": "x"}
{"question": "Q"})");
    EXPECT_EQ(reader.text(0), "<s>question : Q answer :[ A .</s>]");
    EXPECT_EQ(reader.text(1), reader.text(0));
    EXPECT_EQ(reader.text(2), "<s>question : Add.\n1 1 answer :[ 2 .</s>]");
    EXPECT_EQ(reader.text(3), "<s>question : Say hi. answer :[ hi .</s>]");
    EXPECT_EQ(reader.text(4), "<s>S. question : a <IMAGE> b answer :[ c .</s>]");
    EXPECT_EQ(reader.error(5),
              "a.jsonl:6: expected \"question\" and \"answer\", \"instruction\" and \"output\", or "
              "\"messages\"");
    EXPECT_EQ(reader.error(6), "a.jsonl:7: the field \"answer\" or \"answer:\" is missing");
}

TEST(Dataset, PlainText) {
    const Reader paragraphs("text", "a.txt", "One\ntwo.\n\nThree <image>.\n");
    ASSERT_EQ(paragraphs.size(), 2);
    EXPECT_EQ(paragraphs.text(0), "<s>[One\ntwo.</s>]");
    EXPECT_EQ(paragraphs.text(1), "<s>[Three <image>.</s>]");
    const Reader json("text", "a.jsonl", "{\"text\": \"One\"}\n{\"id\": 3, \"text\": \"Two\"}\n{}");
    EXPECT_EQ(json.text(1), "<s>[Two</s>]");
    EXPECT_EQ(json.get(1).id, "3");
    EXPECT_EQ(json.error(2), "a.jsonl:3: the field \"text\" is missing");
}

// One line counts the files of a folder that hold nothing.
TEST(Dataset, CountsFilesWithoutARecord) {
    const auto left_out = [](const std::string& format, const char* suffix,
                             const std::string& content) {
        const ScratchFolder scratch;
        scratch.write(std::string("a") + suffix, content);
        scratch.write(std::string("b") + suffix, "");
        scratch.write(std::string("c") + suffix, "");
        const auto dataset = open_dataset({format, scratch.path(), "", 6});
        EXPECT_EQ(dataset->size(), 1) << format;
        std::string text;
        for (const LeftOut& reason : dataset->left_out()) text += describe(reason);
        for (size_t at; (at = text.find(scratch.path().string() + "/")) != std::string::npos;)
            text.erase(at, scratch.path().string().size() + 1);
        return text;
    };
    for (const std::string& format : dataset_format_names())
        for (const char* suffix : {".json", ".jsonl", ".jsonl.gz"})
            EXPECT_EQ(left_out(format, suffix, "{}"),
                      str("2 files without a record: b", suffix, "; c", suffix));
    EXPECT_EQ(left_out("text", ".txt", "one"), "2 files without a record: b.txt; c.txt");
    EXPECT_EQ(left_out("pairs", ".tar", tar_member("0.jpg", "x") + tar_member("0.txt", "one")),
              "2 files without a record: b.tar; c.tar");
}

TEST(Dataset, OpeningErrors) {
    EXPECT_EQ(message_of([] {
                  open_dataset({"coco", "a.json", "", 6});
              }),
              "unknown data format \"coco\" for a.json: expected llava, pairs, mmc4, "
              "text-instructions or text");
    const ScratchFolder scratch;
    for (const std::string& format : dataset_format_names()) {
        const auto empty = scratch.write("empty.jsonl", "\n");
        EXPECT_EQ(message_of([&] {
                      open_dataset({format, empty, "", 6});
                  }),
                  empty.string() + " is empty: expected at least one record");
        EXPECT_NE(message_of([&] {
                      open_dataset({format, "/no/such.jsonl", "", 6});
                  }).find("/no/such.jsonl"),
                  std::string::npos);
    }
}

}  // namespace
}  // namespace vila::data
