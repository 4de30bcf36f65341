// CUDA graphs: launches that are recorded and replayed, and the decode step that uses them.

#include "cuda/launch_graph.h"

#include "cuda/cuda_device.h"
#include "cuda/fault.h"
#include "cuda/runtime.h"
#include "models/decode_graph.h"
#include "models/generate.h"
#include "nn/adamw.h"
#include "tensor/kernels.h"
#include "tests/support/driver.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

using cuda::CudaDevice;
using testing::expect_error;

emulation::Machine& machine() {
    return emulation::machine();
}

// y = 2 x + y, with a temporary tensor.
void add_twice(const Tensor& x, const Tensor& y) {
    const Tensor twice = Tensor::empty(x.device(), x.shape(), x.dtype());
    call(x.device(), "scale", &Kernels::scale, {.x = x, .y = twice, .alpha = 2.0});
    call(x.device(), "add", &Kernels::add, {.a = y, .b = twice, .y = y});
}

std::vector<float> all(float value) {
    return std::vector<float>(300, value);
}

class CudaLaunchGraph : public JoinedTest {
  protected:
    static GenerateOptions options(int64_t max_tokens) {
        GenerateOptions options;
        options.max_tokens = max_tokens;
        return options;
    }
};

}  // namespace

TEST_F(CudaLaunchGraph, ReplaysTheRecordedLaunches) {
    CudaDevice device(0);
    const Tensor x = Tensor::full(device, {300}, DType::F32, 1.0);
    const Tensor y = Tensor::zeros(device, {300}, DType::F32);
    const auto replay = device.capture([&] { add_twice(x, y); });
    EXPECT_EQ(y.to_vector<float>(), all(2.0F));  // ran once, then was recorded
    // This tensor would reuse the memory of the temporary one if the graph did not own it.
    const Tensor other = Tensor::full(device, {300}, DType::F32, 7.0);
    const int64_t allocations = machine().allocations, graphs = machine().graph_launches;
    replay();
    EXPECT_EQ(y.to_vector<float>(), all(4.0F));
    x.fill(10.0);  // the graph reads the new values
    replay();
    EXPECT_EQ(y.to_vector<float>(), all(24.0F));
    EXPECT_EQ(other.to_vector<float>(), all(7.0F));
    EXPECT_EQ(machine().allocations, allocations);
    EXPECT_EQ(machine().graph_launches, graphs + 2);
}

TEST_F(CudaLaunchGraph, FreesItsMemory) {
    CudaDevice device(0);
    const Tensor x = Tensor::full(device, {300}, DType::F32, 1.0);
    const Tensor y = Tensor::zeros(device, {300}, DType::F32);
    auto replay = device.capture([&] { add_twice(x, y); });
    const int64_t reserved = device.reserved_bytes();
    replay = nullptr;
    const Tensor other = Tensor::full(device, {300}, DType::F32, 7.0);
    EXPECT_EQ(device.reserved_bytes(), reserved);
}

TEST_F(CudaLaunchGraph, RefusesWhatCannotBeRecorded) {
    CudaDevice device(0);
    const Tensor x = Tensor::full(device, {300}, DType::F32, 1.0);
    const Tensor y = Tensor::zeros(device, {300}, DType::F32);
    EXPECT_EQ(expect_error("[capture] cannot copy to the host while recording on cuda:0",
                           [&] { device.capture([&] { y.to_vector<float>(); }); }),
              "");
    EXPECT_EQ(expect_error("[capture] cannot copy from the host while recording",
                           [&] { device.capture([&] { y.copy_from_host(all(1.0F).data()); }); }),
              "");
    EXPECT_EQ(expect_error("[capture] cannot wait while recording",
                           [&] { device.capture([&] { device.synchronize(); }); }),
              "");
    Tensor kept;
    EXPECT_EQ(expect_error("[capture] a tensor outlives the captured function on cuda:0",
                           [&] { device.capture([&] { kept = x.clone(); }); }),
              "");
    EXPECT_EQ(
        expect_error("[capture] cannot capture while capturing",
                     [&] { device.capture([&] { device.capture([&] { add_twice(x, y); }); }); }),
        "");
    // The device works afterwards.
    y.fill(0.0);
    device.capture([&] { add_twice(x, y); })();
    EXPECT_EQ(y.to_vector<float>(), all(4.0F));
}

