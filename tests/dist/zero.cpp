// Compares the gradients and weights of a small vision language model, trained by any number of
// ranks in any ZeRO stage, with those of one process. Micro-batches are random and uneven: some
// ranks have no image, no target or no micro-batch. VILA_TEST_CASES sets the number of random
// cases.

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <random>

#include "dist/sharded_adamw.h"
#include "dist/tensor_collectives.h"
#include "models/vila.h"
#include "tensor/env.h"
#include "tensor/random.h"
#include "tests/dist/job.h"

namespace vila::dist {
namespace {

constexpr int64_t kBucket = 700;  // values: several buckets even for a small model
constexpr int64_t kVocabulary = 37;

struct OwnedSequence {
    std::vector<int32_t> ids, labels;
    std::vector<std::vector<float>> pixels;
};

// A model and the micro-batches of two steps, drawn from a seed.
struct Case {
    uint64_t seed = 0;
    models::VilaConfig config;
    models::Trainable trainable;
    std::vector<std::vector<OwnedSequence>> micro_batches;
    int64_t targets = 0;
};

int64_t draw(std::mt19937_64& random, int64_t least, int64_t most) {
    return least + static_cast<int64_t>(random() % static_cast<uint64_t>(most - least + 1));
}

OwnedSequence draw_sequence(std::mt19937_64& random, const models::VilaConfig& config) {
    OwnedSequence sequence;
    const bool has_targets = draw(random, 0, 4) != 0;
    const int64_t images = draw(random, 0, 2);
    const int64_t length = draw(random, 2, 9);
    for (int64_t i = 0; i < length; ++i) {
        const auto id = static_cast<int32_t>(draw(random, 0, kVocabulary - 1));
        sequence.ids.push_back(id);
        const bool target = has_targets && i > 0 && draw(random, 0, 2) != 0;
        sequence.labels.push_back(target ? id : kIgnoreLabel);
    }
    const int64_t side = config.vision->image_size;
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < images; ++i) {
        sequence.ids.insert(sequence.ids.begin(), kImageToken);
        sequence.labels.insert(sequence.labels.begin(), kIgnoreLabel);
        auto& pixels = sequence.pixels.emplace_back(static_cast<size_t>(3 * side * side));
        for (float& value : pixels) value = normal(random);
    }
    return sequence;
}

Case draw_case(uint64_t seed) {
    std::mt19937_64 random(seed * 7919 + 13);
    Case drawn;
    drawn.seed = seed;
    models::VilaConfig& config = drawn.config;
    config.llm.vocab_size = kVocabulary;
    config.llm.num_attention_heads = 2;
    config.llm.num_key_value_heads = draw(random, 1, 2);
    config.llm.head_dim = 4;
    config.llm.hidden_size = 8;
    config.llm.intermediate_size = draw(random, 5, 13);
    config.llm.num_hidden_layers = draw(random, 1, 2);
    config.llm.max_position_embeddings = 64;
    config.llm.tie_word_embeddings = draw(random, 0, 1) == 1;
    config.vision.emplace();
    config.vision->hidden_size = 6;
    config.vision->intermediate_size = 7;
    config.vision->num_hidden_layers = 2;
    config.vision->num_attention_heads = 1;
    config.vision->image_size = 8;
    config.vision->patch_size = 4;
    config.select_layer = -1;
    config.projector.kind = models::ProjectorConfig::Kind::Mlp2xGelu;
    drawn.trainable = {
        .llm = draw(random, 0, 3) != 0, .projector = true, .vision_tower = draw(random, 0, 1) == 1};
    const int64_t micro_batches = draw(random, 1, 9);
    for (int64_t m = 0; m < micro_batches; ++m) {
        auto& micro = drawn.micro_batches.emplace_back();
        for (int64_t i = draw(random, 1, 3); i > 0; --i) {
            micro.push_back(draw_sequence(random, config));
            for (const int32_t label : micro.back().labels)
                drawn.targets += label == kIgnoreLabel ? 0 : 1;
        }
    }
    drawn.targets = std::max<int64_t>(drawn.targets, 1);
    return drawn;
}

std::unique_ptr<models::VilaModel> make_model(const Case& drawn, Device& device, DType dtype) {
    auto model = std::make_unique<models::VilaModel>(drawn.config, device, dtype);
    model->initialize(drawn.seed);
    model->set_trainable(drawn.trainable);
    // In every third case, single weights of the language model and the tower are frozen too.
    if (drawn.seed % 3 == 0)
        for (nn::Parameter* parameter : model->trainable_parameters())
            if (model->projector_table().find(parameter->name) != parameter)
                parameter->set_trainable(random_key(drawn.seed, parameter->name) % 3 != 0);
    model->set_activation_checkpointing(drawn.seed % 2 == 1);
    return model;
}

void add_gradients(const Case& drawn, size_t number, models::VilaModel& model) {
    std::vector<models::Sequence> sequences;
    const int64_t side = drawn.config.vision->image_size;
    const int64_t tokens = model.config().image_layout().image_tokens(side, side);
    for (const OwnedSequence& owned : drawn.micro_batches[number]) {
        models::Sequence& sequence = sequences.emplace_back();
        sequence.ids = owned.ids;
        sequence.labels = owned.labels;
        for (const auto& pixels : owned.pixels)
            sequence.images.push_back({{3, side, side}, pixels, tokens});
    }
    const autograd::Variable loss = model.loss(models::make_batch(model.device(), sequences),
                                               1.0 / static_cast<double>(drawn.targets));
    if (loss.requires_grad()) autograd::backward(loss);
}

using Values = std::vector<std::vector<double>>;  // by parameter

Values reference_gradients(const Case& drawn) {
    const auto device = job_device();
    const auto model = make_model(drawn, *device, DType::F64);
    for (size_t i = 0; i < drawn.micro_batches.size(); ++i) add_gradients(drawn, i, *model);
    Values gradients;
    for (const nn::Parameter* parameter : model->trainable_parameters()) {
        const Tensor& grad = parameter->variable.grad();
        gradients.push_back(
            grad.defined()
                ? grad.to_vector<double>()
                : std::vector<double>(static_cast<size_t>(parameter->shape.numel()), 0.0));
    }
    return gradients;
}

// Runs the micro-batches of this rank, in step with the other ranks.
void run_micro_batches(const Case& drawn, Collectives& job, models::VilaModel& model,
                       GradientReducer& gradients) {
    gradients.begin_step();
    for (size_t round = 0; round < drawn.micro_batches.size();
         round += static_cast<size_t>(job.ranks())) {
        const size_t mine = round + static_cast<size_t>(job.rank());
        if (mine < drawn.micro_batches.size()) add_gradients(drawn, mine, model);
        gradients.end_micro_batch();
    }
}

Values summed_gradients(const Case& drawn, Collectives& job, DType dtype) {
    const auto device = job_device();
    const auto model = make_model(drawn, *device, dtype);
    const auto parameters = model->trainable_parameters();
    const BucketPlan plan = plan_buckets(parameters, job.ranks(), kBucket);
    GradientReducer gradients(job, plan, parameters, *device);
    run_micro_batches(drawn, job, *model, gradients);
    Values values(parameters.size());
    double squares = 0.0;
    for (size_t i = 0; i < plan.buckets.size(); ++i) {
        const Tensor& slice = gradients.sum(i);
        const Tensor whole = Tensor::empty(*device, {plan.buckets[i].size}, slice.dtype());
        all_gather(job, slice, whole);
        for (const Bucket::Piece& piece : plan.buckets[i].pieces) {
            const Tensor one = whole.slice(0, piece.begin, piece.begin + piece.count);
            values[piece.parameter] = one.to_vector<double>();
            for (const double value : values[piece.parameter]) squares += value * value;
        }
    }
    EXPECT_NEAR(gradients.norm(), std::sqrt(squares), 1e-12 * (1.0 + std::sqrt(squares)));
    return values;
}

void expect_near(const Values& got, const Values& expected, double tolerance, uint64_t seed,
                 int64_t ranks) {
    double largest = 1e-30, worst = 0.0;
    for (size_t p = 0; p < expected.size(); ++p) {
        ASSERT_EQ(got[p].size(), expected[p].size());
        for (size_t i = 0; i < expected[p].size(); ++i) {
            largest = std::max(largest, std::abs(expected[p][i]));
            worst = std::max(worst, std::abs(got[p][i] - expected[p][i]));
        }
    }
    EXPECT_LE(worst / largest, tolerance) << "case " << seed << ", " << ranks << " ranks";
}

// Fewer cases on emulated GPUs, which are slow.
uint64_t cases() {
    const auto cases = static_cast<uint64_t>(environment_int("VILA_TEST_CASES"));
    return job_is_on_gpus() ? cases / 4 : cases;
}

uint64_t most_ranks() {
    return job_is_on_gpus() ? 4 : 8;
}

uint64_t first_seed() {
    return static_cast<uint64_t>(environment_int("VILA_TEST_SEED")) * 100000;
}

TEST(Zero, GradientsAgreeWithOneProcessInF64) {
    for (uint64_t seed = first_seed(); seed < first_seed() + cases(); ++seed) {
        const Case drawn = draw_case(seed);
        const Values expected = reference_gradients(drawn);
        Values first;  // f32, of the first job
        const auto check = [&](Collectives& job) {
            const Values f64 = summed_gradients(drawn, job, DType::F64);
            const Values f32 = summed_gradients(drawn, job, DType::F32);
            if (job.rank() != 0) return;
            expect_near(f64, expected, 1e-10, seed, job.ranks());
            expect_near(f32, expected, 2e-6, seed, job.ranks());
            if (first.empty()) first = f32;
            EXPECT_EQ(f32, first) << "case " << seed << ", " << job.ranks() << " ranks";
        };
        // Each seed runs on its own number of ranks, and on one.
        check(*one_process());
        if (process_job().ranks() > 1)
            check(process_job());
        else
            run_job(1 + static_cast<int64_t>(seed % most_ranks()), check);
    }
}

// Returns all weights of the model after `steps` steps.
std::vector<float> trained_weights(const Case& drawn, Collectives& job, DType dtype, int64_t stage,
                                   bool overlap = true, int steps = 2) {
    const auto device = job_device();
    const auto model = make_model(drawn, *device, dtype);
    std::vector<ShardedGroup> groups = {{"rest", {}, 0.05}, {"llm", {}, 0.02}};
    for (nn::ParameterTable* table : {&model->vision_table(), &model->projector_table()})
        for (nn::Parameter& parameter : *table) groups[0].parameters.push_back(&parameter);
    for (nn::Parameter& parameter : model->llm_table()) groups[1].parameters.push_back(&parameter);
    const AdamwOptions options = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1};
    ShardedAdamw optimizer(job, groups, options, stage, kBucket, overlap);
    model->set_block_hook(&optimizer);
    for (int step = 0; step < steps; ++step) {
        run_micro_batches(drawn, job, *model, optimizer.gradients());
        optimizer.step(0.5, 1.0 / (1.0 + optimizer.gradients().norm()));
    }
    optimizer.gather_blocks(true);
    std::vector<float> weights;
    for (nn::ParameterTable* table :
         {&model->llm_table(), &model->projector_table(), &model->vision_table()})
        for (const nn::Parameter& parameter : *table)
            for (const float value : parameter.variable.value().to_vector<float>())
                weights.push_back(value);
    return weights;
}

