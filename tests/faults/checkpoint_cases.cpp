#include "tests/faults/checkpoint_cases.h"

#include <gtest/gtest.h>

#include "dist/thread_ranks.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/temporary_name.h"
#include "tools/train/checkpoint.h"

namespace vila::tools {

namespace {

struct TensorOfState {
    const char* name;
    int64_t values;
};
constexpr TensorOfState kTensors[] = {
    {"llm/master/a", 1030}, {"llm/exp_avg/a", 7}, {"empty", 0}, {"b", 12}};

float value(int64_t step, const TensorOfState& tensor, int64_t i) {
    return static_cast<float>(step * 100000 + tensor.values * 7 + i);
}

// Returns the parts of the state that rank `rank` of `ranks` saves.
std::vector<TensorPart> parts(Device& device, int64_t step, int64_t rank, int64_t ranks) {
    std::vector<TensorPart> parts;
    for (const TensorOfState& tensor : kTensors) {
        const int64_t begin = tensor.values * rank / ranks;
        const int64_t end = tensor.values * (rank + 1) / ranks;
        std::vector<float> values;
        for (int64_t i = begin; i < end; ++i) values.push_back(value(step, tensor, i));
        parts.push_back({tensor.name,
                         {tensor.values},
                         begin,
                         Tensor::from_values(device, {end - begin}, values)});
    }
    return parts;
}

void ignore(const std::string&) {}

}  // namespace

void save_step(const std::filesystem::path& folder, int64_t step, const SaveWay& way) {
    const auto body = [&](dist::Collectives& ranks) {
        const auto device = make_cpu_device(1);
        CheckpointStore store(folder, 2, ignore, &ranks);
        const std::vector<TensorPart> mine = parts(*device, step, ranks.rank(), ranks.ranks());
        if (!way.async) return store.save(step, mine, {{"note", step}});
        store.begin_save(step, mine, {{"note", step}});
        store.finish_save();
    };
    if (way.ranks == 1) return body(*dist::one_process());
    dist::run_thread_ranks(way.ranks, body);
}

int64_t start_step(const std::filesystem::path& folder) {
    const auto device = make_cpu_device(1);
    CheckpointStore store(folder, 2, ignore);
    std::vector<std::filesystem::path> leftovers;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (is_temporary_of(entry.path(), process_nonce())) leftovers.push_back(entry.path());
    for (const auto& leftover : leftovers) std::filesystem::remove_all(leftover);
    const std::optional<Checkpoint> loaded = store.load_newest(*device);
    if (!loaded) return -1;
    EXPECT_EQ(loaded->info.at("note"), loaded->step);
    for (const TensorOfState& tensor : kTensors) {
        const std::vector<float> values = loaded->tensor(tensor.name).to_vector<float>();
        EXPECT_EQ(static_cast<int64_t>(values.size()), tensor.values) << tensor.name;
        for (size_t i = 0; i < values.size(); ++i)
            EXPECT_EQ(values[i], value(loaded->step, tensor, static_cast<int64_t>(i)))
                << tensor.name;
    }
    return loaded->step;
}

}  // namespace vila::tools
