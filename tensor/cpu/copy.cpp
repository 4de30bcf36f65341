// copy and fill: strided, converting between any two dtypes.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

namespace {

template <typename To, typename From>
To convert(From value) {
    if constexpr (std::is_same_v<To, From>) {
        return value;
    } else if constexpr (std::is_class_v<From>) {
        return convert<To>(static_cast<float>(value));
    } else if constexpr (std::is_class_v<To>) {
        return To(static_cast<float>(value));
    } else {
        return static_cast<To>(value);
    }
}

// Copies rows: the last axis is the inner loop, the other axes are counted like an odometer.
template <typename From, typename To>
void copy_rows(const Tensor& x, const Tensor& y, int64_t row_begin, int64_t row_end) {
    const int rank = y.rank();
    const int64_t columns = rank == 0 ? 1 : y.size(-1);
    const int64_t x_stride = rank == 0 ? 1 : x.strides()[-1];
    const int64_t y_stride = rank == 0 ? 1 : y.strides()[-1];
    for (int64_t row = row_begin; row < row_end; ++row) {
        int64_t x_offset = 0, y_offset = 0, rest = row;
        for (int axis = rank - 2; axis >= 0; --axis) {
            const int64_t index = rest % y.size(axis);
            rest /= y.size(axis);
            x_offset += index * x.strides()[axis];
            y_offset += index * y.strides()[axis];
        }
        const From* x_row = x.data<From>() + x_offset;
        To* y_row = y.data<To>() + y_offset;
        if constexpr (std::is_same_v<From, To>) {
            if (x_stride == 1 && y_stride == 1) {
                std::memcpy(y_row, x_row, static_cast<size_t>(columns) * sizeof(To));
                continue;
            }
        }
        for (int64_t c = 0; c < columns; ++c)
            y_row[c * y_stride] = convert<To>(x_row[c * x_stride]);
    }
}

}  // namespace

void copy(const CopyArgs& args) {
    // Contiguous tensors are treated as one matrix with long rows, whatever their axes.
    Tensor x = args.x, y = args.y;
    if (y.numel() == 0) return;
    if (x.is_contiguous() && y.is_contiguous()) {
        const auto computes = [](DType dtype) {
            return dtype == DType::F32 || dtype == DType::BF16 || dtype == DType::F64;
        };
        if (x.dtype() != y.dtype() && computes(x.dtype()) && computes(y.dtype()))
            return scale({.x = x, .y = y});  // times 1: same values, vectorized
        constexpr int64_t kRow = 4096;
        const int64_t columns = y.numel() % kRow == 0 ? kRow : y.numel();
        x = x.reshape({-1, columns});
        y = y.reshape({-1, columns});
    }
    const int64_t columns = y.rank() == 0 ? 1 : y.size(-1);
    for_any(x.dtype(), [&](auto from) {
        for_any(y.dtype(), [&](auto to) {
            parallel_for(cpu(y), y.numel() / columns, columns, [&](int64_t begin, int64_t end) {
                copy_rows<decltype(from), decltype(to)>(x, y, begin, end);
            });
        });
    });
}

void fill(const FillArgs& args) {
    for_any(args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T value = convert<T>(args.value);
        const Tensor& y = args.y;
        if (y.is_contiguous()) {
            T* out = y.data<T>();
            // Zero, the usual value, is all bits zero in every dtype.
            const bool zeros = args.value == 0.0 && !std::signbit(args.value);
            parallel_for(cpu(y), y.numel(), 1, [&](int64_t begin, int64_t end) {
                if (zeros) {
                    std::memset(static_cast<void*>(out + begin), 0,
                                static_cast<size_t>(end - begin) * sizeof(T));
                } else {
                    std::fill(out + begin, out + end, value);
                }
            });
            return;
        }
        copy({.x = Tensor::full(y.device(), y.shape(), y.dtype(), args.value), .y = y});
    });
}

}  // namespace vila::cpu_kernels
