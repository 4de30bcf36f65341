// adamw, compared with ten steps of PyTorch's AdamW (tests/goldens/make_adamw_golden.py) and with
// its formula in f64.

#include <gtest/gtest.h>

#include <cmath>

#include "tensor/kernels.h"
#include "tensor/safetensors.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

// A parameter and its state, which is f32.
struct State {
    State(Device& device, const Array& initial, DType dtype)
        : master(make_tensor(device, initial, DType::F32)),
          first(Tensor::zeros(device, initial.shape, DType::F32)),
          second(Tensor::zeros(device, initial.shape, DType::F32)),
          parameter(dtype == DType::F32 ? master : Tensor::empty(device, initial.shape, dtype)) {}

    AdamwUpdate args(const Tensor& gradient, int64_t number, double weight_decay,
                     double grad_scale) const {
        return {.gradient = gradient,
                .master = master,
                .first_moment = first,
                .second_moment = second,
                .parameter = parameter,
                .lr = 0.02,
                .beta1 = 0.9,
                .beta2 = 0.95,
                .eps = 1e-6,
                .weight_decay = weight_decay,
                .grad_scale = grad_scale,
                .step = number};
    }
    void step(const Tensor& gradient, int64_t number, double weight_decay, double grad_scale) {
        const AdamwUpdate update = args(gradient, number, weight_decay, grad_scale);
        call(master.device(), "adamw", &Kernels::adamw, {.tensors = std::span(&update, 1)});
    }

    Tensor master, first, second, parameter;
};

// Expects every value within 2e-6 of the expected one, relative to it or to `scale`, whichever is
// larger: where gradients cancel, the error is proportional to their terms.
void expect_all_near(const Tensor& got, const Tensor& expected, const std::vector<double>& scale) {
    const std::vector<double> a = got.to_vector<double>(), b = expected.to_vector<double>();
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i)
        ASSERT_NEAR(a[i], b[i], 2e-6 * std::max(std::fabs(b[i]), scale[i])) << "element " << i;
}

}  // namespace

TEST(OpAdamw, FollowsPyTorch) {
    const SafetensorsFile golden(VILA_SOURCE_DIR "/tests/goldens/adamw.safetensors");
    for (const Isa isa : GuardedDevice::levels()) {
        GuardedDevice device(1, isa);
        const Tensor gradients = golden.load("gradients", device);
        const Tensor weights = golden.load("weights", device);
        const Tensor second = golden.load("second_moment", device);
        std::vector<double> gradient_size = second.to_vector<double>();
        for (double& value : gradient_size) value = std::sqrt(value);
        State state(device, to_array(golden.load("initial", device)), DType::F32);
        const Shape shape = state.master.shape();
        for (int64_t step = 0; step < gradients.size(0); ++step) {
            state.step(gradients.slice(0, step, step + 1).reshape(shape), step + 1, 0.1, 1.0);
            expect_all_near(state.master, weights.slice(0, step, step + 1).reshape(shape),
                            std::vector<double>(gradient_size.size(), 1.0));
        }
        expect_all_near(state.first, golden.load("first_moment", device), gradient_size);
        expect_all_near(state.second, second, std::vector<double>(gradient_size.size(), 0.0));
        EXPECT_FALSE(device.damaged());
    }
}

// Takes one step from a given state, with the gradient scaled first, for each parameter dtype.
TEST(OpAdamw, RoundsTheMasterOnce) {
    for (const int64_t count : {0, 1, 7, 16, 17, 1009}) {
        for (const DType dtype : {DType::F32, DType::BF16, DType::F64}) {
            GuardedDevice device;
            const Array initial = {{count}, draw_normal("initial", count)};
            const Array gradient = {{count}, draw_normal("gradient", count, 8.0)};
            State state(device, initial, dtype);
            state.step(make_tensor(device, gradient, DType::F32), 1, 0.0, 0.125);
            const Array master = to_array(state.master), parameter = to_array(state.parameter);
            EXPECT_EQ(parameter.values, rounded(master.values, dtype)) << dtype;
            for (int64_t i = 0; i < count; ++i) {
                // In step 1 the corrected moments are the scaled gradient and its square.
                const double g = 0.125 * double(float(gradient[i]));
                const double expected =
                    double(float(initial[i])) - 0.02 * g / (std::fabs(g) + 1e-6);
                ASSERT_NEAR(master[i], expected, 1e-6) << dtype << ", element " << i;
            }
            EXPECT_FALSE(device.damaged());
        }
    }
}

// More tensors than fit in one launch, of all types, some of them empty.
TEST(OpAdamw, UpdatesManyAsItUpdatesEach) {
    constexpr DType kDTypes[] = {DType::F32, DType::BF16, DType::F64};
    for (const int threads : {1, 2, 3}) {
        GuardedDevice device(threads);
        std::vector<State> one_by_one, together;
        std::vector<AdamwUpdate> updates;
        for (int64_t i = 0; i < 83; ++i) {
            const int64_t count = i % 7 == 3 ? 0 : i == 50 ? 2049 : i * 5 % 67 + 1;
            const Array initial = {{count}, draw_normal(str("initial", i), count)};
            const Tensor gradient =
                make_tensor(device, {{count}, draw_normal(str("gradient", i), count)}, DType::F32);
            const double decay = i % 2 == 0 ? 0.1 : 0.0;
            State& alone = one_by_one.emplace_back(device, initial, kDTypes[i % 3]);
            alone.step(gradient, 2, decay, 0.5);
            const State& state = together.emplace_back(device, initial, kDTypes[i % 3]);
            updates.push_back(state.args(gradient, 2, decay, 0.5));
        }
        call(device, "adamw", &Kernels::adamw, {.tensors = updates});
        for (size_t i = 0; i < together.size(); ++i) {
            const State &expected = one_by_one[i], &got = together[i];
            EXPECT_EQ(got.master.to_vector<float>(), expected.master.to_vector<float>()) << i;
            EXPECT_EQ(got.first.to_vector<float>(), expected.first.to_vector<float>()) << i;
            EXPECT_EQ(got.second.to_vector<float>(), expected.second.to_vector<float>()) << i;
            EXPECT_EQ(got.parameter.to_vector<double>(), expected.parameter.to_vector<double>())
                << i;
        }
        EXPECT_FALSE(device.damaged());
    }
}

TEST(OpAdamw, GivesTheSameBitsForAnyNumberOfThreads) {
    constexpr int64_t kCount = 1009;
    const Array initial = {{kCount}, draw_normal("initial", kCount)};
    const Array gradient = {{kCount}, draw_normal("gradient", kCount)};
    for (const Isa isa : GuardedDevice::levels()) {
        std::vector<double> one_thread;
        for (const int threads : {1, 2, 3}) {
            GuardedDevice device(threads, isa);
            State state(device, initial, DType::BF16);
            const Tensor dw = make_tensor(device, gradient, DType::F32);
            for (int64_t step = 1; step <= 3; ++step) state.step(dw, step, 0.1, 0.7);
            const std::vector<double> got = state.master.to_vector<double>();
            if (threads == 1) one_thread = got;
            EXPECT_EQ(got, one_thread) << device.name();
        }
    }
}

}  // namespace vila::testing
