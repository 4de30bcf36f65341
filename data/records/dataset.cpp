#include "data/records/dataset.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

struct Format {
    const char* name;
    std::unique_ptr<Dataset> (*open)(const DatasetSource&);
};

constexpr Format kFormats[] = {
    {"llava", open_llava}, {"pairs", open_pairs},
    {"mmc4", open_mmc4},   {"text-instructions", open_instructions},
    {"text", open_text},
};

}  // namespace

std::vector<std::string> dataset_formats() {
    std::vector<std::string> names;
    for (const Format& format : kFormats) names.emplace_back(format.name);
    return names;
}

std::unique_ptr<Dataset> open_dataset(const DatasetSource& source) {
    for (const Format& format : kFormats)
        if (source.format == format.name) return format.open(source);
    std::string known;
    for (const Format& format : kFormats) known += str(known.empty() ? "" : ", ", format.name);
    throw Error(str("unknown data format \"", source.format, "\" for ", source.path.string(),
                    ": expected one of ", known));
}

JsonDataset::JsonDataset(const DatasetSource& source)
    : records_(source.path, RecordLayout::Json, {".json", ".jsonl"}), images_(source.images) {}

Sample JsonDataset::get(int64_t index, const TemplateContext& context) const {
    const auto make_one = [&] {
        const nlohmann::json record = nlohmann::json::parse(records_.text(index));
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
    } catch (const nlohmann::json::parse_error& error) {
        throw Error(str(where(), ": not valid JSON: ", error.what()));
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
