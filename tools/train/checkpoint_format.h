#pragma once

// The format of a checkpoint directory: file names, the manifest and the files of the ranks, as
// described in checkpoint.h. checkpoint.cpp saves, checkpoint_load.cpp loads.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/train/checkpoint.h"

namespace vila::tools {

// Version 1 had whole tensors only; it is still read.
constexpr int kFormatVersion = 2;
constexpr const char* kManifest = "manifest.json";

// Ends the names of checkpoints that did not verify.
constexpr const char* kDamaged = "damaged";
// Renames a directory to NAME.WHY, or to NAME.WHY-1 and so on if that is taken. Returns the name.
std::string set_aside(const std::filesystem::path& path, const char* why);

std::string step_name(int64_t step);
// Returns the step of a directory name such as "step-00000100"; nothing for any other name.
std::optional<int64_t> step_of(const std::string& name);
std::string payload_name(int64_t rank);
bool is_payload_name(const std::string& name);

// Returns the text of manifest.json: the manifest with a hash of all its other fields.
std::string manifest_text(Json manifest);
// Throws if the file is not a manifest, was changed, or has a later version.
Json read_manifest(const std::filesystem::path& path);

// Writes the file of one rank. Returns its table: the part of the manifest that describes it.
Json write_parts(const std::filesystem::path& directory, const std::string& file,
                 const std::vector<TensorPart>& parts);
// Adds the tables that write_parts() returned on all ranks, as JSON texts, to the manifest.
void add_tables(const std::vector<std::string>& tables, Json& manifest);

}  // namespace vila::tools
