#include "data/records/dataset.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "tensor/check.h"
#include "tensor/json.h"
#include "tensor/name_list.h"

namespace vila::data {

namespace {

// The only list of formats. Recipes, options, help texts and error messages all use it.
constexpr DatasetFormat kFormats[] = {
    {"llava", "conversations about images (VILA, LLaVA, ShareGPT4V): json array or jsonl",
     open_llava},
    {"pairs", "images with a caption each: json array, jsonl or webdataset tar", open_pairs},
    {"mmc4", "documents with images between their sentences: json array or jsonl", open_mmc4},
    {"text-instructions",
     "questions and answers, instructions and outputs, or messages, without images: json array or "
     "jsonl",
     open_instructions},
    {"text", "plain text, or json records with a \"text\" field", open_text},
};

}  // namespace

std::span<const DatasetFormat> dataset_formats() {
    return kFormats;
}

std::vector<std::string> dataset_format_names() {
    std::vector<std::string> names;
    for (const DatasetFormat& format : kFormats) names.emplace_back(format.name);
    return names;
}

std::string describe_dataset_formats() {
    size_t width = 0;
    for (const DatasetFormat& format : kFormats)
        width = std::max(width, std::string_view(format.name).size());
    std::string text;
    for (const DatasetFormat& format : kFormats) {
        std::string name = format.name;
        name.resize(width, ' ');
        text += str("  ", name, "  ", format.description, "\n");
    }
    return text;
}

std::unique_ptr<Dataset> open_dataset(const DatasetSource& source) {
    for (const DatasetFormat& format : kFormats)
        if (source.format == format.name) return format.open(source);
    throw Error(str("unknown data format \"", source.format, "\" for ", source.path.string(),
                    ": expected ", name_list(dataset_format_names())));
}

JsonDataset::JsonDataset(const DatasetSource& source)
    : records_(source.path, RecordLayout::Json, {".json", ".jsonl"}), images_(source.images) {}

Sample JsonDataset::get(int64_t index, const TemplateContext& context) const {
    const auto make_one = [&] {
        const Json record = parse_json(records_.text(index), "");
        Sample sample = make(record, context);
        sample.id = record_id(record);
        sample.index = index;
        return sample;
    };
    return at_record([&] { return where(index); }, make_one);
}

ImageRef JsonDataset::image_named(const std::string& name) const {
    VILA_CHECK(!name.empty(), "an image has no name");
    return {(images_ / name).string()};
}

Sample at_record(const std::function<std::string()>& where, const std::function<Sample()>& action) {
    try {
        Sample sample = action();
        check_sample(sample);
        return sample;
    } catch (const Json::exception& error) {
        throw Error(str(where(), ": ", json_error_text(error)));
    } catch (const std::exception& error) {
        throw Error(str(where(), ": ", error.what()));
    }
}

Sample make_sample(const std::vector<Segment>& segments, std::vector<ImageRef> images,
                   const TemplateContext& context) {
    TokenizedText encoded = encode_segments(segments, context.tokenizer);
    Sample sample;
    sample.ids = std::move(encoded.ids);
    sample.labels = std::move(encoded.labels);
    sample.images = std::move(images);
    return sample;
}

Sample make_pair_sample(const ImageRef& image, const std::string& caption,
                        const TemplateContext& context) {
    using Kind = Segment::Kind;
    if (context.chat.is_plain()) {
        const Message messages[] = {{Role::User, std::string(kImagePlaceholder)},
                                    {Role::Assistant, without_placeholders(caption)}};
        return make_sample(context.chat.render(messages), {image}, context);
    }
    return make_sample({{Kind::Bos, "", false},
                        {Kind::Image, "", false},
                        {Kind::Text, caption, true},
                        {Kind::Eos, "", true}},
                       {image}, context);
}

}  // namespace vila::data
