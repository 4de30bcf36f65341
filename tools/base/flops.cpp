#include "tools/base/flops.h"

namespace vila::tools {

double matrix_values(const nn::ParameterTable& table) {
    double values = 0.0;
    for (const nn::Parameter& parameter : table) {
        const bool looked_up = parameter.name.find("embed_tokens") != std::string::npos ||
                               parameter.name.find("token_embedding") != std::string::npos ||
                               parameter.name.find("position_embedding") != std::string::npos ||
                               parameter.name.find("lm_head") != std::string::npos;
        if (parameter.shape.rank() >= 2 && !looked_up)
            values += static_cast<double>(parameter.shape.numel());
    }
    return values;
}

FlopCounter::FlopCounter(const models::VilaModel& model, const models::Trainable& trainable)
    : config_(model.config()),
      trainable_(trainable),
      llm_matrices_(matrix_values(model.llm_table())),
      projector_matrices_(matrix_values(model.projector_table())),
      vision_matrices_(matrix_values(model.vision_table())) {}

double FlopCounter::step(const StepWork& work) const {
    // Forward, gradient of the input, gradient of the matrices.
    return count(work, {.llm = 2.0 + (trainable_.llm ? 1.0 : 0.0),
                        .attention = 3.0,
                        .projector = 1.0 + (trainable_.projector ? 1.0 : 0.0) +
                                     (trainable_.vision_tower ? 1.0 : 0.0),
                        .vision = trainable_.vision_tower ? 3.0 : 1.0});
}

double FlopCounter::forward(const StepWork& work) const {
    return count(work, {.llm = 1.0, .attention = 1.0, .projector = 1.0, .vision = 1.0});
}

double FlopCounter::count(const StepWork& work, const Passes& passes) const {
    const models::LlamaConfig& llm = config_.llm;
    double rows = 0.0, pairs = 0.0;
    for (const int64_t length : work.lengths) {
        rows += static_cast<double>(length);
        pairs += 0.5 * static_cast<double>(length) * static_cast<double>(length + 1);
    }
    const double head = static_cast<double>(llm.vocab_size * llm.hidden_size * work.targets);
    const auto heads_width = static_cast<double>(llm.num_attention_heads * llm.head_dim);
    double flops =
        2.0 * passes.llm * (llm_matrices_ * rows + head) +
        4.0 * passes.attention * heads_width * pairs * static_cast<double>(llm.num_hidden_layers);
    if (!config_.vision) return flops;

    const models::VisionConfig& vision = *config_.vision;
    const auto tokens = static_cast<double>(work.image_tokens);
    flops += 2.0 * passes.projector * projector_matrices_ * tokens;
    const auto tiles = static_cast<double>(work.encoded_tiles);
    const auto positions = static_cast<double>(vision.num_positions());
    flops += passes.vision * tiles *
             (2.0 * vision_matrices_ * positions +
              4.0 * positions * positions *
                  static_cast<double>(vision.hidden_size * vision.num_hidden_layers));
    return flops;
}

}  // namespace vila::tools
