// Reads images with a caption each: JSON records, or webdataset tar files. The members of one
// sample in a tar file share their name up to its first dot (00017.jpg and 00017.txt, or 00017.json
// with a caption in it).

#include <algorithm>
#include <map>
#include <optional>

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "data/records/tar.h"
#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

std::string caption_of(const Json& record) {
    return text_field(record, {"caption", "text", "TEXT"});
}

// Returns the last part of a URL, which download tools use as the file name.
std::string file_name_of(const std::string& address) {
    if (address.find("://") == std::string::npos) return address;
    const std::string path = address.substr(0, address.find_first_of("?#"));
    return path.substr(path.find_last_of('/') + 1);
}

class PairsDataset final : public JsonDataset {
  public:
    using JsonDataset::JsonDataset;

  protected:
    Sample make(const Json& record, const TemplateContext& context) const override {
        const std::string image =
            text_field(record, {"image", "image_name", "image_path", "file_name", "url"});
        return make_pair_sample(image_named(file_name_of(image)), caption_of(record), context);
    }
};

// Where the image and the caption of one sample are in a tar file.
struct TarPair {
    int32_t file = 0;
    TarMember image;
    TarMember caption;
    bool is_json = false;
};

std::string key_of(const std::string& name) {
    const size_t slash = name.find_last_of('/');
    return name.substr(0, name.find('.', slash == std::string::npos ? 0 : slash));
}

std::string extension_of(const std::string& name) {
    std::string extension = name.substr(std::min(key_of(name).size() + 1, name.size()));
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return extension;
}

bool is_image(const std::string& extension) {
    for (const char* known : {"jpg", "jpeg", "png", "webp", "bmp", "gif"})
        if (extension == known) return true;
    return false;
}

class TarPairsDataset final : public Dataset {
  public:
    explicit TarPairsDataset(const DatasetSource& source)
        : paths_(files_at(source.path, {".tar"})) {
        for (size_t i = 0; i < paths_.size(); ++i) {
            VILA_CHECK(paths_[i].extension() == ".tar", paths_[i].string(),
                       " is compressed: unpack it to .tar, whose members can be read one by one");
            files_.push_back(std::make_unique<RandomAccessFile>(paths_[i]));
            add_pairs(static_cast<int32_t>(i));
        }
        VILA_CHECK(!pairs_.empty(), source.path.string(),
                   " has no image with a caption: expected members like 0.jpg and 0.txt");
    }

    int64_t size() const override { return static_cast<int64_t>(pairs_.size()); }
    std::string where(int64_t index) const override {
        const TarPair& pair = pairs_.at(index);
        return str(paths_[pair.file].string(), ", ", pair.image.name);
    }
    Sample get(int64_t index, const TemplateContext& context) const override {
        const auto make_one = [&] {
            const TarPair& pair = pairs_.at(index);
            std::string caption(static_cast<size_t>(pair.caption.bytes), '\0');
            files_[pair.file]->read_at(pair.caption.offset, caption.data(), pair.caption.bytes);
            if (pair.is_json) caption = caption_of(parse_json(caption, ""));
            while (!caption.empty() && caption.back() == '\n') caption.pop_back();
            const ImageRef image{paths_[pair.file].string(), pair.image.offset, pair.image.bytes};
            Sample sample = make_pair_sample(image, caption, context);
            sample.id = key_of(pair.image.name);
            sample.index = index;
            return sample;
        };
        return at_record([&] { return where(index); }, make_one);
    }

  private:
    // Adjacent members with one key are one sample; a sample without image or caption is left out.
    void add_pairs(int32_t file) {
        const std::vector<TarMember> members = read_tar_index(paths_[file]);
        for (size_t begin = 0, end; begin < members.size(); begin = end) {
            const std::string key = key_of(members[begin].name);
            std::optional<TarMember> image, text, json;
            for (end = begin; end < members.size() && key_of(members[end].name) == key; ++end) {
                const std::string extension = extension_of(members[end].name);
                if (is_image(extension)) image = members[end];
                if (extension == "txt") text = members[end];
                if (extension == "json") json = members[end];
            }
            if (!image || !(text || json)) continue;
            pairs_.push_back({file, *image, text ? *text : *json, !text});
        }
    }

    std::vector<std::filesystem::path> paths_;
    std::vector<std::unique_ptr<RandomAccessFile>> files_;
    std::vector<TarPair> pairs_;
};

bool holds_tar(const std::filesystem::path& path) {
    const std::filesystem::path file = files_at(path, {".tar", ".json", ".jsonl"}).front();
    return file.extension() == ".tar" || file.stem().extension() == ".tar";
}

}  // namespace

std::unique_ptr<Dataset> open_pairs(const DatasetSource& source) {
    if (holds_tar(source.path)) return std::make_unique<TarPairsDataset>(source);
    return std::make_unique<PairsDataset>(source);
}

}  // namespace vila::data
