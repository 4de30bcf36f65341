#include "tools/train/stage.h"

#include "tensor/random.h"
#include "tools/base/hash64.h"
#include "tools/train/contrastive_stage.h"
#include "tools/train/language_stage.h"

namespace vila::tools {

std::unique_ptr<Stage> make_stage(const Recipe& recipe, const std::filesystem::path& run,
                                  const std::filesystem::path& tokenizer, dist::Collectives& ranks,
                                  Device& device,
                                  const std::function<void(const std::string& line)>& warn) {
    switch (stage_facts(*recipe.stage).loss) {
        case StageLoss::NextToken:
            return std::make_unique<LanguageStage>(recipe, run, tokenizer, ranks.rank(), device,
                                                   warn);
        case StageLoss::Contrastive:
            return std::make_unique<ContrastiveStage>(recipe, tokenizer, ranks, device);
    }
    return nullptr;
}

uint64_t hash_frozen(const nn::ParameterTable& table) {
    uint64_t hash = 0;
    for (const nn::Parameter& parameter : table)
        if (!parameter.trainable())
            for (const Tensor& tensor : parameter.tensors())
                hash = random_key(hash, parameter.name) ^ hash64(tensor);
    return hash;
}

}  // namespace vila::tools
