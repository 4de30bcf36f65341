// Checkpoints of many ranks: any number of ranks in any ZeRO stage reads back bit for bit what any
// other wrote; a rank that cannot write does not stop the others; after damage in any file all
// ranks load the older checkpoint.

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "dist/agree.h"
#include "dist/sharded_adamw.h"
#include "dist/thread_ranks.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"
#include "tests/support/temporary_directory.h"
#include "tools/train/checkpoint.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

struct Job {
    int64_t ranks, stage;
};

// A model of odd sizes with its optimizer, on one rank.
class Trained {
  public:
    Trained(dist::Collectives& ranks, int64_t stage, DType dtype) : device_(make_cpu_device(1)) {
        const auto declare = [&](const char* name, const Shape& shape) {
            table_.declare(
                {.name = name, .shape = shape, .init = {nn::InitKind::Normal, 1.0}, .decay = true});
        };
        declare("embed", {13, 7});
        for (const char* layer : {"0", "1"}) {
            declare(("model.layers." + std::string(layer) + ".weight").c_str(), {11, 17});
            declare(("model.layers." + std::string(layer) + ".norm").c_str(), {3});
        }
        declare("one", {1});
        declare("head", {257});
        table_.initialize(*device_, dtype, 5, true);
        std::vector<nn::Parameter*> parameters;
        for (nn::Parameter& parameter : table_) parameters.push_back(&parameter);
        optimizer_ = std::make_unique<dist::ShardedAdamw>(
            ranks, std::vector<dist::ShardedGroup>{{"all", parameters, 0.1}},
            AdamwOptions{.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8}, stage, 200);
    }

    // Takes steps with gradients that depend only on the step.
    void train(dist::Collectives& ranks, int64_t steps) {
        for (int64_t step = 0; step < steps; ++step) {
            dist::GradientReducer& gradients = optimizer_->gradients();
            gradients.begin_step();
            for (nn::Parameter& parameter : table_) {
                if (ranks.rank() != 0) continue;
                const uint64_t key = random_key(static_cast<uint64_t>(step), parameter.name);
                std::vector<float> values(static_cast<size_t>(parameter.shape.numel()));
                for (size_t i = 0; i < values.size(); ++i)
                    values[i] = static_cast<float>(random_normal(key, i));
                parameter.variable.set_grad(Tensor::from_values(*device_, parameter.shape, values));
            }
            gradients.end_micro_batch();
            optimizer_->step(1.0, 1.0);
        }
    }

    std::vector<TensorPart> parts() const {
        std::vector<TensorPart> parts;
        for (const dist::StatePiece& piece : optimizer_->state())
            parts.push_back({piece.name, piece.shape, piece.begin, piece.values});
        return parts;
    }
    void restore(const Checkpoint& checkpoint) {
        optimizer_->restore(2, [&](const dist::StatePiece& piece) {
            checkpoint.read({piece.name, piece.shape, piece.begin, piece.values});
        });
    }
    // Returns all weights, gathered on every rank.
    std::map<std::string, std::vector<float>> weights() {
        optimizer_->gather_blocks(true);
        std::map<std::string, std::vector<float>> all;
        for (const nn::Parameter& parameter : table_)
            all[parameter.name] = parameter.variable.value().to_vector<float>();
        optimizer_->release_blocks();
        return all;
    }
    Device& device() { return *device_; }

  private:
    std::unique_ptr<CpuDevice> device_;
    nn::ParameterTable table_;
    std::unique_ptr<dist::ShardedAdamw> optimizer_;
};

void ignore(const std::string&) {}

// Returns all tensors of a checkpoint.
std::map<std::string, std::vector<float>> contents(const fs::path& folder) {
    const auto device = make_cpu_device(1);
    const Checkpoint checkpoint = load_checkpoint(folder, *device);
    std::map<std::string, std::vector<float>> all;
    for (const char* kind : {"master", "exp_avg", "exp_avg_sq"})
        for (const char* name : {"embed", "model.layers.0.weight", "model.layers.0.norm",
                                 "model.layers.1.weight", "model.layers.1.norm", "one", "head"}) {
            const std::string full = std::string("all/") + kind + "/" + name;
            all[full] = checkpoint.tensor(full).to_vector<float>();
        }
    return all;
}

