// Ranks connected by NCCL: error messages, and the order of kernels and transfers on a GPU, which
// wait for each other although the host waits for neither. The cases of collectives.cpp, zero.cpp
// and traffic.cpp run on such ranks too.

#include "dist/nccl_ranks.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <future>
#include <optional>
#include <thread>

#include "autograd/ops.h"
#include "cuda/cuda_device.h"
#include "dist/gradient_reducer.h"
#include "dist/tensor_collectives.h"
#include "dist/thread_ranks.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"
#include "tests/cuda/emulation/stream.h"
#include "tests/dist/job.h"

namespace vila::dist {
namespace {

// Sets an environment variable during its lifetime.
class Setting {
  public:
    Setting(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    ~Setting() { ::unsetenv(name_); }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;

  private:
    const char* name_;
};

std::string error_of(const std::function<void(Collectives&)>& body) {
    try {
        run_thread_ranks(2, body);
    } catch (const std::exception& error) {
        return error.what();
    }
    return "no error";
}

void expect_contains(const std::string& message, const std::string& text) {
    EXPECT_NE(message.find(text), std::string::npos) << message;
}

TEST(Nccl, NamesWhatIsMissing) {
    expect_contains(error_of([](Collectives& job) {
                        nccl_ranks(job, job_device(), nullptr, "libabsent-nccl.so");
                    }),
                    "NCCL cannot be opened");
    expect_contains(
        error_of([](Collectives& job) { nccl_ranks(job, job_device(), nullptr, "libm.so.6"); }),
        "libm.so.6: NCCL has no function ncclGetVersion");
    const Setting old("VILA_FAKE_NCCL_VERSION", "2604");
    expect_contains(
        error_of([](Collectives& job) { nccl_ranks(job, job_device(), nullptr, fake_nccl()); }),
        "NCCL 2604: expected 2700 or later");
}

// Returns the stream of a device; cuda_device.h declares its type.
CUstream_st* stream_of(Device& device) {
    return static_cast<cuda::CudaDevice&>(device).stream();
}

// Holds up a stream until it is opened.
class Gate {
  public:
    explicit Gate(Device& device) {
        emulation::in_stream(stream_of(device),
                             [opened = opened_.get_future().share()] { opened.wait(); });
    }
    ~Gate() {
        if (!open_) opened_.set_value();
    }
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    // Opens the gate after a pause, during which work that fails to wait would run.
    void open_late() {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        open_ = true;
        opened_.set_value();
    }

