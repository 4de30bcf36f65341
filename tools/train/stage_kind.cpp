#include "tools/train/stage_kind.h"

#include "tensor/check.h"

namespace vila::tools {

namespace {

constexpr StageFacts kStages[] = {
    {.kind = StageKind::LanguageModel,
     .name = "lm",
     .summary = "a language model on text",
     .loss = StageLoss::NextToken,
     .takes_images = false,
     .trainable = {.llm = true, .projector = false, .vision_tower = false},
     .chat_template = "vicuna_v1",
     .max_zero = 3},
    // ZeRO 3 needs a block hook, which ClipModel does not call.
    {.kind = StageKind::Contrastive,
     .name = "clip",
     .summary = "a vision tower on image-caption pairs",
     .loss = StageLoss::Contrastive,
     .takes_images = true,
     .trainable = {.llm = false, .projector = false, .vision_tower = true},
     .chat_template = "vicuna_v1",
     .max_zero = 2},
    {.kind = StageKind::Align,
     .name = "align",
     .summary = "the projector between a vision tower and a language model",
     .loss = StageLoss::NextToken,
     .takes_images = true,
     .trainable = {.llm = false, .projector = true, .vision_tower = false},
     .chat_template = "plain",
     .max_zero = 3},
    {.kind = StageKind::Pretrain,
     .name = "pretrain",
     .summary = "projector and language model on interleaved images and text",
     .loss = StageLoss::NextToken,
     .takes_images = true,
     .trainable = {.llm = true, .projector = true, .vision_tower = false},
     .chat_template = "vicuna_v1",
     .max_zero = 3},
    {.kind = StageKind::Sft,
     .name = "sft",
     .summary = "projector and language model on conversations",
     .loss = StageLoss::NextToken,
     .takes_images = true,
     .trainable = {.llm = true, .projector = true, .vision_tower = false},
     .chat_template = "vicuna_v1",
     .max_zero = 3},
};

}  // namespace

std::span<const StageFacts> all_stages() {
    return kStages;
}

const StageFacts& stage_facts(StageKind kind) {
    const StageFacts& facts = kStages[static_cast<size_t>(kind)];
    VILA_ASSERT(facts.kind == kind);
    return facts;
}

std::vector<std::string> stage_names() {
    std::vector<std::string> names;
    for (const StageFacts& stage : kStages) names.emplace_back(stage.name);
    return names;
}

void to_json(Json& json, StageKind kind) {
    json = stage_facts(kind).name;
}

void from_json(const Json& json, StageKind& kind) {
    for (const StageFacts& stage : kStages)
        if (json == stage.name) {
            kind = stage.kind;
            return;
        }
    throw Error("unknown stage " + json.dump());
}

}  // namespace vila::tools
