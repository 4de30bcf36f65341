// The contract of Collectives, checked on every implementation: a process alone, threads, MPI when
// this program is started by mpirun, and NCCL with tensors on emulated GPUs. tools/test.sh runs all
// of them.

#include "dist/tensor_collectives.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "dist/thread_ranks.h"
#include "tensor/check.h"
#include "tensor/random.h"
#include "tests/dist/job.h"

namespace vila::dist {
namespace {

using Body = std::function<void(Collectives&)>;

double value(int64_t rank, int64_t i) {
    return random_uniform(random_key(7, std::to_string(rank)), static_cast<uint64_t>(i)) - 0.5;
}

// Returns the tensor of value(rank, i) for i < count.
Tensor values_of(Device& device, int64_t rank, int64_t count, DType dtype) {
    std::vector<double> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(value(rank, i));
    return Tensor::from_values(device, {count}, values).to(dtype);
}

// Returns the sum over the ranks of value i, in the order and precision that the interface
// promises.
double expected_sum(Device& device, int64_t ranks, int64_t count, int64_t i, DType dtype) {
    double exact = 0.0;
    float single = 0.0F;
    for (int64_t rank = 0; rank < ranks; ++rank) {
        const auto received = values_of(device, rank, count, dtype).to_vector<double>();
        exact += received[static_cast<size_t>(i)];
        single += static_cast<float>(received[static_cast<size_t>(i)]);
    }
    return dtype == DType::F64 ? exact : static_cast<double>(single);
}

constexpr DType kDTypes[] = {DType::F64, DType::F32, DType::BF16};

TEST(Collectives, ReduceScatterSumsInTheOrderOfTheRanks) {
    on_every_implementation([](Collectives& job) {
        const auto owner = job_device();
        Device& device = *owner;
        for (const DType dtype : kDTypes)
            for (const int64_t slice : {0, 1, 7}) {
                const int64_t count = slice * job.ranks();
                const DType out = dtype == DType::BF16 ? DType::F32 : dtype;
                const Tensor output = Tensor::empty(device, {slice}, out);
                reduce_scatter(job, values_of(device, job.rank(), count, dtype), output);
                const auto sums = output.to_vector<double>();
                for (int64_t i = 0; i < slice; ++i)
                    EXPECT_EQ(
                        sums[static_cast<size_t>(i)],
                        expected_sum(device, job.ranks(), count, job.rank() * slice + i, dtype));
            }
    });
}

TEST(Collectives, AllReduceGivesEveryRankTheSameBits) {
    on_every_implementation([](Collectives& job) {
        const auto owner = job_device();
        Device& device = *owner;
        for (const DType dtype : kDTypes)
            for (const int64_t count : {0, 1, 5, 64, 129}) {
                const Tensor data = values_of(device, job.rank(), count, dtype);
                all_reduce(job, data);
                const auto sums = data.to_vector<double>();
                for (int64_t i = 0; i < count; ++i) {
                    const Tensor expected =
                        Tensor::from_values(
                            device, {1},
                            std::vector<double>{expected_sum(device, job.ranks(), count, i, dtype)})
                            .to(dtype);
                    EXPECT_EQ(sums[static_cast<size_t>(i)], expected.to_vector<double>()[0]);
                }
            }
    });
}

TEST(Collectives, AllGatherPutsSlicesInTheOrderOfTheRanks) {
    on_every_implementation([](Collectives& job) {
        const auto owner = job_device();
        Device& device = *owner;
        const Tensor output = Tensor::empty(device, {3 * job.ranks()}, DType::F32);
        all_gather(job, values_of(device, job.rank(), 3, DType::F32), output);
        const auto all = output.to_vector<double>();
        for (int64_t rank = 0; rank < job.ranks(); ++rank)
            for (int64_t i = 0; i < 3; ++i)
                EXPECT_EQ(all[static_cast<size_t>(rank * 3 + i)],
                          static_cast<float>(value(rank, i)));
    });
}

TEST(Collectives, BroadcastCopiesTheRootsValues) {
    on_every_implementation([](Collectives& job) {
        const auto owner = job_device();
        Device& device = *owner;
        for (int64_t root = 0; root < job.ranks(); ++root) {
            const Tensor data = values_of(device, job.rank(), 11, DType::F64);
            broadcast(job, data, root);
            EXPECT_EQ(data.to_vector<double>(),
                      values_of(device, root, 11, DType::F64).to_vector<double>());
        }
        EXPECT_THROW(broadcast(job, Tensor::zeros(device, {1}, DType::F32), job.ranks()), Error);
    });
}

TEST(Collectives, ReducesSmallValuesAndTexts) {
    on_every_implementation([](Collectives& job) {
        const double ranks = static_cast<double>(job.ranks());
        EXPECT_EQ(sum(job, static_cast<double>(job.rank())), ranks * (ranks - 1) / 2);
        EXPECT_EQ(largest(job, 10 - job.rank()), 10);
        EXPECT_EQ(any_of(job, job.rank() == job.ranks() - 1), true);
        EXPECT_EQ(any_of(job, false), false);
        EXPECT_EQ(all_of(job, job.rank() == 0), job.ranks() == 1);
        EXPECT_EQ(all_of(job, true), true);
        const auto texts = all_gather(job, std::string(static_cast<size_t>(job.rank()), 'x'));
        ASSERT_EQ(texts.size(), static_cast<size_t>(job.ranks()));
        for (size_t rank = 0; rank < texts.size(); ++rank)
            EXPECT_EQ(texts[rank], std::string(rank, 'x'));
        job.barrier();
    });
}

TEST(Collectives, RefusesTensorsThatDoNotFit) {
    const auto owner = job_device();
    Device& device = *owner;
    const auto alone = one_process();
    const Tensor three = Tensor::zeros(device, {3}, DType::F32);
    EXPECT_THROW(reduce_scatter(*alone, three, Tensor::zeros(device, {2}, DType::F32)), Error);
    EXPECT_THROW(reduce_scatter(*alone, three, Tensor::zeros(device, {3}, DType::BF16)), Error);
    EXPECT_THROW(all_gather(*alone, three, Tensor::zeros(device, {3}, DType::F64)), Error);
    EXPECT_THROW(all_reduce(*alone, Tensor::zeros(device, {3}, DType::I32)), Error);
    EXPECT_THROW(all_reduce(*alone, Tensor::zeros(device, {2, 3}, DType::F32).transpose(0, 1)),
                 Error);
}

std::string error_of_ranks(const Body& body) {
    try {
        run_thread_ranks(3, body);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

TEST(ThreadRanks, NamesRanksThatDisagree) {
    const std::string error = error_of_ranks([](Collectives& job) {
        if (job.rank() == 1)
            job.barrier();
        else
            largest(job, 1);
    });
    EXPECT_NE(error.find("barrier"), std::string::npos) << error;
    EXPECT_NE(error.find("all_gather"), std::string::npos) << error;
}

TEST(ThreadRanks, RethrowsTheErrorOfARank) {
    EXPECT_EQ(error_of_ranks([](Collectives& job) {
                  if (job.rank() == 2) throw Error("the disk is full");
                  job.barrier();
              }),
              "the disk is full");
}

TEST(ThreadRanks, DetectsARankThatReturnsEarly) {
    EXPECT_EQ(error_of_ranks([](Collectives& job) {
                  if (job.rank() != 0) job.barrier();
              }),
              "another rank has ended");
}

}  // namespace
}  // namespace vila::dist
