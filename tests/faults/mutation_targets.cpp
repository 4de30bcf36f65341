#include "tests/faults/mutation_targets.h"

#include <algorithm>

namespace vila {

namespace fs = std::filesystem;

std::vector<MutationTarget> mutation_targets(const fs::path& folder) {
    const std::string inspect = "inspect sft/model",
                      hi = "generate --model sft/model --max-tokens 1";
    const std::string model = " --model sft/model --threads 1";
    std::vector<MutationTarget> list = {
        {"sft/model/config.json", inspect, true, {"sft/model"}},
        {"sft/model/llm/config.json", inspect, true, {"sft/model"}},
        {"sft/model/vision_tower/config.json", inspect, true, {"sft/model"}},
        {"sft/model/mm_projector/config.json", inspect, true, {"sft/model"}},
        {"sft/model/llm/model.safetensors", inspect, false, {"sft/model"}},
        {"sft/model/vision_tower/model.safetensors", hi + " --prompt hi", false, {"sft/model"}},
        {"sft/model/llm/tokenizer.json", "tokenize --model sft/model", true, {"sft/model/llm"}},
        {"sft/model/llm/tokenizer_config.json", hi + " --prompt hi", true, {"sft/model/llm"}},
        {"sft/model/vision_tower/preprocessor_config.json",
         "preprocess images/red.bmp --output out" + model,
         true,
         {"sft/model"}},
        {"vicuna/pytorch_model-00001-of-00002.bin", "inspect vicuna", false, {"vicuna"}},
        {"vicuna/pytorch_model.bin.index.json", "inspect vicuna", true, {"vicuna"}},
        {"lm.toml", "plan {}", true},
        {"align.toml", "plan {}", true, {"lm/model"}},
        {"sft.toml",
         "data check {}",
         true,
         {"align/model", "llava", "instructions.jsonl", "images"}},
        {"clip.toml", "data check {}", true, {"pairs.jsonl", "images"}},
        {"llava.json", "data check {} --format llava --images images" + model, true},
        {"llava.json", "inspect {} --format llava --images images --model sft/model", true},
        {"pairs.jsonl", "data check {} --format pairs --images images --decode", true},
        {"instructions.jsonl", "data check {} --format text-instructions" + model, true},
        {"text.txt", "data check {} --format text" + model, true},
        {"text.jsonl.gz", "data check {} --format text" + model},
        {"mmc4.jsonl", "data check {} --format mmc4 --images images" + model, true},
        {"mmc4.jsonl", "data stats {} --format mmc4 --images images --model sft/model", true},
        {"pairs.tar", "data check {} --format pairs --decode" + model},
        {"requests.jsonl", hi + " --input {}", true},
        {"requests.jsonl", "score --input {} --output out" + model, true},
        {"questions.jsonl", "eval exact --data {} --images images --max-tokens 1" + model, true},
        {"predictions.jsonl", "eval vqa --predictions {} --annotations questions.jsonl", true},
        {"questions.jsonl",
         "eval caption --predictions predictions.jsonl --annotations {}",
         true,
         {"predictions.jsonl"}},
        {"chat.jinja", hi + " --prompt hi --template {}", true},
        {"sft/log.jsonl", "report sft --samples 0 --output page.html", true},
        {"sft/results.json", "report sft --samples 0 --output page.html", true},
        {"sft/recipe.toml", "export checkpoint exported", true, {"checkpoint"}},
        {"sft/manifest", "inspect checkpoint --verify", true, {"checkpoint"}},
        {"sft/rank", "inspect checkpoint --verify", false, {"checkpoint"}},
    };
    for (const auto& entry : fs::directory_iterator(folder / "tokenizers"))
        for (const char* file : {"tokenizer.json", "tokenizer.model"})
            if (fs::exists(entry.path() / file)) {
                const std::string name = "tokenizers/" + entry.path().filename().string();
                list.push_back({name + "/" + file,
                                "tokenize --model " + name,
                                std::string(file) == "tokenizer.json",
                                {name}});
            }
    for (const auto& entry : fs::directory_iterator(folder / "pictures"))
        list.push_back(
            {"pictures/" + entry.path().filename().string(), "preprocess {} --output out" + model});
    std::sort(list.begin(), list.end(), [](const MutationTarget& a, const MutationTarget& b) {
        return a.file != b.file ? a.file < b.file : a.command < b.command;
    });
    return list;
}

}  // namespace vila
