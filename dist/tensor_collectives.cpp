#include "dist/tensor_collectives.h"

#include "tensor/check.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/cpu/parallel.h"
#include "tensor/int_math.h"
#include "tensor/kernels.h"

namespace vila::dist {

namespace {

bool is_on_gpu(const Tensor& tensor) {
    return tensor.device().kind() != DeviceKind::Cpu;
}

// sums[i] = parts[0][i] + parts[1][i] + ... for i in [begin, end), from left to right, computed in
// the type Sum; parts (ranks, count). With `accumulate`, sums[i] is the first term.
template <typename Sum, typename In, typename Out>
void add_parts(const In* parts, int64_t ranks, int64_t count, bool accumulate, Out* sums,
               int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
        Sum sum = accumulate ? static_cast<Sum>(sums[i]) : Sum{};
        for (int64_t r = 0; r < ranks; ++r) sum += static_cast<Sum>(parts[r * count + i]);
        sums[i] = static_cast<Out>(sum);
    }
}

// Returns a function of (begin, end) that calls add_parts() for these dtypes. It holds plain
// pointers, so that no tensor is freed on the thread that destroys it.
std::function<void(int64_t, int64_t)> adder(const Tensor& parts, int64_t ranks, bool accumulate,
                                            const Tensor& output) {
    const auto add = [&]<typename Sum, typename In, typename Out>(Sum, In, Out) {
        return [from = parts.data<In>(), to = output.data<Out>(), count = output.numel(), ranks,
                accumulate](int64_t begin, int64_t end) {
            add_parts<Sum>(from, ranks, count, accumulate, to, begin, end);
        };
    };
    if (parts.dtype() == DType::F64) return add(double{}, double{}, double{});
    if (parts.dtype() == DType::F32) return add(float{}, float{}, float{});
    if (output.dtype() == DType::F32) return add(float{}, BFloat16{}, float{});
    return add(float{}, BFloat16{}, BFloat16{});
}

// add_parts() by the kernels of a GPU, one rank at a time. The first term is added to 0, so that -0
// becomes 0, as on a CPU.
void add_parts_on_gpu(const Tensor& parts, int64_t ranks, bool accumulate, const Tensor& output) {
    const int64_t count = output.numel();
    const DType wide = output.dtype() == DType::BF16 ? DType::F32 : output.dtype();
    const Tensor sum = output.to(wide);
    if (!accumulate) sum.fill(0.0);
    for (int64_t r = 0; r < ranks; ++r)
        call(sum.device(), "scale", &Kernels::scale,
             {.x = parts.slice(0, r * count, (r + 1) * count), .y = sum, .accumulate = true});
    if (wide != output.dtype()) output.copy_from(sum);
}

void add_parts(const Tensor& parts, int64_t ranks, bool accumulate, const Tensor& output) {
    if (is_on_gpu(output)) return add_parts_on_gpu(parts, ranks, accumulate, output);
    const auto add = adder(parts, ranks, accumulate, output);
    cpu_kernels::parallel_for(cpu(output), output.numel(), ranks,
                              [&](int64_t begin, int64_t end) { add(begin, end); });
}

// A view of `tensor` whose kernels are launched on `stream`. It does not keep the memory alive.
Tensor on_stream(const Tensor& tensor, Device& stream) {
    return Tensor::from_external(stream, tensor.raw(), tensor.shape(), tensor.dtype(), [] {});
}

void check_addable(const Tensor& input, const Tensor& output) {
    const bool known =
        input.dtype() == DType::F64 || input.dtype() == DType::F32 || input.dtype() == DType::BF16;
    VILA_CHECK(known && (output.dtype() == input.dtype() ||
                         (input.dtype() == DType::BF16 && output.dtype() == DType::F32)),
               "[reduce] cannot sum ", input.dtype(), " into ", output.dtype());
}

void check_plain(const Tensor& tensor) {
    VILA_CHECK(tensor.is_contiguous(), "[collectives] expected a contiguous tensor, got shape ",
               tensor.shape());
}

// Throws unless `whole` (ranks * n values) has room for a `slice` (n values) of each rank. Returns
// the bytes of the slice.
int64_t check_slice(const Collectives& collectives, const Tensor& slice, const Tensor& whole) {
    check_plain(slice);
    check_plain(whole);
    VILA_CHECK(&slice.device() == &whole.device(), "[collectives] the slice is on ",
               slice.device().name(), ", the whole tensor on ", whole.device().name());
    VILA_CHECK_EQ(whole.numel(), slice.numel() * collectives.ranks(),
                  "[collectives] values of the whole tensor, which holds ", collectives.ranks(),
                  " slices of ", slice.numel());
    return slice.bytes();
}

}  // namespace

void reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& output,
                    bool accumulate) {
    check_slice(collectives, output, input);
    check_addable(input, output);
    const bool computes = collectives.moves_bytes();  // false in a plan of memory
    if (collectives.ranks() == 1) {
        if (computes) add_parts(input, 1, accumulate, output);
        return;
    }
    const Tensor parts = Tensor::empty(input.device(), input.shape(), input.dtype());
    const int64_t bytes = output.numel() * dtype_size(input.dtype());
    if (is_on_gpu(input))
        collectives.all_to_all(input.device(), input.raw(), parts.raw(), bytes);
    else
        collectives.all_to_all(input.raw(), parts.raw(), bytes);
    if (computes) add_parts(parts, collectives.ranks(), accumulate, output);
}

void begin_reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& parts,
                          const Tensor& output) {
    check_slice(collectives, output, input);
    check_slice(collectives, output, parts);
    check_addable(input, output);
    VILA_CHECK_EQ(parts.dtype(), input.dtype(), "[reduce_scatter] dtype of the parts");
    if (!collectives.moves_bytes()) return;
    const int64_t bytes = input.bytes() / collectives.ranks();
    if (is_on_gpu(input))
        return collectives.begin_all_to_all(
            input.device(), input.raw(), parts.raw(), bytes, [&](Device& stream) {
                add_parts(on_stream(parts, stream), collectives.ranks(), true,
                          on_stream(output, stream));
            });
    const auto add = [add = adder(parts, collectives.ranks(), true, output),
                      count = output.numel()] { add(0, count); };
    collectives.begin_all_to_all(input.raw(), parts.raw(), bytes, add);
}

void all_gather(Collectives& collectives, const Tensor& input, const Tensor& output) {
    const int64_t bytes = check_slice(collectives, input, output);
    VILA_CHECK_EQ(input.dtype(), output.dtype(), "[all_gather] dtype of the output");
    if (!is_on_gpu(input)) return collectives.all_gather(input.raw(), output.raw(), bytes);
    if (collectives.ranks() > 1)
        return collectives.all_gather(input.device(), input.raw(), output.raw(), bytes);
    if (input.raw() != output.raw()) output.copy_from(input.reshape(output.shape()));
}

void begin_all_gather(Collectives& collectives, const Tensor& input, const Tensor& output) {
    const int64_t bytes = check_slice(collectives, input, output);
    VILA_CHECK_EQ(input.dtype(), output.dtype(), "[all_gather] dtype of the output");
    if (is_on_gpu(input))
        collectives.begin_all_gather(input.device(), input.raw(), output.raw(), bytes);
    else
        collectives.begin_all_gather(input.raw(), output.raw(), bytes);
}

void all_reduce(Collectives& collectives, const Tensor& data) {
    check_plain(data);
    check_addable(data, data);
    if (collectives.ranks() == 1 || data.numel() == 0) return;
    // Each rank sums one slice; the last slices may be padding.
    const int64_t slice = ceil_div(data.numel(), collectives.ranks());
    const Tensor padded = Tensor::zeros(data.device(), {slice * collectives.ranks()}, data.dtype());
    const Tensor values = data.reshape({data.numel()}), sums = padded.slice(0, 0, data.numel());
    sums.copy_from(values);
    const Tensor mine = Tensor::empty(data.device(), {slice}, data.dtype());
    reduce_scatter(collectives, padded, mine);
    all_gather(collectives, mine, padded);
    values.copy_from(sums);
}

void broadcast(Collectives& collectives, const Tensor& data, int64_t root) {
    check_plain(data);
    VILA_CHECK(root >= 0 && root < collectives.ranks(), "[broadcast] the root is rank ", root,
               ": expected a rank below ", collectives.ranks());
    if (!is_on_gpu(data)) return collectives.broadcast(data.raw(), data.bytes(), root);
    if (collectives.ranks() > 1)
        collectives.broadcast(data.device(), data.raw(), data.bytes(), root);
}

}  // namespace vila::dist
