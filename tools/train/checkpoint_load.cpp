// load_checkpoint(): opens the files that a manifest names and compares every part with its hash.

#include <algorithm>
#include <map>
#include <memory>

#include "tools/base/hash64.h"
#include "tools/train/checkpoint_format.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// The files of a checkpoint and the table of its tensors.
class CheckpointFiles {
  public:
    CheckpointFiles(const fs::path& directory, const Json& manifest, Device& device)
        : device_(device) {
        for (const Json& file : manifest.at("files"))
            open(directory, file.at("name").get<std::string>(), file.at("bytes").get<int64_t>());
        for (const Json& entry : manifest.at("tensors")) add(entry);
    }

    // Compares every `shares`-th part, starting with number `share`, with its hash.
    void verify(int64_t share, int64_t shares) const {
        int64_t number = 0;
        for (const auto& [name, entry] : entries_)
            for (const Part& part : entry.parts)
                if (number++ % shares == share) verify(name, entry, part);
    }

    Tensor tensor(const std::string& name) const {
        const Entry& entry = at(name);
        const Tensor whole = Tensor::empty(device_, entry.shape, dtype_from_name(entry.dtype));
        read({.name = name, .shape = entry.shape, .begin = 0, .values = whole});
        return whole;
    }

    void read(const TensorPart& wanted) const {
        const Entry& entry = at(wanted.name);
        VILA_CHECK_EQ(entry.shape, wanted.shape, "shape of ", wanted.name, " in the checkpoint");
        VILA_CHECK(dtype_name(wanted.values.dtype()) == entry.dtype, "the checkpoint has ",
                   wanted.name, " as ", entry.dtype, ", expected ", wanted.values.dtype());
        const Tensor out = wanted.values.reshape({wanted.values.numel()});
        const int64_t wanted_end = wanted.begin + out.numel();
        for (const Part& part : entry.parts) {
            const int64_t begin = std::max(part.begin, wanted.begin);
            const int64_t end = std::min(part.begin + part.count, wanted_end);
            if (begin >= end) continue;
            const Tensor values = part.file->load(wanted.name, out.device()).reshape({part.count});
            out.slice(0, begin - wanted.begin, end - wanted.begin)
                .copy_from(values.slice(0, begin - part.begin, end - part.begin));
        }
    }

  private:
    struct Part {
        const SafetensorsFile* file;
        int64_t begin, count;
        std::string hash;
    };
    struct Entry {
        std::string dtype;
        Shape shape;
        std::vector<Part> parts;
    };

    void open(const fs::path& directory, const std::string& name, int64_t bytes) {
        VILA_CHECK(fs::path(name).filename() == name, directory.string(), ": file name '", name,
                   "' in the manifest");
        const auto file = std::make_shared<SafetensorsFile>(directory / name);
        VILA_CHECK_EQ(static_cast<int64_t>(fs::file_size(file->path())), bytes,
                      file->path().string(), ": bytes");
        files_[name] = file;
    }

    void add(const Json& json) {
        const std::string name = json.at("name");
        Entry entry{.dtype = json.at("dtype"),
                    .shape = Shape(json.at("shape").get<std::vector<int64_t>>()),
                    .parts = {}};
        const auto add_part = [&](const Json& part, int64_t begin, int64_t count) {
            const auto file = files_.find(part.at("file").get<std::string>());
            VILA_CHECK(file != files_.end(), "tensor ", name, ": its file ", part.at("file").dump(),
                       " is not in the manifest");
            entry.parts.push_back({file->second.get(), begin, count, part.at("hash")});
        };
        if (json.contains("parts"))
            for (const Json& part : json.at("parts"))
                add_part(part, part.at("begin").get<int64_t>(), part.at("values").get<int64_t>());
        else
            add_part(json, 0, entry.shape.numel());
        std::sort(entry.parts.begin(), entry.parts.end(),
                  [](const Part& a, const Part& b) { return a.begin < b.begin; });
        int64_t known = 0;
        for (const Part& part : entry.parts) {
            VILA_CHECK(part.begin == known && part.count >= 0, "tensor ", name,
                       ": in the manifest, values from ", known, " on are missing or repeated");
            known += part.count;
        }
        VILA_CHECK_EQ(known, entry.shape.numel(), "tensor ", name, ": values in the manifest");
        entries_[name] = std::move(entry);
    }

    void verify(const std::string& name, const Entry& entry, const Part& part) const {
        const std::string file = part.file->path().string();
        const Tensor values = part.file->load(name, device_);
        VILA_CHECK(dtype_name(values.dtype()) == entry.dtype && values.numel() == part.count, file,
                   ": tensor ", name, ": dtype or shape does not agree");
        VILA_CHECK(hash_text(hash64(values)) == part.hash, file, ": tensor ", name,
                   ": its hash does not agree");
    }

    const Entry& at(const std::string& name) const {
        const auto found = entries_.find(name);
        VILA_CHECK(found != entries_.end(), "the checkpoint has no tensor ", name);
        return found->second;
    }

    Device& device_;
    std::map<std::string, std::shared_ptr<SafetensorsFile>> files_;
    std::map<std::string, Entry> entries_;
};

}  // namespace

Checkpoint load_checkpoint(const fs::path& path, Device& device, int64_t reader, int64_t readers) {
    const Json manifest = read_manifest(path / kManifest);
    const auto files = std::make_shared<CheckpointFiles>(path, manifest, device);
    files->verify(reader, readers);
    return {.step = manifest.at("step").get<int64_t>(),
            .tensor = [files](const std::string& name) { return files->tensor(name); },
            .read = [files](const TensorPart& part) { files->read(part); },
            .info = manifest.at("info")};
}

}  // namespace vila::tools
