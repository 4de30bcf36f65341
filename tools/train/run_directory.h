#pragma once

// RunDirectory: the files of one training run.
//     recipe.toml      the resolved recipe; can be run again
//     log.jsonl        one line per step
//     checkpoints/     see checkpoint.h
//     tokenizer/       the tokenizer, if the run trained one
//     cache/           features of a frozen vision tower that do not fit into memory
//     model/           the finished model directory; a run that has it is finished
//     .lock            locked while the run trains; records what it made, see work_folder.h
//     .watch/          status of each rank, see dist/watchdog.h

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/base/work_folder.h"
#include "tools/train/recipe.h"

namespace vila::tools {

class RunDirectory {
  public:
    // The owner creates the folder if it is missing, locks it for the lifetime of this object and
    // removes unfinished files of a killed process; it throws if another process has the lock, or
    // if the folder holds files but no run. Of the ranks of a job, one is the owner; the others
    // only use the paths.
    explicit RunDirectory(const std::filesystem::path& root, bool owner = true);
    RunDirectory(const RunDirectory&) = delete;
    RunDirectory& operator=(const RunDirectory&) = delete;

    const std::filesystem::path& root() const { return root_; }
    std::filesystem::path recipe() const { return root_ / "recipe.toml"; }
    std::filesystem::path log() const { return root_ / "log.jsonl"; }
    std::filesystem::path checkpoints() const { return root_ / "checkpoints"; }
    std::filesystem::path tokenizer() const { return root_ / "tokenizer"; }
    std::filesystem::path cache() const { return root_ / "cache"; }
    std::filesystem::path model() const { return root_ / "model"; }
    std::filesystem::path watch() const { return root_ / ".watch"; }

    // Writes recipe.toml; `source` is the file that `recipe` was read from. If the run has a
    // checkpoint or a model, throws unless `recipe` equals the recipe it began with, except in keys
    // that may change on resuming; the message names the keys. Throws if recipe.toml, tokenizer/ or
    // model/ are in the way and were not made by this run.
    void store_recipe(const Recipe& recipe, const std::filesystem::path& source) const;
    bool has_begun() const;  // has a model, or anything in checkpoints/
    bool finished() const;   // has a model

    // Returns whether the run is finished and its model whole. A damaged model is renamed to
    // model.damaged, to be written again from the last checkpoint; throws if there is none.
    bool settle_model() const;

    // If the run has begun, throws unless the tokenizer in `made` is the one that it lost.
    void check_same_tokenizer(const std::filesystem::path& made) const;

    // Record in .lock that this run makes tokenizer/, whose files are still in `made`, or model/.
    // Only the owner calls them, before it renames the directory to its final name.
    void record_tokenizer(const std::filesystem::path& made) const;
    void record_model() const;
    // Records that the run has checkpoints, so that a later start notices when they are gone.
    // Does nothing on other ranks, and if .lock cannot be written.
    void record_checkpoints() const;
    // Records which files the finished model has.
    void record_model_files() const;

  private:
    bool has_checkpoint() const;
    // Throws an error about something in the folder.
    [[noreturn]] void refuse(const std::string& reason) const;
    void check_recipe_file(const Recipe& before, const std::filesystem::path& source) const;
    void check_model() const;
    // If recipe.toml is lost, throws if a checkpoint says that it was another one.
    void check_lost_recipe(const Recipe& recipe) const;
    // Throws if the run had checkpoints, of which none is left, and its log was not removed.
    void check_checkpoints() const;
    void settle_tokenizer(const Recipe& recipe, bool is_new_recipe) const;

    std::filesystem::path root_;
    std::optional<WorkFolder> folder_;  // of the owner
};

// Throws if `out` is or lies inside a model that the recipe reads, or if the recipe reads a file
// that a run in `out` writes.
void refuse_inputs_in_run(const Recipe& recipe, const std::filesystem::path& out);

}  // namespace vila::tools
