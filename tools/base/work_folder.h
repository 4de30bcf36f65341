#pragma once

// WorkFolder: a folder that a command fills over several starts, such as a training run.
//
// FOLDER/.lock is locked while a process works there. It also records what was made there, so that
// nothing else is removed; a line is only ever added:
//     vila train                         the first line: what made the folder
//     process 4711-0123456789abcdef      a process that worked there, by its temporary names
//     tokenizer 0123456789abcdef         further names, each with a value

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace vila::tools {

class WorkFolder {
  public:
    struct Kind {
        const char* title;  // first line of .lock: "vila train"
        const char* what;   // for messages: "a run"
        const char* busy;   // message if another process has the lock
    };

    // Creates the folder if it is missing, and locks it. Throws if another process has the lock,
    // and if the folder holds files but is not of this kind; `adopt` accepts it then, because it
    // was made by a version that did not write .lock. Files that are this process's standard output
    // or error do not count.
    WorkFolder(std::filesystem::path folder, const Kind& kind, bool adopt);
    ~WorkFolder();
    WorkFolder(const WorkFolder&) = delete;
    WorkFolder& operator=(const WorkFolder&) = delete;

    // Returns whether no earlier process had used the folder: it was empty, or was adopted.
    bool is_new() const { return is_new_; }
    // Removes from each of `folders` what earlier processes left under temporary names.
    void remove_leftovers(const std::vector<std::filesystem::path>& folders) const;

    // Adds a line to .lock. `name` has no space, `value` no line end.
    void record(const std::string& name, const std::string& value) const;
    // The value that was recorded last under a name.
    std::optional<std::string> recorded(const std::string& name) const;

  private:
    bool has_other_files() const;
    void take_lock(const Kind& kind);
    std::string read_lock() const;
    // The values recorded under a name, oldest first.
    std::vector<std::string> values_of(const std::string& name) const;

    std::filesystem::path folder_;
    int lock_ = -1;
    bool is_new_ = false;
};

}  // namespace vila::tools
