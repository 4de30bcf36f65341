#include "tools/bench/bench_train_step.h"

#include <cmath>
#include <cstdio>
#include <optional>

#include "dist/sharded_adamw.h"
#include "models/vila.h"
#include "nn/adamw.h"
#include "tensor/random.h"
#include "tools/base/flops.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"
#include "tools/bench/model_shapes.h"

namespace vila::tools {

namespace {

constexpr int kWarmUpSteps = 2;
constexpr double kRate = 1e-4;
constexpr models::Trainable kAll{.llm = true, .projector = true, .vision_tower = true};

// The sequences of a step in host memory; batch() copies them to the model's device.
struct StepData {
    std::vector<std::vector<int32_t>> ids, labels;
    std::vector<float> pixels;

    StepData(const TrainStepShape& shape) {
        const auto& vision = *shape.model.vision;
        for (int64_t i = 0; i < 3 * vision.image_size * vision.image_size; ++i)
            pixels.push_back(
                static_cast<float>(random_uniform(1, static_cast<uint64_t>(i)) * 2.0 - 1.0));
        for (int64_t b = 0; b < shape.sequences; ++b) {
            ids.push_back({kImageToken});
            labels.push_back({kIgnoreLabel});
            for (int64_t t = 0; t < shape.text_tokens; ++t) {
                const auto draw = static_cast<uint64_t>(b * shape.text_tokens + t);
                ids.back().push_back(
                    static_cast<int32_t>(random_below(2, draw, shape.model.llm.vocab_size)));
                labels.back().push_back(ids.back().back());
            }
        }
    }

    models::Batch batch(const models::VilaModel& model) const {
        const int64_t side = model.config().vision->image_size;
        const int64_t tokens = model.config().image_layout().tile_tokens;
        std::vector<models::Sequence> sequences;
        for (size_t b = 0; b < ids.size(); ++b)
            sequences.push_back({ids[b], labels[b], {{{3, side, side}, pixels, tokens}}});
        return models::make_batch(model.device(), sequences);
    }
};

// Runs forward and backward; returns the loss.
double add_gradients(const models::VilaModel& model, const StepData& data) {
    const models::Batch batch = data.batch(model);
    const autograd::Variable loss =
        model.loss(batch, 1.0 / static_cast<double>(batch.loss_tokens()));
    const double value = loss.value().item();
    autograd::backward(loss);
    return value;
}

// Runs one optimizer step; returns the loss before the update.
double train_step(const models::VilaModel& model, const StepData& data, nn::Adamw& optimizer) {
    const double loss = add_gradients(model, data);
    optimizer.step(kRate, nn::clip_scale(nn::gradient_norm(optimizer.parameters()), 1.0));
    optimizer.clear_gradients();
    return loss;
}

// Median seconds of a step with train.rank_invariant: gradients are summed in buckets, and norms
// without rounding.
double rank_invariant_step_seconds(CpuDevice& device, DType dtype, const TrainStepShape& shape,
                                   int steps) {
    models::VilaModel model(shape.model, device, dtype);
    model.initialize(1);
    model.set_trainable(kAll);
    const auto alone = dist::one_process();
    dist::ShardedAdamw optimizer(*alone, {{"all", model.trainable_parameters(), kRate}},
                                 AdamwOptions{}, 0);
    const StepData data(shape);
    std::vector<double> seconds;
    for (int step = -kWarmUpSteps; step < steps; ++step) {
        const double taken = seconds_of([&] {
            optimizer.gradients().begin_step();
            add_gradients(model, data);
            optimizer.gradients().end_micro_batch();
            optimizer.step(1.0, nn::clip_scale(optimizer.gradients().norm(), 1.0));
        });
        if (step >= 0) seconds.push_back(taken);
    }
    return median(std::move(seconds));
}

}  // namespace

struct TrainStepRun::Parts {
    Parts(Device& device, DType dtype, const TrainStepShape& asked)
        : shape(asked), model(shape.model, device, dtype), data(shape) {
        model.initialize(1);
        model.set_trainable(kAll);
        optimizer.emplace(model.trainable_parameters(), AdamwOptions{});
    }
    int64_t image_tokens() const { return model.config().image_layout().tile_tokens; }
    int64_t length() const { return image_tokens() + shape.text_tokens; }