TEST(Zero, WeightsHaveTheSameBitsInEveryStageAndForAnyRanks) {
    for (uint64_t seed = first_seed(); seed < first_seed() + cases() / 4 + 1; ++seed)
        for (const DType dtype : {DType::F32, DType::BF16}) {
            const Case drawn = draw_case(seed);
            const auto expected = trained_weights(drawn, *one_process(), dtype, 0);
            on_every_implementation(
                [&](Collectives& job) {
                    for (int64_t stage = 0; stage <= 3; ++stage) {
                        const bool overlap = (static_cast<int64_t>(seed) + stage) % 3 != 0;
                        EXPECT_EQ(trained_weights(drawn, job, dtype, stage, overlap), expected)
                            << "case " << seed << ", " << dtype << ", stage " << stage << ", rank "
                            << job.rank() << " of " << job.ranks() << ", overlap " << overlap;
                    }
                },
                {1, 2, 3, 4, 6, 8});
        }
}

TEST(Zero, WeightsStayTheSameForTwoHundredSteps) {
    const int steps = job_is_on_gpus() ? 5 : 200;
    Case drawn = draw_case(first_seed() + 3);
    drawn.micro_batches.resize(std::min<size_t>(drawn.micro_batches.size(), 5));
    const auto expected = trained_weights(drawn, *one_process(), DType::F32, 0, true, steps);
    const auto check = [&](Collectives& job) {
        EXPECT_EQ(trained_weights(drawn, job, DType::F32, job.ranks() % 4, true, steps), expected)
            << job.ranks() << " ranks";
    };
    if (process_job().ranks() > 1) return check(process_job());
    for (const int64_t ranks : {2, 3, 4, 6, 8})
        if (ranks <= static_cast<int64_t>(most_ranks())) run_job(ranks, check);
}