TEST_F(CudaLaunchGraph, TokensAreTheSameWithoutRecording) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        CudaDevice recorded(0), plain(0);
        plain.options.use_graphs = false;
        const auto a = load(dtype, recorded), b = load(dtype, plain);
        for (const int index : {0, 1, 2}) {
            const OwnedSequence prompt = sequence(index);
            GenerateOptions asked = options(12);
            EXPECT_EQ(generate(*a, prompt.get(), asked), generate(*b, prompt.get(), asked));
            asked.sampling = {.temperature = 0.8, .top_p = 0.9, .seed = 3};
            EXPECT_EQ(generate(*a, prompt.get(), asked), generate(*b, prompt.get(), asked));
        }
    }
}

TEST_F(CudaLaunchGraph, ATokenTakesOneGraphLaunchAndCopiesOneId) {
    CudaDevice device(0);
    const auto model = load(DType::F32, device);
    const OwnedSequence prompt = sequence(0);
    generate(*model, prompt.get(), options(2));
    const int64_t most = 10;
    int64_t graphs = 0, launches = 0, bytes = 0, allocations = 0;
    std::vector<int64_t> graphs_of, bytes_of, allocations_of;
    GenerateOptions asked = options(most);
    asked.on_token = [&](int32_t) {
        graphs_of.push_back(machine().graph_launches - graphs);
        bytes_of.push_back(machine().bytes_to_host - bytes);
        allocations_of.push_back(machine().allocations - allocations);
        graphs = machine().graph_launches;
        bytes = machine().bytes_to_host;
        allocations = machine().allocations;
        launches = machine().launches;
        return true;
    };
    const auto tokens = generate(*model, prompt.get(), asked);
    ASSERT_EQ(static_cast<int64_t>(tokens.size()), most);
    EXPECT_GT(launches, 0);
    // The first token comes from the prompt, the second step records the graph.
    for (size_t i = 2; i < tokens.size(); ++i) {
        EXPECT_EQ(graphs_of[i], 1) << i;
        EXPECT_EQ(bytes_of[i], static_cast<int64_t>(sizeof(int32_t) + sizeof(cuda::Faults))) << i;
        EXPECT_EQ(allocations_of[i], 0) << i;
    }
}

TEST_F(CudaLaunchGraph, ADecodeStepThrowsWhenTheCacheIsFull) {
    CudaDevice device(0);
    const auto model = load(DType::F32, device);
    const KvCache cache(model->config().llm, device, DType::F32, 1);
    CachedSequence sequence = sequence_on_first_pages(1);
    sequence.length = kPageRows - 2;
    DecodeGraph step(*model, cache, sequence);
    step.run(1);
    step.run(2);
    EXPECT_EQ(
        expect_error("the key-value cache holds 64 positions, 65 are needed", [&] { step.run(3); }),
        "");
}

// From the third step of a training run on nothing is allocated, on the GPU or for copies to it.
TEST_F(CudaLaunchGraph, AWarmTrainingStepAllocatesNothing) {
    CudaDevice device(0);
    const auto model = load(DType::BF16, device);
    model->set_trainable({.llm = true, .projector = true, .vision_tower = true});
    const auto parameters = model->trainable_parameters();
    nn::Adamw optimizer(parameters, {});
    std::vector<int64_t> allocations;
    for (int step = 0; step < 5; ++step) {
        const int64_t before = machine().allocations;
        for (const std::vector<int>& part : {std::vector<int>{0, 1}, std::vector<int>{2}}) {
            Tensor row_losses;
            const autograd::Variable loss = model->loss(batch(*model, part), 0.1, &row_losses);
            autograd::backward(loss);
            row_losses.to_vector<double>();
        }
        optimizer.step(1e-3, nn::clip_scale(nn::gradient_norm(parameters), 1.0));
        optimizer.clear_gradients();
        allocations.push_back(machine().allocations - before);
    }
    EXPECT_GT(allocations[0], 0);
    EXPECT_EQ(std::vector<int64_t>(allocations.begin() + 2, allocations.end()),
              (std::vector<int64_t>{0, 0, 0}));
}

}  // namespace vila::models
