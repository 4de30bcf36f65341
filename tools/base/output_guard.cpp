#include "tools/base/output_guard.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "tensor/check.h"
#include "tensor/output_path.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

std::optional<FileId> identity(const struct stat& status) {
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return std::nullopt;
    return FileId{status.st_dev, status.st_ino};
}

// Returns nothing for a device, a pipe and a missing file.
std::optional<FileId> identify(const fs::path& path) {
    struct stat status = {};
    return ::stat(path.c_str(), &status) == 0 ? identity(status) : std::nullopt;
}

std::optional<FileId> identify(int descriptor) {
    struct stat status = {};
    return ::fstat(descriptor, &status) == 0 ? identity(status) : std::nullopt;
}

// Returns the absolute path without links. A path that cannot be resolved is refused where it is
// opened.
fs::path real_path(const fs::path& path) {
    std::error_code ignored;
    return fs::weakly_canonical(follow_links(path), ignored);
}

// Returns the existing folders above a real path.
std::vector<FileId> folders_above(const fs::path& real) {
    std::vector<FileId> folders;
    for (fs::path path = real; path.has_relative_path();) {
        path = path.parent_path();
        if (const std::optional<FileId> folder = identify(path)) folders.push_back(*folder);
    }
    return folders;
}

// "--output FILE", or the name alone for a standard stream.
std::string described(const std::string& name, const fs::path& path) {
    return is_standard_stream(path) ? name : str(name, " ", path.string());
}

}  // namespace

bool lies_inside(const fs::path& path, const fs::path& folder) {
    const std::optional<FileId> outer = identify(folder);
    const fs::path real = real_path(path);
    return outer &&
           (identify(real) == outer || std::ranges::count(folders_above(real), *outer) > 0);
}

OutputGuard::OutputGuard(const std::vector<NamedArgument>& outputs) {
    std::vector<fs::path> names;
    for (const NamedArgument& argument : outputs) {
        const fs::path& path = argument.value;
        if (path.empty()) continue;
        const bool is_stream = is_standard_stream(path);
        const fs::path real = is_stream ? fs::path() : real_path(path);
        Output output = {argument.name, path, is_stream ? identify(STDOUT_FILENO) : identify(real),
                         folders_above(real)};
        for (size_t i = 0; i < outputs_.size(); ++i) {
            const Output& other = outputs_[i];
            const bool is_same = output.itself ? output.itself == other.itself
                                               : names[i] == real && !fs::exists(real);
            VILA_CHECK(!is_same, described(output.name, path), ": is also ",
                       described(other.name, other.path), "; name two different files");
        }
        names.push_back(real);
        outputs_.push_back(std::move(output));
    }
}

OutputGuard::OutputGuard(const char* name, const fs::path& path)
    : OutputGuard(std::vector<NamedArgument>{NamedArgument{name, path}}) {}

void OutputGuard::check_input(const std::string& name, const fs::path& input) const {
    const std::optional<FileId> id =
        is_standard_stream(input) ? identify(STDIN_FILENO) : identify(input);
    if (!id) return;
    const bool is_folder = fs::is_directory(input);
    for (const Output& output : outputs_)
        VILA_CHECK(output.itself != id && std::ranges::count(output.folders, *id) == 0,
                   described(output.name, output.path), is_folder ? ": lies inside " : ": is also ",
                   described(name, input), ", which is read; choose another ",
                   is_folder ? "place" : "name");
}

}  // namespace vila::tools
