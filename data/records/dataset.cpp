#include "data/records/dataset.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "tensor/check.h"
#include "tensor/json.h"
#include "tensor/name_list.h"
#include "tensor/shortened.h"

namespace vila::data {

namespace {

// Returns whether a file is there and not empty. Throws if the system cannot tell.
bool is_present(const std::filesystem::path& path) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path, error);
    if (!error) return bytes > 0;
    try {
        throw FileError(str(path.string(), ": cannot stat: ", error.message()), error.value());
    } catch (const FileError& failure) {
        rethrow_system_failure(failure);
    }
    return false;
}

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

std::vector<std::string> missing_image_names() {
    return {"error", "drop-image", "drop-document"};
}

MissingImage missing_image_named(const std::string& name) {
    const std::vector<std::string> names = missing_image_names();
    const auto found = std::find(names.begin(), names.end(), name);
    VILA_CHECK(found != names.end(), "missing_image is \"", name, "\": expected ",
               name_list(names));
    return static_cast<MissingImage>(found - names.begin());
}

void LeftOut::add(const std::string& example) {
    constexpr size_t kExamples = 5, kExampleBytes = 250;
    ++count;
    if (examples.size() < kExamples) examples.push_back(shortened(example, kExampleBytes));
}

std::string describe(const LeftOut& left_out) {
    std::string text = str(left_out.count, " ", left_out.what);
    for (size_t i = 0; i < left_out.examples.size(); ++i)
        text += str(i == 0 ? ": " : "; ", left_out.examples[i]);
    const bool all = left_out.count == static_cast<int64_t>(left_out.examples.size());
    return all ? text : text + "; ...";
}

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
    VILA_CHECK(source.missing_image != MissingImage::DropImage || source.format == "mmc4",
               "missing_image is \"drop-image\" for ", source.path.string(),
               ": only a document of format mmc4 can lose an image; use \"drop-document\"");
    for (const DatasetFormat& format : kFormats)
        if (source.format == format.name) return format.open(source);
    throw Error(str("unknown data format \"", source.format, "\" for ", source.path.string(),
                    ": expected ", name_list(dataset_format_names())));
}

std::vector<LeftOut> left_out_files(const std::vector<std::filesystem::path>& empty_files) {
    if (empty_files.empty()) return {};
    LeftOut files{.what = "files without a record", .count = 0, .examples = {}};
    for (const std::filesystem::path& file : empty_files) files.add(file.string());
    return {files};
}

JsonDataset::JsonDataset(const DatasetSource& source)
    : records_(source.path, RecordLayout::Json, {".json", ".jsonl"}),
      images_(source.images),
      missing_image_(source.missing_image) {}

void JsonDataset::leave_out_missing() {
    if (missing_image_ == MissingImage::Error) return;
    const bool drops_images = missing_image_ == MissingImage::DropImage;
    left_out_.what = drops_images ? "images that are missing" : "records with a missing image";
    for (int64_t i = 0; i < records_.size(); ++i) {
        std::vector<std::string> missing;
        try {
            for (std::string& name : image_names(parse_json(records_.text(i), "")))
                if (!is_present(image_named(name).path)) missing.push_back(std::move(name));
        } catch (const std::exception& error) {
            rethrow_system_failure(error);
            missing.clear();  // get() reports the record
        }
        if (missing.empty() || drops_images) kept_.push_back(i);
        if (!drops_images) missing.resize(std::min<size_t>(missing.size(), 1));
        for (const std::string& name : missing) {
            left_out_.add(str(records_.where(i), ": ", name));
            if (drops_images) missing_.insert(name);
        }
    }
    VILA_CHECK(!kept_.empty(), records_.where(0), " and every other record name a missing image (",
               left_out_.examples.front(), "): is images = ", images_.string(), " right?");
}

std::vector<LeftOut> JsonDataset::left_out() const {
    std::vector<LeftOut> reasons = left_out_files(records_.empty_files());
    if (left_out_.count > 0) reasons.push_back(left_out_);
    return reasons;
}

Sample JsonDataset::get(int64_t index, const TemplateContext& context) const {
    const auto make_one = [&] {
        const Json record = parse_json(records_.text(record_of(index)), "");
        Sample sample = make(record, context);
        sample.id = record_id(record);
        sample.index = index;
        return sample;
    };
    return at_record([&] { return where(index); }, make_one);
}

ImageRef JsonDataset::image_named(const std::string& name) const {
    VILA_CHECK(!name.empty(), "the name of an image is empty: expected a file name");
    VILA_CHECK(name.find('\0') == std::string::npos, "the name of an image, ", shown(Json(name)),
               ", has a NUL byte: expected a file name");
    return {(images_ / name).string()};
}

Sample at_record(const std::function<std::string()>& where, const std::function<Sample()>& action) {
    try {
        Sample sample = action();
        check_sample(sample);
        return sample;
    } catch (const Json::exception& error) {
        throw Error(str(where(), ": ", json_error_text(error)));
    } catch (const FileError& error) {
        throw FileError(str(where(), ": ", error.what()), error.code());
    } catch (const std::exception& error) {
        rethrow_system_failure(error);  // memory
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
