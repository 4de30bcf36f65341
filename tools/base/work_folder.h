#pragma once

// WorkFolder: a folder that a command fills over several starts, such as a training run.
//
// FOLDER/.lock is locked while a process works there. It also records the files made there, so that
// no others are removed. Lines are only ever added:
//     vila train                         the first line: the command that made the folder
//     process 4711-0123456789abcdef      the nonce of a process that worked there; its temporary
//                                        names contain it (tensor/temporary_name.h)
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

    // Creates the folder if it is missing, and locks it. Throws if another process has the lock, if
    // .lock names another kind, or if the folder holds files but no .lock. With `adopt` a folder
    // without .lock is accepted, because an earlier version, which did not write it, made the
    // folder. Files that are this process's standard output or error do not count.
    WorkFolder(std::filesystem::path folder, const Kind& kind, bool adopt);
    ~WorkFolder();
    WorkFolder(const WorkFolder&) = delete;
    WorkFolder& operator=(const WorkFolder&) = delete;

    // Returns whether .lock has no record of an earlier process: the folder was empty, or was
    // adopted.
    bool is_new() const { return is_new_; }
    // Removes from each of `folders` the files and directories that earlier processes left under
    // temporary names.
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
