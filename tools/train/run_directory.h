#pragma once

// RUN/, what one training run leaves behind:
//     recipe.toml      the resolved recipe; can be run again
//     log.jsonl        a line a step
//     checkpoints/     see checkpoint.h
//     tokenizer/       the tokenizer, when the run trained one
//     cache/           features of a frozen vision tower that did not fit into memory
//     model/           the finished model directory; once it is there the run is finished
//     .watch/          where each of several ranks is, see dist/watchdog.h

#include <filesystem>

#include "tools/train/recipe.h"

namespace vila::tools {

class RunDirectory {
  public:
    // Makes the folder if missing, locks it for the life of this object and removes what a killed
    // process had not finished writing; throws when another process has it. Of the ranks of a job,
    // one is the `owner` and does so; the others only get to know the paths.
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

    // Writes the recipe of a new run. In a run that has something to lose, throws unless `recipe`
    // is the one it began with, naming the keys that differ.
    void settle(const Recipe& recipe) const;
    // Whether there is a checkpoint or a model.
    bool begun() const;
    bool finished() const;

  private:
    void remove_leftovers() const;

    std::filesystem::path root_;
    int lock_ = -1;
};

}  // namespace vila::tools
