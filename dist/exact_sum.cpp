#include "dist/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <type_traits>
#include <vector>

#include "dist/tensor_collectives.h"
#include "tensor/check.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/cpu/parallel.h"
#include "tensor/int_math.h"
#include "tensor/kernels.h"

namespace vila::dist {

namespace {

constexpr int64_t kLimbBits = 32;
constexpr int64_t kLimbMask = (int64_t{1} << kLimbBits) - 1;
// Pieces of 32 bits that can be added to a limb before carry() is due.
constexpr int64_t kMaxAdditions = int64_t{1} << 29;
// Bit 0 of limb 0 is the last bit of the smallest double.
constexpr int kLowestExponent = -1074;
constexpr int64_t kRun = 64;   // consecutive values whose squares are added in f64
constexpr int64_t kLanes = 8;  // partial sums of a run

template <typename T>
double squares_of_run(const T* values, int64_t count) {
    double lanes[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) {
        const auto value = static_cast<double>(values[i]);
        lanes[i % kLanes] += value * value;
    }
    double sum = 0.0;
    for (const double lane : lanes) sum += lane;
    return sum;
}

template <typename T>
void add_squares(const CpuDevice& device, const T* values, int64_t count, ExactSum& sum) {
    std::mutex mutex;
    cpu_kernels::parallel_for(
        device, ceil_div(count, kRun), kRun, [&](int64_t first, int64_t last) {
            ExactSum part;
            for (int64_t begin = first * kRun; begin < std::min(last * kRun, count); begin += kRun)
                part.add(squares_of_run(values + begin, std::min(kRun, count - begin)));
            const std::lock_guard lock(mutex);
            sum.add(part);
        });
}

// totals (R) f64 = sum of the squares of each row of values (R, C).
void sum_squares_of_rows(const Tensor& values, const Tensor& totals) {
    Device& device = values.device();
    const Tensor wide = values.to(DType::F64);                               // (R, C)
    const Tensor squares = Tensor::empty(device, wide.shape(), DType::F64);  // (R, C)
    call(device, "mul", &Kernels::mul, {.a = wide, .b = wide, .y = squares});
    call(device, "sum_to", &Kernels::sum_to,
         {.x = squares, .y = totals.reshape({totals.numel(), 1})});
}

// The most squares that are in GPU memory at the same time.
constexpr int64_t kSquaresAtOnce = int64_t{1} << 20;

void add_squares_by_run_on_gpu(const Tensor& values, ExactSum& sum) {
    const int64_t count = values.numel(), whole = count / kRun * kRun;
    const Tensor totals = Tensor::empty(values.device(), {ceil_div(count, kRun)}, DType::F64);
    for (int64_t begin = 0; begin < whole; begin += kSquaresAtOnce) {
        const int64_t end = std::min(begin + kSquaresAtOnce, whole);
        sum_squares_of_rows(values.slice(0, begin, end).reshape({-1, kRun}),
                            totals.slice(0, begin / kRun, end / kRun));
    }
    if (whole < count)
        sum_squares_of_rows(values.slice(0, whole, count).reshape({1, count - whole}),
                            totals.slice(0, whole / kRun, whole / kRun + 1));
    for (const double total : totals.to_vector<double>()) sum.add(total);
}

void add_squares_by_tensor_on_gpu(std::span<const Tensor> values, ExactSum& sum) {
    Device& device = values.front().device();
    const auto count = static_cast<int64_t>(values.size());
    const Tensor totals = Tensor::zeros(device, {count}, DType::F64);
    for (int64_t i = 0; i < count; ++i)
        call(device, "sum_squares", &Kernels::sum_squares,
             {.x = values[static_cast<size_t>(i)], .result = totals.slice(0, i, i + 1)});
    for (const double total : totals.to_vector<double>()) sum.add(total);
}

}  // namespace

void ExactSum::add(double value) {
    if (!std::isfinite(value)) {
        ++not_finite_;
        return;
    }
    const auto bits = std::bit_cast<uint64_t>(value);
    const int exponent = static_cast<int>(bits >> 52 & 0x7FF);
    const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
    if (exponent == 0 && fraction == 0) return;
    // value = mantissa * 2^(kLowestExponent + place)
    const uint64_t mantissa = exponent == 0 ? fraction : fraction | uint64_t{1} << 52;
    const int64_t place = exponent == 0 ? 0 : exponent - 1;
    const auto limb = static_cast<size_t>(place / kLimbBits);
    const auto shift = static_cast<int>(place % kLimbBits);
    const uint64_t low = mantissa << shift;  // the bits that this shifts out are in `high`
    const uint64_t high = shift == 0 ? 0 : mantissa >> (64 - shift);
    const int64_t sign = value < 0 ? -1 : 1;
    limbs_[limb] += sign * static_cast<int64_t>(low & kLimbMask);
    limbs_[limb + 1] += sign * static_cast<int64_t>(low >> kLimbBits);
    limbs_[limb + 2] += sign * static_cast<int64_t>(high);
    if (++added_ == kMaxAdditions) carry();
}

void ExactSum::add(const ExactSum& other) {
    ExactSum carried = other;
    carried.carry();
    carry();
    for (size_t i = 0; i < limbs_.size(); ++i) limbs_[i] += carried.limbs_[i];
    added_ = 2;
    not_finite_ += other.not_finite_;
}

// Afterwards every limb is in [0, 2^32), except for the last, which has the sign.
void ExactSum::carry() {
    for (size_t i = 0; i + 1 < limbs_.size(); ++i) {
        limbs_[i + 1] += limbs_[i] >> kLimbBits;
        limbs_[i] &= kLimbMask;
    }
    added_ = 1;
}

double ExactSum::value() const {
    if (not_finite_ != 0) return std::nan("");
    ExactSum carried = *this;
    carried.carry();
    const bool negative = carried.limbs_.back() < 0;
    if (negative) {
        for (int64_t& limb : carried.limbs_) limb = -limb;
        carried.carry();
    }
    double sum = 0.0;
    for (size_t i = carried.limbs_.size(); i-- > 0;)
        sum += std::ldexp(static_cast<double>(carried.limbs_[i]),
                          static_cast<int>(i) * static_cast<int>(kLimbBits) + kLowestExponent);
    return negative ? -sum : sum;
}

void sum_over_ranks(Collectives& collectives, std::span<ExactSum> sums) {
    static_assert(std::is_trivially_copyable_v<ExactSum>);
    if (collectives.ranks() == 1 || sums.empty()) return;
    std::vector<ExactSum> all(sums.size() * static_cast<size_t>(collectives.ranks()));
    collectives.all_gather(sums.data(), all.data(), static_cast<int64_t>(sums.size_bytes()));
    for (size_t i = 0; i < sums.size(); ++i) {
        sums[i] = {};
        for (size_t at = i; at < all.size(); at += sums.size()) sums[i].add(all[at]);
    }
}

void add_squares(std::span<const Tensor> values, ExactSum& sum, Partition partition) {
    if (values.empty()) return;
    const bool on_gpu = values.front().device().kind() != DeviceKind::Cpu;
    if (on_gpu && partition == Partition::Fixed) return add_squares_by_tensor_on_gpu(values, sum);
    for (const Tensor& tensor : values) {
        VILA_CHECK(tensor.is_contiguous(), "[add_squares] expected a contiguous tensor");
        if (on_gpu)
            add_squares_by_run_on_gpu(tensor.reshape({tensor.numel()}), sum);
        else if (tensor.dtype() == DType::F64)
            add_squares(cpu(tensor), tensor.data<double>(), tensor.numel(), sum);
        else
            add_squares(cpu(tensor), tensor.data<float>(), tensor.numel(), sum);
    }
}

}  // namespace vila::dist