TEST(CheckpointRanks, AnyRanksInAnyStageReadWhatAnyOthersWrote) {
    const TemporaryDirectory folder;
    std::vector<Job> jobs;
    for (int64_t ranks = 1; ranks <= 4; ++ranks)
        for (int64_t stage = 0; stage <= 3; ++stage) jobs.push_back({ranks, stage});
    for (const DType dtype : {DType::F32, DType::BF16}) {
        std::map<std::string, std::vector<float>> state, weights;
        for (const Job& from : jobs) {
            const fs::path store = folder.path() / str(dtype, from.ranks, from.stage);
            dist::run_thread_ranks(from.ranks, [&](dist::Collectives& ranks) {
                Trained trained(ranks, from.stage, dtype);
                trained.train(ranks, 2);
                CheckpointStore checkpoints(store, 2, ignore, &ranks);
                checkpoints.save(2, trained.parts(), {{"note", 7}});
                const auto now = trained.weights();
                if (ranks.rank() != 0) return;
                if (weights.empty()) weights = now;
                EXPECT_EQ(now, weights);
            });
            const auto written = contents(store / "step-00000002");
            if (state.empty()) state = written;
            EXPECT_EQ(written, state) << from.ranks << " ranks, stage " << from.stage;
            for (const Job& to : jobs)
                dist::run_thread_ranks(to.ranks, [&](dist::Collectives& ranks) {
                    Trained trained(ranks, to.stage, dtype);
                    CheckpointStore checkpoints(store, 2, ignore, &ranks);
                    const auto loaded = checkpoints.load_newest(trained.device());
                    ASSERT_TRUE(loaded.has_value());
                    EXPECT_EQ(loaded->info.at("note"), 7);
                    trained.restore(*loaded);
                    EXPECT_EQ(trained.weights(), weights)
                        << "from " << from.ranks << " ranks, stage " << from.stage << ", to "
                        << to.ranks << ", stage " << to.stage;
                    // Saved again, the state (moments included) is unchanged.
                    if (from.ranks != 2 || dtype != DType::F32) return;
                    CheckpointStore again(
                        folder.path() / str("again", to.ranks, to.stage, from.stage), 2, ignore,
                        &ranks);
                    again.save(3, trained.parts(), {});
                    if (ranks.rank() != 0) return;
                    EXPECT_EQ(contents(again.path_of(3)), state);
                });
        }
    }
}

TEST(CheckpointRanks, ARankThatCannotWriteStopsNobody) {
    const TemporaryDirectory folder;
    for (const bool in_background : {false, true})
        dist::run_thread_ranks(3, [&](dist::Collectives& ranks) {
            Trained trained(ranks, 2, DType::F32);
            CheckpointStore checkpoints(folder.path(), 2, ignore, &ranks);
            checkpoints.save(1, trained.parts(), {});
            std::vector<TensorPart> parts = trained.parts();
            if (ranks.rank() == 1) parts.push_back(parts.front());  // a duplicate name
            const auto save = [&] {
                if (!in_background) return checkpoints.save(2, parts, {});
                checkpoints.begin_save(2, parts, {});
                checkpoints.finish_save();
            };
            try {
                save();
                ADD_FAILURE() << "rank " << ranks.rank() << " has no error";
            } catch (const dist::AgreedError& error) {
                EXPECT_TRUE(std::string(error.what()).starts_with("rank 1: ")) << error.what();
            }
            EXPECT_EQ(checkpoints.steps(), (std::vector<int64_t>{1}));
            ranks.barrier();
            checkpoints.save(3, trained.parts(), {});
            EXPECT_EQ(checkpoints.load_newest(trained.device())->step, 3);
            ranks.barrier();
            if (ranks.rank() == 0)
                for (const auto& entry : fs::directory_iterator(folder.path())) {
                    const std::string name = entry.path().filename().string();
                    EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
                }
            ranks.barrier();
            if (ranks.rank() == 0) fs::remove_all(checkpoints.path_of(3));
            ranks.barrier();
        });
}

TEST(CheckpointRanks, DamageInAnyFileSendsAllToTheOlderOne) {
    const TemporaryDirectory folder;
    for (const int64_t victim : {0, 2}) {
        const fs::path store = folder.path() / std::to_string(victim);
        int warnings = 0;
        dist::run_thread_ranks(3, [&](dist::Collectives& ranks) {
            Trained trained(ranks, 1, DType::F32);
            CheckpointStore checkpoints(
                store, 2, [&](const std::string&) { ++warnings; }, &ranks);
            checkpoints.save(1, trained.parts(), {});
            checkpoints.save(2, trained.parts(), {});
            if (ranks.rank() == 0) {
                const fs::path file =
                    checkpoints.path_of(2) / str("rank-0000", victim, ".safetensors");
                std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
                stream.seekg(-3, std::ios::end);
                const char byte = static_cast<char>(stream.get() ^ 4);
                stream.seekp(-3, std::ios::end);
                stream.put(byte);
            }
            ranks.barrier();
            EXPECT_EQ(checkpoints.load_newest(trained.device())->step, 1);
        });
        EXPECT_EQ(warnings, 1) << "only the first rank warns";
        EXPECT_TRUE(fs::exists(store / "step-00000002.damaged"));
    }
}

}  // namespace
}  // namespace vila::tools
