// Weights that are trained one by one: selected by name, followed by gradients and the optimizer.

#include <set>

#include "nn/adamw.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

class TrainableTest : public JoinedTest {
  protected:
    static std::set<std::string> trained(VilaModel& model) {
        std::set<std::string> names;
        for (const nn::Parameter* parameter : model.trainable_parameters())
            names.insert(parameter->name);
        return names;
    }
    static void select(VilaModel& model, const std::vector<std::string>& patterns) {
        model.set_trainable(patterns);
    }
    // The values of all weights, by name.
    static std::map<std::string, std::vector<float>> values(VilaModel& model) {
        std::map<std::string, std::vector<float>> found;
        for (const nn::ParameterTable* table : model.tables())
            for (const nn::Parameter& parameter : *table)
                found[parameter.name] = parameter.variable.value().to_vector<float>();
        return found;
    }
    // The gradients of a step by name, without those that have no memory.
    std::map<std::string, std::vector<float>> gradients(VilaModel& model) {
        autograd::backward(model.loss(batch(model, {0, 1, 2}), 0.1));
        std::map<std::string, std::vector<float>> found;
        for (nn::ParameterTable* table : model.tables())
            for (const nn::Parameter& parameter : *table)
                if (parameter.trainable() && parameter.variable.grad().defined())
                    found[parameter.name] = parameter.variable.grad().to_vector<float>();
        return found;
    }
};

TEST_F(TrainableTest, PatternsSelectWeights) {
    const auto model = load(DType::F32);
    select(*model, {"llm.*.1.*q_proj.weight", "mm_projector.layers.0.*", "vision_tower.*norm1*"});
    EXPECT_EQ(
        trained(*model),
        (std::set<std::string>{"model.layers.1.self_attn.q_proj.weight", "layers.0.weight",
                               "layers.0.bias", "vision_model.encoder.layers.0.layer_norm1.weight",
                               "vision_model.encoder.layers.0.layer_norm1.bias",
                               "vision_model.encoder.layers.1.layer_norm1.weight",
                               "vision_model.encoder.layers.1.layer_norm1.bias"}))
        << "blocks after the selected layer are never trained";
    EXPECT_TRUE(model->trainable_parts().vision_tower);
    select(*model, {"llm.*mlp*"});
    EXPECT_EQ(trained(*model).size(), 6U);
    EXPECT_TRUE(model->trainable_parts().llm);
    EXPECT_FALSE(model->trainable_parts().projector);
    EXPECT_FALSE(model->trainable_parts().vision_tower);
    try {
        select(*model, {"llm.*", "llm.model.layers.0.mlp.up_porj.weight"});
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "no weight matches llm.model.layers.0.mlp.up_porj.weight; the nearest name is "
                     "llm.model.layers.0.mlp.up_proj.weight");
    }
}

// The gradients of some weights are those that they have when all are trained, with and without
// checkpoints; the others take no memory.
TEST_F(TrainableTest, OnlySelectedWeightsGetGradients) {
    const auto model = load(DType::F32);
    model->set_trainable({.llm = true, .projector = true, .vision_tower = true});
    auto all = gradients(*model);
    for (const bool checkpointing : {false, true}) {
        model->set_activation_checkpointing(checkpointing);
        for (const char* pattern :
             {"llm.*.1.self_attn.v_proj.weight", "llm.*.0.mlp.up_proj.weight", "mm_projector.*bias",
              "vision_tower.*.0.self_attn.k_proj.weight", "*norm*"}) {
            select(*model, {pattern});
            const auto some = gradients(*model);
            EXPECT_FALSE(some.empty());
            EXPECT_EQ(some.size(), model->trainable_parameters().size());
            for (const auto& [name, gradient] : some) EXPECT_EQ(gradient, all.at(name)) << name;
        }
    }
    const auto gradient_bytes = [&](const std::string& pattern) {
        select(*model, {pattern});
        const int64_t before = device->memory().live;
        autograd::backward(model->loss(batch(*model, {0, 1, 2}), 0.1));
        return device->memory().live - before;
    };
    EXPECT_EQ(gradient_bytes("llm.*.1.self_attn.v_proj.weight"), 4 * 8 * 16);
    EXPECT_EQ(gradient_bytes("mm_projector.layers.2.*"), 4 * (16 * 16 + 16));
}

TEST_F(TrainableTest, AStepMovesOnlySelectedWeights) {
    const auto model = load(DType::F32);
    const auto before = values(*model);
    select(*model, {"llm.*k_proj*", "mm_projector.layers.2.weight"});
    nn::Adamw optimizer(model->trainable_parameters(), {});
    gradients(*model);
    optimizer.step(1e-2, 1.0);
    const std::set<std::string> moving = trained(*model);
    EXPECT_EQ(moving.size(), 5U);
    for (const auto& [name, value] : values(*model))
        EXPECT_EQ(value != before.at(name), moving.contains(name)) << name;
}

}  // namespace
}  // namespace vila::models
