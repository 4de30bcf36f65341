#pragma once

// What lies in the directory of one checkpoint: the names, the manifest and the ranks' files, which
// checkpoint.h describes. checkpoint.cpp decides when it is written, checkpoint_load.cpp reads it.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/train/checkpoint.h"

namespace vila::tools {

// Version 1 knew whole tensors only.
constexpr int kFormatVersion = 2;
constexpr const char* kManifest = "manifest.json";

std::string step_name(int64_t step);
// The step of a complete checkpoint's name; nothing for any other name.
std::optional<int64_t> step_of(const std::string& name);
std::string payload_name(int64_t rank);

// The file's text: the manifest with the hash of all the rest.
std::string manifest_text(Json manifest);
// Throws when the file is no manifest, is not as it was written, or is of a later version.
Json read_manifest(const std::filesystem::path& path);

// Writes one rank's file; returns its part of the manifest.
Json write_parts(const std::filesystem::path& directory, const std::string& file,
                 const std::vector<TensorPart>& parts);
// The parts of all ranks, as texts, as those of a manifest.
void add_tables(const std::vector<std::string>& tables, Json& manifest);

}  // namespace vila::tools
