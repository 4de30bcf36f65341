#include "tools/train/make_stage.h"

#include "tools/train/contrastive_stage.h"
#include "tools/train/language_stage.h"

namespace vila::tools {

std::unique_ptr<Stage> make_stage(const Recipe& recipe, const std::filesystem::path& run,
                                  const std::filesystem::path& tokenizer, dist::Collectives& ranks,
                                  Device& device,
                                  const std::function<void(const std::string& line)>& warn) {
    if (recipe.stage == "clip")
        return std::make_unique<ContrastiveStage>(recipe, run, tokenizer, ranks, device);
    return std::make_unique<LanguageStage>(recipe, run, tokenizer, ranks.rank(), device, warn);
}

}  // namespace vila::tools
