// y = x summed along broadcast axes.

#include "tensor/cpu/broadcast.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"

namespace vila::cpu_kernels {

namespace {

// sum (elements of y) += x, element by element, for any pattern of axes.
template <typename T>
void sum_reference(const BroadcastPlan<1>& plan, const T* x, compute_t<T>* sum) {
    const int64_t stride = plan.stride[0][0];
    for (int64_t row = 0; row < plan.outer(); ++row) {
        compute_t<T>* out = sum + plan.offsets(row)[0];
        const T* x_row = x + row * plan.inner();
        for (int64_t i = 0; i < plan.inner(); ++i) out[i * stride] += widen(x_row[i]);
    }
}

// x (rows, columns) summed over rows: bias gradients.
template <typename T>
void sum_columns(Device& device, const T* x, int64_t rows, int64_t columns, compute_t<T>* sum) {
    sum_rows_in_chunks(device, rows, columns, sum,
                       [=](int64_t begin, int64_t end, compute_t<T>* partial) {
                           for (int64_t r = begin; r < end; ++r)
                               for (int64_t c = 0; c < columns; ++c)
                                   partial[c] += widen(x[r * columns + c]);
                       });
}

// x (rows, columns) summed over columns.
template <typename T>
void sum_rows(Device& device, const T* x, int64_t rows, int64_t columns, compute_t<T>* sum) {
    vector_for(static_cast<CpuDevice&>(device), rows, columns, [=](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
            sum[r] += vector_sum<compute_t<T>>(
                columns, [=](int64_t c) { return widen(x[r * columns + c]); });
    });
}

// Sums all of x: rows of a fixed length, then their sums and the rest.
template <typename T>
void sum_all(Device& device, const T* x, int64_t count, compute_t<T>* sum) {
    constexpr int64_t kColumns = 4096;
    const int64_t rows = count / kColumns;
    const Tensor sums = Tensor::zeros(device, {rows + 1}, dtype_of<compute_t<T>>);
    auto* row_sums = sums.data<compute_t<T>>();
    sum_rows(device, x, rows, kColumns, row_sums);
    sum_rows(device, x + rows * kColumns, 1, count - rows * kColumns, row_sums + rows);
    for (int64_t r = 0; r <= rows; ++r) *sum += row_sums[r];
}

template <typename T>
void sum_fast(Device& device, const BroadcastPlan<1>& plan, const T* x, compute_t<T>* sum) {
    const bool keeps_inner = plan.stride[0][0] != 0;
    if (plan.rank == 1 && !keeps_inner) return sum_all(device, x, plan.inner(), sum);
    if (plan.rank == 2 && keeps_inner)
        return sum_columns(device, x, plan.outer(), plan.inner(), sum);
    if (plan.rank == 2) return sum_rows(device, x, plan.outer(), plan.inner(), sum);
    sum_reference(plan, x, sum);
}

}  // namespace

void sum_to(const SumToArgs& args) {
    for_float("sum_to", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        Device& device = args.x.device();
        const bool direct = args.y.dtype() == dtype_of<Compute>;
        const Tensor sum =
            direct ? args.y : Tensor::empty(device, args.y.shape(), dtype_of<Compute>);
        if (!direct || !args.accumulate) fill({.y = sum, .value = 0.0});
        if (args.x.numel() > 0)
            sum_fast(device, plan_broadcast<1>(args.x.shape(), {&args.y.shape()}), args.x.data<T>(),
                     sum.data<Compute>());
        if (!direct) scale({.x = sum, .y = args.y, .alpha = 1.0, .accumulate = args.accumulate});
    });
}

}  // namespace vila::cpu_kernels
