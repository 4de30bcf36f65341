#include "data/records/dataset.h"

#include <gtest/gtest.h>

#include <string>

#include "data/records/conversation.h"
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

std::string placed(const std::string& text, int64_t images) {
    std::vector<Message> messages = {{Role::System, "be brief"}, {Role::User, text}};
    place_images(messages, images);
    return messages[1].text;
}

TEST(Dataset, PlacesImages) {
    EXPECT_EQ(placed("What?", 1), "<image>\nWhat?");
    EXPECT_EQ(placed("What?", 2), "<image>\n<image>\nWhat?");
    EXPECT_EQ(placed("<image>\nWhat?", 1), "<image>\nWhat?");
    EXPECT_EQ(placed("What?\n<image>", 1), "What? <image>\n");
    EXPECT_EQ(placed("See  <image>  and\n<image>!", 2), "See <image>\nand <image>\n!");
    EXPECT_EQ(placed("<image><image>", 2), "<image>\n<image>\n");
    EXPECT_EQ(placed("a <image> tag", 0), "a <IMAGE> tag");
    std::vector<Message> later = {
        {Role::User, "Hi"}, {Role::Assistant, "Yes"}, {Role::User, "<image>And?"}};
    place_images(later, 1);
    EXPECT_EQ(later[0].text, "Hi");
    EXPECT_EQ(later[2].text, "<image>\nAnd?");
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
        {"conversations": [1 2]}
    ])");
    ASSERT_EQ(reader.size(), 10);
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

TEST(Tar, ReadsNamesOfEveryKind) {
    const auto members = read_tar_index(VILA_SOURCE_DIR "/tests/goldens/pairs.tar");
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
