#pragma once

// RunDirectory: the files of one training run.
//     recipe.toml      the resolved recipe; can be run again
//     log.jsonl        one line per step
//     checkpoints/     see checkpoint.h
//     tokenizer/       the tokenizer, if the run trained one
//     cache/           features of a frozen vision tower that do not fit into memory
//     model/           the finished model directory; a run that has it is finished
//     .watch/          status of each rank, see dist/watchdog.h

#include <filesystem>

#include "tools/train/recipe.h"

namespace vila::tools {

class RunDirectory {
  public:
    // The owner creates the folder if it is missing, locks it for the lifetime of this object and
    // removes unfinished files of a killed process; it throws if another process has the lock. Of
    // the ranks of a job, one is the owner; the others only use the paths.
    explicit RunDirectory(const std::filesystem::path& root, bool owner = true);
    ~RunDirectory();
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

    // Writes recipe.toml. If the run has a checkpoint or a model, throws unless `recipe` equals the
    // recipe it began with, except in keys that may change on resuming; the message names the keys.
    void store_recipe(const Recipe& recipe) const;
    bool has_begun() const;  // has a checkpoint or a model
    bool finished() const;   // has a model

  private:
    void remove_leftovers() const;

    std::filesystem::path root_;
    int lock_ = -1;
};

}  // namespace vila::tools