  private:
    std::promise<void> opened_;
    bool open_ = false;
};

// A case on ranks connected by NCCL. `device` is the rank's GPU, `transfers` its stream for
// transfers.
using NcclBody = std::function<void(Collectives&, Device& device, Device& transfers)>;

void run_nccl_job(int64_t ranks, const NcclBody& body) {
    run_thread_ranks(ranks, [&](Collectives& job) {
        const auto device = job_device();
        auto owner = job_device();
        Device& transfers = *owner;
        const auto nccl = nccl_ranks(job, std::move(owner), stream_of(transfers), fake_nccl());
        body(*nccl, *device, transfers);
    });
}

TEST(Nccl, TransfersWaitForTheKernelsBeforeThem) {
    run_nccl_job(3, [](Collectives& job, Device& device, Device&) {
        const Tensor mine = Tensor::zeros(device, {4}, DType::F32);
        const Tensor all = Tensor::zeros(device, {12}, DType::F32);
        const Tensor parts = Tensor::zeros(device, {12}, DType::F32);
        const Tensor sum = Tensor::zeros(device, {4}, DType::F32);
        device.synchronize();
        {
            Gate gate(device);
            mine.fill(static_cast<double>(job.rank() + 1));
            all_gather(job, mine, all);
            begin_reduce_scatter(job, all, parts, sum);
            gate.open_late();
        }
        job.finish();
        const float expected[] = {3.0F, 6.0F, 9.0F};
        EXPECT_EQ(sum.to_vector<float>(),
                  std::vector<float>(4, expected[static_cast<size_t>(job.rank())]));
        EXPECT_EQ(all.to_vector<float>(), (std::vector<float>{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}));
    });
}

TEST(Nccl, KernelsWaitForTheTransfersBeforeThem) {
    run_nccl_job(2, [](Collectives& job, Device& device, Device& transfers) {
        const Tensor mine = Tensor::full(device, {4}, DType::F32, 2.0);
        const Tensor all = Tensor::zeros(device, {8}, DType::F32);
        const Tensor parts = Tensor::zeros(device, {8}, DType::F32);
        const Tensor sum = Tensor::zeros(device, {4}, DType::F32);
        device.synchronize();
        std::optional<Gate> gate(std::in_place, transfers);
        all_gather(job, mine, all);
        const Tensor gathered = all.clone();
        gate->open_late();
        device.synchronize();
        gate.emplace(transfers);
        begin_reduce_scatter(job, gathered, parts, sum);
        const Tensor before = sum.clone();  // runs beside the transfer
        device.synchronize();
        job.finish();
        const Tensor after = sum.clone();
        gate->open_late();
        EXPECT_EQ(gathered.to_vector<float>(), std::vector<float>(8, 2.0F));
        EXPECT_EQ(before.to_vector<float>(), std::vector<float>(4, 0.0F));
        EXPECT_EQ(after.to_vector<float>(), std::vector<float>(4, 4.0F));
    });
}

TEST(Nccl, MemoryInTransferIsNotReused) {
    run_nccl_job(2, [](Collectives& job, Device& device, Device& transfers) {
        nn::ParameterTable table;
        table.declare({.name = "w", .shape = {128}, .init = {nn::InitKind::Zeros}});
        table.initialize(device, DType::F32, 1, true);
        nn::Parameter& weight = *table.begin();
        const BucketPlan plan = plan_buckets({&weight}, job.ranks(), 128);
        GradientReducer gradients(job, plan, {&weight}, device);
        gradients.begin_step();
        const Tensor gradient = Tensor::full(device, {128}, DType::F32, 3.0);
        device.synchronize();
        Gate gate(transfers);
        autograd::backward(autograd::scale(weight.variable, 2.0), gradient);
        // The backward pass continues, and its allocations may reuse freed memory.
        std::vector<Tensor> others;
        for (int i = 0; i < 6; ++i) others.push_back(Tensor::full(device, {128}, DType::F32, -1.0));
        device.synchronize();
        gate.open_late();
        gradients.end_micro_batch();
        EXPECT_EQ(gradients.sum(0).to_vector<float>(), std::vector<float>(64, 12.0F));
    });
}

TEST(Nccl, SumsKeepTheSignOfZero) {
    run_nccl_job(2, [](Collectives& job, Device& device, Device&) {
        const Tensor zeros = Tensor::full(device, {4}, DType::BF16, -0.0);
        const Tensor sum = Tensor::empty(device, {2}, DType::BF16);
        reduce_scatter(job, zeros, sum);
        for (const float value : sum.to_vector<float>()) EXPECT_FALSE(std::signbit(value));
    });
}

TEST(Nccl, SquaresAreAddedOnTheGpuAndFetchedOnce) {
    run_nccl_job(2, [](Collectives& job, Device& device, Device&) {
        std::vector<Tensor> values;
        double expected = 0.0;
        for (const int64_t count : {1, 0, 5000}) {
            std::vector<float> numbers;
            for (int64_t i = 0; i < count; ++i) {
                numbers.push_back(0.25F * static_cast<float>(i % 71 - job.rank()));
                expected += 0.0625 * std::pow(static_cast<double>(i % 71 - job.rank()), 2);
            }
            values.push_back(Tensor::from_values(device, {count}, numbers));
        }
        ExactSum sum;
        add_squares(values, sum, Partition::Fixed);
        EXPECT_EQ(sum.value(), expected);
        sum_over_ranks(job, {&sum, 1});
        EXPECT_GT(sum.value(), expected);
    });
}

TEST(Nccl, SquaresDoNotDependOnThePartition) {
    const auto device = job_device();
    std::vector<float> numbers;
    for (uint64_t i = 0; i < 64 * 301 + 7; ++i)
        numbers.push_back(static_cast<float>(random_uniform(3, i)));
    const auto count = static_cast<int64_t>(numbers.size());
    const Tensor all = Tensor::from_values(*device, {count}, numbers);
    const auto squares = [&](const std::vector<int64_t>& cuts) {
        std::vector<Tensor> pieces;
        for (size_t i = 0; i + 1 < cuts.size(); ++i)
            pieces.push_back(all.slice(0, cuts[i], cuts[i + 1]));
        ExactSum sum;
        add_squares(pieces, sum);
        return sum.value();
    };
    const double whole = squares({0, count});
    EXPECT_EQ(squares({0, 64, 128, 64 * 100, count}), whole);
    EXPECT_EQ(squares({0, 64 * 300, 64 * 301, count}), whole);
    ExactSum on_cpu;
    const auto cpu = make_cpu_device(1);
    const Tensor there = all.to(*cpu);
    add_squares({&there, 1}, on_cpu);
    EXPECT_NEAR(whole, on_cpu.value(), 1e-12 * whole);
}

TEST(Nccl, OtherRanksCannotReachAGpu) {
    expect_contains(
        error_of([](Collectives& job) {
            const auto device = job_device();
            all_reduce(job, Tensor::zeros(*device, {3}, DType::F32));
        }),
        "[collectives] ranks by threads cannot reach the memory of cuda:0 emulated GPU: "
        "expected ranks by NCCL");
}

TEST(Nccl, ThrowsAfterANetworkError) {
    const Setting fails("VILA_FAKE_NCCL_FAIL", "1");
    const auto alone = one_process();
    const auto device = job_device();
    const auto ranks = nccl_ranks(*alone, job_device(), nullptr, fake_nccl());
    const Tensor mine = Tensor::zeros(*device, {3}, DType::F32), all = mine.clone();
    try {
        ranks->all_gather(*device, mine.raw(), all.raw(), mine.bytes());
        FAIL() << "expected an error";
    } catch (const Error& error) {
        expect_contains(error.what(), "[nccl] ncclAllGather: remote process exited");
    }
}

TEST(Nccl, ThrowsWhenRanksDisagree) {
    expect_contains(error_of([](Collectives& job) {
                        const auto device = job_device();
                        const auto ranks = nccl_ranks(job, job_device(), nullptr, fake_nccl());
                        const int64_t count = 8 + job.rank();
                        all_gather(*ranks, Tensor::zeros(*device, {count}, DType::F32),
                                   Tensor::zeros(*device, {2 * count}, DType::F32));
                    }),
                    "ranks run different collectives");
}

}  // namespace
}  // namespace vila::dist