    TrainStepShape shape;
    models::VilaModel model;
    StepData data;
    std::optional<nn::Adamw> optimizer;
};

TrainStepRun::TrainStepRun(Device& device, DType dtype, const TrainStepShape& shape)
    : parts_(std::make_unique<Parts>(device, dtype, shape)) {}
TrainStepRun::~TrainStepRun() = default;

double TrainStepRun::step() {
    return train_step(parts_->model, parts_->data, *parts_->optimizer);
}

double TrainStepRun::flop() const {
    const int64_t sequences = parts_->shape.sequences;
    return FlopCounter(parts_->model, kAll)
        .step({.lengths = std::vector<int64_t>(static_cast<size_t>(sequences), parts_->length()),
               .targets = sequences * parts_->shape.text_tokens,
               .image_tokens = sequences * parts_->image_tokens(),
               .encoded_tiles = sequences});
}

int64_t TrainStepRun::parameters() const {
    return parts_->model.llm_table().count() + parts_->model.vision_table().count() +
           parts_->model.projector_table().count();
}

int64_t TrainStepRun::rows() const {
    return parts_->shape.sequences * parts_->length();
}

TrainStepShape small_vlm_step() {
    const VisionShape vision = {
        .width = 384, .ffn = 1536, .layers = 12, .heads = 6, .image_size = 224, .patch_size = 14};
    const LlamaShape llm = {.vocabulary = 32000,
                            .width = 512,
                            .ffn = 1408,
                            .layers = 8,
                            .heads = 8,
                            .head_dim = 64,
                            .positions = 512};
    return {.model = vila_config(vision, llm), .sequences = 4, .text_tokens = 128};
}

TrainStepMeasurement bench_train_step(CpuDevice& device, DType dtype, const TrainStepShape& shape,
                                      int steps) {
    TrainStepRun run(device, dtype, shape);
    const double flop = run.flop();
    device.reset_peak();
    const double first_loss = run.step();
    for (int step = 1; step < kWarmUpSteps; ++step) run.step();
    std::vector<double> seconds, shares;
    double last_loss = 0.0;
    for (int step = 0; step < steps; ++step) {
        const double limit = multiply_add_rate(device);
        seconds.push_back(seconds_of([&] { last_loss = run.step(); }));
        shares.push_back(flop / seconds.back() / limit);
    }
    const double typical = median(std::move(seconds));
    VILA_CHECK(std::isfinite(last_loss) && last_loss < first_loss,
               "[bench train-step] the loss went from ", first_loss, " to ", last_loss);
    TrainStepMeasurement result = {.dtype = dtype,
                                   .threads = device.threads(),
                                   .parameters = run.parameters(),
                                   .rows = run.rows(),
                                   .seconds = typical,
                                   .rank_invariant_seconds = 0.0,
                                   .gflops = flop / typical * 1e-9,
                                   .limit_share = median(std::move(shares)),
                                   .peak_tensor_bytes = device.memory().peak,
                                   .peak_process_bytes = peak_process_bytes(),
                                   .first_loss = first_loss,
                                   .last_loss = last_loss};
    result.rank_invariant_seconds = rank_invariant_step_seconds(device, dtype, shape, steps);
    return result;
}

std::string train_step_table(const CpuDevice& device, const TrainStepMeasurement& x) {
    char line[320];
    std::snprintf(line, sizeof(line),
                  "  %.1f M parameters, %s: %.3f s a step, %.0f rows/s, %.1f GF/s, %.1f %% of FMA, "
                  "tensors %.0f MB, process %.0f MB, loss %.4f to %.4f; rank-invariant %.3f s\n",
                  static_cast<double>(x.parameters) * 1e-6, dtype_name(x.dtype), x.seconds,
                  static_cast<double>(x.rows) / x.seconds, x.gflops, 100.0 * x.limit_share,
                  static_cast<double>(x.peak_tensor_bytes) * 1e-6,
                  static_cast<double>(x.peak_process_bytes) * 1e-6, x.first_loss, x.last_loss,
                  x.rank_invariant_seconds);
    return device.name() + "\n" + line;
}

Json train_step_json(const CpuDevice& device, const TrainStepMeasurement& x) {
    return {{"device", device.name()},
            {"train_step",
             {{"dtype", dtype_name(x.dtype)},
              {"threads", x.threads},
              {"parameters", x.parameters},
              {"rows", x.rows},
              {"seconds", x.seconds},
              {"rank_invariant_seconds", x.rank_invariant_seconds},
              {"gflops", x.gflops},
              {"share_of_multiply_add", x.limit_share},
              {"peak_tensor_bytes", x.peak_tensor_bytes},
              {"peak_process_bytes", x.peak_process_bytes},
              {"first_loss", x.first_loss},
              {"last_loss", x.last_loss}}}};
}

}  // namespace vila::tools
