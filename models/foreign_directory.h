#pragma once

// Recognizes paths that are not a readable model directory: adapters, quantized weights, files of
// other programs, names on a hub. The error says in one line what the path is and what to do.

#include <filesystem>
#include <string>

#include "models/layout.h"

namespace vila::models {

// The model directories that can be opened, for error messages.
constexpr const char* kOpens =
    "LlamaForCausalLM or Qwen2ForCausalLM (a language model), LlavaLlamaForCausalLM (LLaVA-1.5, "
    "VILA-1.0), LlavaForConditionalGeneration, or a directory with llm, vision_tower and "
    "mm_projector (VILA-1.5)";

// Throws if `path` is not a directory, or holds something other than the files of a whole model: a
// LoRA adapter alone or beside full weights, GGUF files, Meta's own format, a hub's cache, a run of
// `vila train`.
void refuse_foreign_directory(const std::filesystem::path& path);
// Throws if the language model of a configuration is not implemented; the message lists kOpens.
void refuse_unknown_model(const SourcedJson& config);
// Throws if the configuration says that the weights are quantized, naming the method.
void refuse_quantized(const Json& config, const std::string& where);
// Returns what a tensor with such a name belongs to, as "; this tensor belongs to ..."; empty if
// that is unknown.
std::string foreign_tensor_hint(const std::string& name);

}  // namespace vila::models
