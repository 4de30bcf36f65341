#include "tests/faults/crash_states.h"

#include <fstream>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila {

namespace fs = std::filesystem;

namespace {

bool draw(std::mt19937_64& random, double probability) {
    return std::uniform_real_distribution<double>()(random) < probability;
}

}  // namespace

CrashDisk::CrashDisk(const fs::path& folder) : root_(std::make_shared<Node>()) {
    root_->is_folder = true;
    nodes_.push_back(root_);
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        const auto node = std::make_shared<Node>();
        node->is_folder = entry.is_directory();
        if (!node->is_folder) node->writes.push_back({read_file(entry.path()), true});
        nodes_.push_back(node);
        set(entry.path().lexically_relative(folder).string(), node);
    }
    for (const NodePointer& node : nodes_)
        for (Update& update : node->updates) update.synced = true;
}

CrashDisk::NodePointer CrashDisk::find(const Node& folder, const std::string& name) {
    NodePointer found;
    for (const Update& update : folder.updates)
        for (const auto& [changed, node] : update.names)
            if (changed == name) found = node;
    return found;
}

CrashDisk::NodePointer CrashDisk::find(const std::string& path) const {
    NodePointer node = root_;
    for (const fs::path& name : fs::path(path)) {
        node = find(*node, name.string());
        VILA_CHECK(node != nullptr, path, ": a change of something that is not there");
    }
    return node;
}

void CrashDisk::set(const std::string& path, const NodePointer& node) {
    const fs::path name(path);
    find(name.parent_path().string())->updates.push_back({{{name.filename().string(), node}}});
}

void CrashDisk::apply(const FileChange& change) {
    using Kind = FileChange::Kind;
    switch (change.kind) {
        case Kind::MakeFolder:
        case Kind::Create:
            nodes_.push_back(std::make_shared<Node>());
            nodes_.back()->is_folder = change.kind == Kind::MakeFolder;
            return set(change.path, nodes_.back());
        case Kind::Truncate:
            VILA_CHECK(false, change.path, ": written in place");
            return;
        case Kind::Write:
            return find(change.path)->writes.push_back({change.bytes});
        case Kind::Sync: {
            const NodePointer node = find(change.path);
            for (Update& update : node->updates) update.synced = true;
            for (Write& write : node->writes) write.synced = true;
            return;
        }
        case Kind::Rename: {
            const fs::path from(change.path), to(change.to);
            VILA_CHECK(from.parent_path() == to.parent_path(),
                       "renamed into another folder: ", change.to);
            find(from.parent_path().string())
                ->updates.push_back({{{from.filename().string(), nullptr},
                                      {to.filename().string(), find(change.path)}}});
            return;
        }
        case Kind::Remove:
            find(change.path);
            return set(change.path, nullptr);
    }
}

int64_t CrashDisk::open_changes() const {
    int64_t open = 0;
    for (const NodePointer& node : nodes_) {
        for (const Update& update : node->updates) open += update.synced ? 0 : 1;
        for (const Write& write : node->writes) open += write.synced ? 0 : 1;
    }
    return open;
}

CrashDisk::Contents CrashDisk::crash(std::mt19937_64& random, const Keep& keep) const {
    Contents contents;
    collect(*root_, "", random, keep, contents);
    return contents;
}

void CrashDisk::collect(const Node& folder, const std::string& path, std::mt19937_64& random,
                        const Keep& keep, Contents& contents) {
    std::map<std::string, NodePointer> names;
    for (const Update& update : folder.updates) {
        if (!update.synced && !draw(random, keep.names)) continue;
        for (const auto& [name, node] : update.names) names[name] = node;
    }
    for (const auto& [name, node] : names) {
        if (node == nullptr) continue;
        if (node->is_folder) {
            contents[path + name + "/"] = "";
            collect(*node, path + name + "/", random, keep, contents);
        } else {
            contents[path + name] = torn(*node, random, keep);
        }
    }
}

std::string CrashDisk::torn(const Node& file, std::mt19937_64& random, const Keep& keep) {
    std::string bytes;
    size_t offset = 0;
    for (const Write& write : file.writes) {
        std::string part = write.bytes;
        const size_t size = part.size();
        if (!write.synced && !draw(random, keep.bytes)) {
            const uint64_t way = random() % 3;
            if (way == 0) part.clear();
            if (way == 1) part.resize(random() % (size + 1));
            if (way == 2)  // the length reached the disk, but not the bytes
                std::fill(part.begin() + static_cast<std::ptrdiff_t>(random() % (size + 1)),
                          part.end(), '\0');
        }
        if (!part.empty()) {
            if (bytes.size() < offset) bytes.resize(offset, '\0');
            bytes += part;
        }
        offset += size;
    }
    return bytes;
}

void write_contents(const CrashDisk::Contents& contents, const fs::path& folder) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    for (const auto& [path, bytes] : contents) {
        if (path.ends_with('/')) {
            fs::create_directory(folder / path);
        } else {
            std::ofstream(folder / path, std::ios::binary) << bytes;
        }
    }
}

}  // namespace vila
