// A second linear layer for the rows of images, in training, prefill and decoding.

#include "models/block_linear.h"
#include "models/generate.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

using autograd::Variable;

const std::vector<std::string> kLayers = {
    "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
    "model.layers.0.self_attn.v_proj", "model.layers.0.self_attn.o_proj",
    "model.layers.1.mlp.gate_proj",    "model.layers.1.mlp.up_proj",
    "model.layers.1.mlp.down_proj"};

class ImageRowsTest : public JoinedTest {
  protected:
    // Gives the rows of images layers of their own, whose weights are `factor` times the first
    // ones.
    void add_layers(VilaModel& model, double factor) {
        for (const std::string& name : kLayers) {
            const nn::Parameter* first = model.llm_table().find(name + ".weight");
            const nn::Parameter* bias = model.llm_table().find(name + ".bias");
            const nn::Linear second(table, "image." + name, first->shape[1], first->shape[0],
                                    {.has_bias = bias != nullptr});
            assign(second.weight().name, first->variable.value(), factor);
            if (bias != nullptr) assign("image." + name + ".bias", bias->variable.value(), factor);
            model.llm().set_image_linear(name, second);
        }
    }

    void assign(const std::string& name, const Tensor& value, double factor) {
        std::vector<double> values = value.to_vector<double>();
        for (double& one : values) one *= factor;
        table.assign(name, Tensor::from_values(*device, value.shape(), values), value.dtype(),
                     true);
    }

    nn::ParameterTable table;
};

TEST_F(ImageRowsTest, TheSecondLayerReadsTheRowsOfImages) {
    const auto tensor = [&](uint64_t key, const Shape& shape) {
        std::vector<double> values;
        for (int64_t i = 0; i < shape.numel(); ++i)
            values.push_back(random_normal(key, static_cast<uint64_t>(i)));
        return Tensor::from_values(*device, shape, values);
    };
    BlockLinear both(table, "text", 3, 2, {});
    const nn::Linear second(table, "image", 3, 2, {.has_bias = true});
    table.assign("text.weight", tensor(1, {2, 3}), DType::F64, false);
    table.assign("image.weight", tensor(2, {2, 3}), DType::F64, false);
    table.assign("image.bias", tensor(3, {2}), DType::F64, false);
    both.set_image_linear(second);
    const Variable x(tensor(4, {4, 3})), residual(tensor(5, {4, 2}));
    const Tensor rows = Tensor::from_values(*device, {2}, std::vector<int32_t>{1, 3});
    const auto got = both(x, rows, {.residual = residual}).value().to_vector<double>();
    const auto in = x.value().to_vector<double>(), added = residual.value().to_vector<double>();
    const auto bias = table.at("image.bias").variable.value().to_vector<double>();
    for (size_t r = 0; r < 4; ++r)
        for (size_t d = 0; d < 2; ++d) {
            const bool image = r % 2 == 1;
            const auto w = table.at(image ? "image.weight" : "text.weight")
                               .variable.value()
                               .to_vector<double>();
            double sum = added[r * 2 + d] + (image ? bias[d] : 0.0);
            for (size_t c = 0; c < 3; ++c) sum += in[r * 3 + c] * w[d * 3 + c];
            EXPECT_NEAR(got[r * 2 + d], sum, 1e-12) << r << ' ' << d;
        }
}

TEST_F(ImageRowsTest, EqualLayersChangeNoBit) {
    const auto model = load(DType::F32);
    const Batch all = batch(*model, {0, 1, 2});
    const std::vector<float> before = model->logits(all).to_vector<float>();
    EXPECT_FALSE(model->llm().uses_image_rows());
    add_layers(*model, 1.0);
    EXPECT_TRUE(model->llm().uses_image_rows());
    EXPECT_EQ(model->logits(all).to_vector<float>(), before);
}

TEST_F(ImageRowsTest, OtherLayersChangeOnlySequencesWithImages) {
    const auto model = load(DType::F32);
    std::vector<std::vector<float>> before;
    for (const int i : {0, 1, 2})
        before.push_back(model->logits(batch(*model, {i})).to_vector<float>());
    add_layers(*model, 1.5);
    EXPECT_EQ(model->logits(batch(*model, {0})).to_vector<float>(), before[0]);
    EXPECT_NE(model->logits(batch(*model, {1})).to_vector<float>(), before[1]);
    EXPECT_NE(model->logits(batch(*model, {2})).to_vector<float>(), before[2]);
}

TEST_F(ImageRowsTest, GenerationUsesThem) {
    const auto model = load(DType::F32);
    add_layers(*model, 1.5);
    OwnedSequence prompt = sequence(1);
    GenerateOptions options;
    options.max_tokens = 12;
    const std::vector<int32_t> tokens = generate(*model, prompt.get(), options);
    for (const int64_t chunk : {1, 3, 4}) {
        options.prefill_chunk = chunk;
        EXPECT_EQ(generate(*model, prompt.get(), options), tokens) << chunk;
    }
    EXPECT_EQ(generate_many(*model, {prompt.get(), prompt.get()}, options)[1], tokens);
    // The same tokens from the forward pass of training, one at a time.
    prompt.labels.clear();
    for (const int32_t token : tokens) {
        const Tensor logits = model->logits(make_batch(*device, {prompt.get()}));
        const std::vector<float> last =
            logits.slice(0, logits.size(0) - 1, logits.size(0)).to_vector<float>();
        EXPECT_EQ(std::ranges::max_element(last) - last.begin(), token);
        prompt.ids.push_back(token);
    }
}

TEST_F(ImageRowsTest, GradientsReachBothLayers) {
    const auto model = load(DType::F64);
    add_layers(*model, 1.5);
    model->set_trainable({.llm = true});
    const Batch all = batch(*model, {0, 1, 2});
    for (const bool checkpointing : {false, true}) {
        model->set_activation_checkpointing(checkpointing);
        for (nn::Parameter& parameter : table) parameter.variable.clear_grad();
        autograd::backward(model->loss(all, 1.0));
        for (const nn::Parameter& parameter : table) {
            const Tensor& weight = parameter.variable.value();
            const double gradient = parameter.variable.grad().to_vector<double>()[0];
            std::vector<double> values = weight.to_vector<double>();
            const double base = values[0], h = 1e-5;
            const autograd::NoGrad no_grad(*device);
            const auto loss_at = [&](double value) {
                values[0] = value;
                weight.copy_from_host(values.data());
                return model->loss(all, 1.0).value().item();
            };
            const double difference = (loss_at(base + h) - loss_at(base - h)) / (2 * h);
            loss_at(base);
            EXPECT_NEAR(difference, gradient, 1e-5 * std::max(1.0, std::abs(gradient)))
                << parameter.name;
        }
    }
}

TEST_F(ImageRowsTest, ErrorsNameTheLayer) {
    const auto model = load(DType::F32);
    const nn::Linear narrow(table, "narrow", 3, 2, {});
    const auto message = [&](const std::string& name) -> std::string {
        try {
            model->llm().set_image_linear(name, narrow);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_EQ(message("model.layers.9.mlp.up_proj"),
              "the language model has no block with a linear layer model.layers.9.mlp.up_proj");
    EXPECT_EQ(message("model.layers.1.mlp.fc1"), "a block has no linear layer mlp.fc1");
    EXPECT_EQ(message("model.layers.1.mlp.up_proj"),
              "shape of narrow.weight, for images in place of model.layers.1.mlp.up_proj.weight: "
              "expected (24, 16), got (2, 3)");
}

}  // namespace
}  // namespace vila::models