TEST(Zero, BucketPlansAreAlignedAndIndependentOfRanks) {
    const auto device = job_device();
    const auto model = make_model(draw_case(1), *device, DType::F32);
    std::vector<nn::Parameter*> parameters;
    for (nn::Parameter& parameter : model->llm_table()) parameters.push_back(&parameter);
    const BucketPlan alone = plan_buckets(parameters, 1, kBucket);
    for (const int64_t ranks : {1, 2, 3, 7}) {
        const BucketPlan plan = plan_buckets(parameters, ranks, kBucket);
        ASSERT_EQ(plan.buckets.size(), alone.buckets.size());
        size_t next = parameters.size();
        for (size_t b = 0; b < plan.buckets.size(); ++b) {
            const Bucket& bucket = plan.buckets[b];
            EXPECT_EQ(bucket.size % (ranks * kBucketAlignment), 0);
            int64_t end = 0;
            for (const Bucket::Piece& piece : bucket.pieces) {
                EXPECT_EQ(piece.parameter, --next);
                EXPECT_EQ(plan.bucket_of[piece.parameter], b);
                EXPECT_EQ(piece.begin % kBucketAlignment, 0);
                EXPECT_GE(piece.begin, end);
                EXPECT_EQ(piece.begin,
                          alone.buckets[b].pieces[&piece - bucket.pieces.data()].begin);
                end = piece.begin + piece.count;
            }
            EXPECT_LE(end, bucket.size);
            EXPECT_EQ(plan.slice_of(bucket, ranks - 1).end, bucket.size);
        }
        EXPECT_EQ(next, size_t{0});
    }
}

}  // namespace
}  // namespace vila::dist
