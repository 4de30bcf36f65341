// Reads images with a caption each: JSON records, or webdataset tar files. The members of one
// sample in a tar file share their name up to its first dot (00017.jpg and 00017.txt, or 00017.json
// with a caption in it), as in the webdataset package. Members that are no part of a sample (a
// README, the "._x" that macOS adds to each file x) may stand between those of a sample.

#include <algorithm>
#include <map>
#include <optional>
#include <span>

#include "data/records/dataset_formats.h"
#include "data/records/json_record.h"
#include "data/records/tar.h"
#include "data/records/text_file.h"
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
        return make_pair_sample(image_named(image_names(record).front()), caption_of(record),
                                context);
    }
    std::vector<std::string> image_names(const Json& record) const override {
        return {file_name_of(
            text_field(record, {"image", "image_name", "image_path", "file_name", "url"}))};
    }
};

// Where the image and the caption of one sample are in a tar file.
struct TarPair {
    int32_t file = 0;
    TarMember image;
    TarMember caption;
    bool is_json = false;
};

// Returns the key of the sample that a member belongs to, its name up to the first dot after the
// last slash; empty if it belongs to none.
std::string key_of(const std::string& name) {
    const size_t slash = name.find_last_of('/');
    const size_t file = slash == std::string::npos ? 0 : slash + 1;
    const size_t dot = name.find('.', file);
    if (dot == std::string::npos || dot == file) return "";
    return name.substr(0, dot);
}

// Returns whether a member is metadata: of webdataset (its topmost folder is named like __x__), of
// macOS (it is in __MACOSX), or of pax headers that an old tar program unpacked as files (it is in
// PaxHeaders.123).
bool is_metadata(const std::string& name) {
    std::string_view rest = name;
    for (bool is_first = true; !rest.empty(); is_first = false) {
        const std::string_view part = rest.substr(0, rest.find('/'));
        if (is_first && part.size() > 4 && part.starts_with("__") && part.ends_with("__"))
            return true;
        if (part == "__MACOSX" || part == "PaxHeaders" || part.starts_with("PaxHeaders."))
            return true;
        rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    }
    return false;
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
        std::string found;
        for (const LeftOut& reason : left_out()) found += "; found " + describe(reason);
        VILA_CHECK(!pairs_.empty(), source.path.string(),
                   " has no image with a caption: expected members like 0.jpg and 0.txt", found);
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
            if (pair.is_json)
                caption = caption_of(parse_json(caption, ""));
            else
                caption = read_text(caption);
            while (!caption.empty() && caption.back() == '\n') caption.pop_back();
            const ImageRef image{paths_[pair.file].string(), pair.image.offset, pair.image.bytes};
            Sample sample = make_pair_sample(image, caption, context);
            sample.id = key_of(pair.image.name);
            sample.index = index;
            return sample;
        };
        return at_record([&] { return where(index); }, make_one);
    }

    std::vector<LeftOut> left_out() const override {
        std::vector<LeftOut> reasons = left_out_files(empty_files_);
        for (const LeftOut* reason : {&unread_, &incomplete_, &repeated_, &others_})
            if (reason->count > 0) reasons.push_back(*reason);
        return reasons;
    }

  private:
    void add_pairs(int32_t file) {
        const TarIndex index = read_tar_index(paths_[file]);
        const auto place = [&](const std::string& name) {
            return str(paths_[file].string(), ": ", name);
        };
        if (index.files.empty() && index.links.empty()) empty_files_.push_back(paths_[file]);
        if (index.unread >= 0) unread_.add(place(str("offset ", index.unread)));
        std::vector<TarMember> members;  // parts of samples
        for (const TarMember& member : index.files) {
            if (key_of(member.name).empty() || is_metadata(member.name))
                others_.add(place(member.name));
            else
                members.push_back(member);
        }
        for (const std::string& link : index.links) others_.add(place(link));
        for (size_t begin = 0, end; begin < members.size(); begin = end) {
            end = begin + 1;
            const std::string key = key_of(members[begin].name);
            while (end < members.size() && key_of(members[end].name) == key) ++end;
            if (!add_pair(file, {members.begin() + static_cast<int64_t>(begin),
                                 members.begin() + static_cast<int64_t>(end)}))
                incomplete_.add(place(members[begin].name));
        }
    }

    // Adds a sample of adjacent members with one key; returns false if it has no image or no
    // caption.
    bool add_pair(int32_t file, std::span<const TarMember> members) {
        std::optional<TarMember> image, text, json;
        const auto take = [&](std::optional<TarMember>& part, const TarMember& member) {
            if (part && part->name == member.name)
                repeated_.add(str(paths_[file].string(), ": ", member.name));
            part = member;
        };
        for (const TarMember& member : members) {
            const std::string extension = extension_of(member.name);
            if (is_image(extension)) take(image, member);
            if (extension == "txt") take(text, member);
            if (extension == "json") take(json, member);
        }
        if (!image || !(text || json)) return false;
        pairs_.push_back({file, *image, text ? *text : *json, !text});
        return true;
    }

    std::vector<std::filesystem::path> paths_;
    std::vector<std::unique_ptr<RandomAccessFile>> files_;
    std::vector<TarPair> pairs_;
    std::vector<std::filesystem::path> empty_files_;
    LeftOut unread_{.what =
                        "tar files with bytes after the end of the archive, which are not read (as "
                        "in archives joined by cat)",
                    .count = 0,
                    .examples = {}};
    LeftOut incomplete_{.what =
                            "samples without an image or a caption (the name of a member up to "
                            "its first dot tells its sample)",
                        .count = 0,
                        .examples = {}};
    LeftOut repeated_{
        .what = "members that a later one of the same name replaces", .count = 0, .examples = {}};
    LeftOut others_{.what = "members that are no part of a sample", .count = 0, .examples = {}};
};

bool holds_tar(const std::filesystem::path& path) {
    const std::filesystem::path file = files_at(path, {".tar", ".json", ".jsonl"}).front();
    return file.extension() == ".tar" || file.stem().extension() == ".tar";
}

}  // namespace

std::unique_ptr<Dataset> open_pairs(const DatasetSource& source) {
    if (holds_tar(source.path)) return std::make_unique<TarPairsDataset>(source);
    return open_json<PairsDataset>(source);
}

}  // namespace vila::data
