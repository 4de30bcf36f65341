#pragma once

// The training stages and their properties, as one table. Every decision that depends on the stage
// reads the table; no other code compares stage names.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/vila.h"
#include "tensor/json.h"

namespace vila::tools {

enum class StageKind { LanguageModel, Contrastive, Align, Pretrain, Sft };

enum class StageLoss {
    NextToken,    // cross-entropy of the next token (LanguageStage)
    Contrastive,  // contrastive loss over the pairs of the global batch (ContrastiveStage)
};

struct StageFacts {
    StageKind kind;
    const char* name;     // in recipes and messages
    const char* summary;  // for `vila train --help`
    StageLoss loss;
    bool takes_images;            // samples may contain images, so the model needs a vision tower
    models::Trainable trainable;  // parts that are trained unless the recipe says otherwise
    const char* chat_template;    // used if neither data.template nor model.init names one
    int64_t max_zero;             // highest ZeRO stage; a higher train.zero is lowered to it
};

// All stages, in the order in which a model goes through them.
std::span<const StageFacts> all_stages();
const StageFacts& stage_facts(StageKind kind);
std::vector<std::string> stage_names();

// JSON holds a stage as its name. from_json() throws Error for a name that is not in the table.
void to_json(Json& json, StageKind kind);
void from_json(const Json& json, StageKind& kind);

}  // namespace vila::tools
