// Reads plain text for language modeling: every document is one sequence with loss on all of it.
// The documents of a .txt file are separated by blank lines; without any blank line, each line is a
// document. The records of a .jsonl or .json file have them under "text".

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "data/records/text_file.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

Sample make_text_sample(const std::string& text, const TemplateContext& context) {
    return make_sample({{Segment::Kind::Bos, "", false},
                        {Segment::Kind::Text, text, true},
                        {Segment::Kind::Eos, "", true}},
                       {}, context);
}

class JsonTextDataset final : public JsonDataset {
  public:
    using JsonDataset::JsonDataset;

  protected:
    Sample make(const Json& record, const TemplateContext& context) const override {
        return make_text_sample(text_field(record, {"text"}), context);
    }
};

class PlainTextDataset final : public Dataset {
  public:
    explicit PlainTextDataset(const DatasetSource& source)
        : records_(source.path, RecordLayout::Paragraphs, {".txt"}) {}

    int64_t size() const override { return records_.size(); }
    std::string where(int64_t index) const override { return records_.where(index); }
    std::vector<LeftOut> left_out() const override {
        return left_out_files(records_.empty_files());
    }
    Sample get(int64_t index, const TemplateContext& context) const override {
        return at_record([&] { return where(index); },
                         [&] {
                             Sample sample =
                                 make_text_sample(read_text(records_.text(index)), context);
                             sample.index = index;
                             return sample;
                         });
    }

  private:
    RecordFiles records_;
};

bool holds_json(const std::filesystem::path& path) {
    const std::filesystem::path file = files_at(path, {".txt", ".json", ".jsonl"}).front();
    const std::filesystem::path name = file.extension() == ".gz" ? file.stem() : file.filename();
    return name.extension() == ".json" || name.extension() == ".jsonl";
}

}  // namespace

std::unique_ptr<Dataset> open_text(const DatasetSource& source) {
    if (holds_json(source.path)) return open_json<JsonTextDataset>(source);
    return std::make_unique<PlainTextDataset>(source);
}

}  // namespace vila::data
