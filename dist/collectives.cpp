#include "dist/collectives.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tensor/check.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/cpu/parallel.h"
#include "tensor/kernels.h"

namespace vila::dist {

namespace {

class OneProcess final : public Collectives {
  public:
    int64_t rank() const override { return 0; }
    int64_t ranks() const override { return 1; }
    std::string name() const override { return "one process"; }

  private:
    void do_barrier() override {}
    void do_broadcast(void*, int64_t, int64_t) override {}
    void do_all_gather(const void* in, void* out, int64_t bytes) override { copy(in, out, bytes); }
    void do_all_to_all(const void* in, void* out, int64_t bytes) override { copy(in, out, bytes); }

    static void copy(const void* in, void* out, int64_t bytes) {
        if (bytes > 0 && in != out) std::memmove(out, in, static_cast<size_t>(bytes));
    }
};

bool is_on_gpu(const Tensor& tensor) {
    return tensor.device().kind() != DeviceKind::Cpu;
}

// sums[i] = parts[0][i] + parts[1][i] + ... in Sum, for `ranks` parts of `count` values in a row
// and i in [begin, end); or sums[i] += ... from left to right.
template <typename Sum, typename In, typename Out>
void add_parts(const In* parts, int64_t ranks, int64_t count, bool accumulate, Out* sums,
               int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
        Sum sum = accumulate ? static_cast<Sum>(sums[i]) : Sum{};
        for (int64_t r = 0; r < ranks; ++r) sum += static_cast<Sum>(parts[r * count + i]);
        sums[i] = static_cast<Out>(sum);
    }
}

// add(begin, end) adds part of the values. Holds plain pointers: whoever runs it last, on whatever
// thread, frees no tensor.
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

// The same by the kernels of a GPU: a rank at a time. 0 + x first, because -0 + 0 is 0 on a CPU
// too.
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

// A view of the same memory whose kernels are launched on `line`. It keeps nothing alive.
Tensor in_line(const Tensor& tensor, Device& line) {
    return Tensor::from_external(line, tensor.raw(), tensor.shape(), tensor.dtype(), [] {});
}

void check_addable(const Tensor& input, const Tensor& output) {
    const bool known =
        input.dtype() == DType::F64 || input.dtype() == DType::F32 || input.dtype() == DType::BF16;
    VILA_CHECK(known && (output.dtype() == input.dtype() ||
                         (input.dtype() == DType::BF16 && output.dtype() == DType::F32)),
               "[reduce] no sum of ", input.dtype(), " into ", output.dtype());
}

void check_plain(const Tensor& tensor) {
    VILA_CHECK(tensor.is_contiguous(), "[collectives] expected a contiguous tensor, got shape ",
               tensor.shape());
}

// Where a rank's slices are in a tensor of ranks * n values.
int64_t slice_size(const Collectives& collectives, const Tensor& slice, const Tensor& whole) {
    check_plain(slice);
    check_plain(whole);
    VILA_CHECK(&slice.device() == &whole.device(), "[collectives] a slice on ",
               slice.device().name(), " of a tensor on ", whole.device().name());
    VILA_CHECK_EQ(whole.numel(), slice.numel() * collectives.ranks(),
                  "[collectives] values of the whole for ", collectives.ranks(), " slices of ",
                  slice.numel());
    return slice.bytes();
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

template <typename Call>
void Collectives::counted(const char* what, int64_t bytes, int64_t blocks, const Call& call) {
    if (observer_ != nullptr) observer_->enter(what, bytes);
    const Clock::time_point start = Clock::now();
    call();
    traffic_.seconds += seconds_since(start);
    traffic_.bytes_sent += bytes * blocks;
    ++traffic_.calls;
    if (observer_ != nullptr) observer_->leave();
}

template <typename Call>
void Collectives::exposed(const Call& call) {
    const Clock::time_point start = Clock::now();
    finish_on_gpu();
    if (began_.valid()) began_.get();
    call();
    if (ranks() > 1) traffic_.exposed += seconds_since(start);
}

void Collectives::barrier() {
    exposed([&] { counted("barrier", 0, 0, [&] { do_barrier(); }); });
}

void Collectives::broadcast(void* data, int64_t bytes, int64_t root) {
    // In a ring all but the last pass it on once.
    const bool last = (rank() + 1) % ranks() == root;
    exposed([&] {
        counted("broadcast", bytes, last ? 0 : 1, [&] { do_broadcast(data, bytes, root); });
    });
}

void Collectives::all_gather(const void* in, void* out, int64_t bytes) {
    exposed(
        [&] { counted("all_gather", bytes, ranks() - 1, [&] { do_all_gather(in, out, bytes); }); });
}

void Collectives::all_to_all(const void* in, void* out, int64_t bytes) {
    exposed(
        [&] { counted("all_to_all", bytes, ranks() - 1, [&] { do_all_to_all(in, out, bytes); }); });
}

void Collectives::begin_all_to_all(const void* in, void* out, int64_t bytes,
                                   std::function<void()> then) {
    finish();
    began_ = std::async(std::launch::async, [this, in, out, bytes, then = std::move(then)] {
        counted("all_to_all", bytes, ranks() - 1, [&] { do_all_to_all(in, out, bytes); });
        then();
    });
}

void Collectives::finish() {
    finish_on_gpu();
    if (began_.valid()) exposed([] {});
}

void Collectives::finish_on_gpu() {
    if (began_on_ != nullptr) began_on_->order_after(link_of(*began_on_).device());
    began_on_ = nullptr;
}

GpuLink& Collectives::link_of(const Device& gpu) {
    GpuLink* link = gpu_link();
    VILA_CHECK(link != nullptr, "[collectives] ranks by ", name(), " do not reach the memory of ",
               gpu.name(), ": expected ranks by NCCL");
    return *link;
}

template <typename Move>
void Collectives::on_gpu(const char* what, Device& gpu, int64_t bytes, int64_t blocks,
                         const Move& move) {
    GpuLink& link = link_of(gpu);
    exposed([&] {
        counted(what, bytes, blocks, [&] {
            if (bytes == 0) return;
            link.device().order_after(gpu);
            move(link);
        });
    });
}

void Collectives::broadcast(Device& gpu, void* data, int64_t bytes, int64_t root) {
    const bool last = (rank() + 1) % ranks() == root;
    on_gpu("broadcast", gpu, bytes, last ? 0 : 1, [&](GpuLink& link) {
        link.broadcast(data, bytes, root);
        gpu.order_after(link.device());
    });
}

void Collectives::all_gather(Device& gpu, const void* in, void* out, int64_t bytes) {
    on_gpu("all_gather", gpu, bytes, ranks() - 1, [&](GpuLink& link) {
        link.all_gather(in, out, bytes);
        gpu.order_after(link.device());
    });
}

void Collectives::all_to_all(Device& gpu, const void* in, void* out, int64_t bytes) {
    on_gpu("all_to_all", gpu, bytes, ranks() - 1, [&](GpuLink& link) {
        link.all_to_all(in, out, bytes);
        gpu.order_after(link.device());
    });
}

void Collectives::begin_all_to_all(Device& gpu, const void* in, void* out, int64_t bytes,
                                   const std::function<void(Device& line)>& then) {
    on_gpu("all_to_all", gpu, bytes, ranks() - 1, [&](GpuLink& link) {
        link.all_to_all(in, out, bytes);
        began_on_ = &gpu;
        then(link.device());
    });
}

std::unique_ptr<Collectives> one_process() {
    return std::make_unique<OneProcess>();
}

void reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& output,
                    bool accumulate) {
    slice_size(collectives, output, input);
    check_addable(input, output);
    if (collectives.ranks() == 1) return add_parts(input, 1, accumulate, output);
    const Tensor parts = Tensor::empty(input.device(), input.shape(), input.dtype());
    const int64_t bytes = output.numel() * dtype_size(input.dtype());
    if (is_on_gpu(input))
        collectives.all_to_all(input.device(), input.raw(), parts.raw(), bytes);
    else
        collectives.all_to_all(input.raw(), parts.raw(), bytes);
    if (collectives.moves_bytes()) add_parts(parts, collectives.ranks(), accumulate, output);
}

void begin_reduce_scatter(Collectives& collectives, const Tensor& input, const Tensor& parts,
                          const Tensor& output) {
    slice_size(collectives, output, input);
    slice_size(collectives, output, parts);
    check_addable(input, output);
    VILA_CHECK_EQ(parts.dtype(), input.dtype(), "[reduce_scatter] dtype of the parts");
    if (!collectives.moves_bytes()) return;
    const int64_t bytes = input.bytes() / collectives.ranks();
    if (is_on_gpu(input))
        return collectives.begin_all_to_all(
            input.device(), input.raw(), parts.raw(), bytes, [&](Device& line) {
                add_parts(in_line(parts, line), collectives.ranks(), true, in_line(output, line));
            });
    const auto add = [add = adder(parts, collectives.ranks(), true, output),
                      count = output.numel()] { add(0, count); };
    collectives.begin_all_to_all(input.raw(), parts.raw(), bytes, add);
}

void all_gather(Collectives& collectives, const Tensor& input, const Tensor& output) {
    const int64_t bytes = slice_size(collectives, input, output);
    VILA_CHECK_EQ(input.dtype(), output.dtype(), "[all_gather] dtype of the output");
    if (!is_on_gpu(input)) return collectives.all_gather(input.raw(), output.raw(), bytes);
    if (collectives.ranks() > 1)
        return collectives.all_gather(input.device(), input.raw(), output.raw(), bytes);
    if (input.raw() != output.raw()) output.copy_from(input.reshape(output.shape()));
}

void all_reduce(Collectives& collectives, const Tensor& data) {
    check_plain(data);
    check_addable(data, data);
    if (collectives.ranks() == 1 || data.numel() == 0) return;
    // Each rank sums a slice; the last ones may be padding.
    const int64_t slice = (data.numel() + collectives.ranks() - 1) / collectives.ranks();
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
    VILA_CHECK(root >= 0 && root < collectives.ranks(), "[broadcast] no rank ", root, " among ",
               collectives.ranks());
    if (!is_on_gpu(data)) return collectives.broadcast(data.raw(), data.bytes(), root);
    if (collectives.ranks() > 1)
        collectives.broadcast(data.device(), data.raw(), data.bytes(), root);
}

std::vector<double> sum(Collectives& collectives, std::span<const double> values) {
    const auto ranks = static_cast<size_t>(collectives.ranks());
    std::vector<double> all(values.size() * ranks);
    collectives.all_gather(values.data(), all.data(), static_cast<int64_t>(values.size_bytes()));
    std::vector<double> sums(values.size());
    for (size_t r = 0; r < ranks; ++r)
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += all[r * sums.size() + i];
    return sums;
}

double sum(Collectives& collectives, double value) {
    return sum(collectives, std::span<const double>(&value, 1)).front();
}

int64_t largest(Collectives& collectives, int64_t value) {
    std::vector<int64_t> all(static_cast<size_t>(collectives.ranks()));
    collectives.all_gather(&value, all.data(), sizeof value);
    return *std::max_element(all.begin(), all.end());
}

bool any_of(Collectives& collectives, bool value) {
    return largest(collectives, value ? 1 : 0) == 1;
}

bool all_of(Collectives& collectives, bool value) {
    return !any_of(collectives, !value);
}

std::vector<std::string> all_gather(Collectives& collectives, const std::string& text) {
    // Every text behind its length, padded to the longest.
    const auto length = static_cast<int64_t>(text.size());
    const int64_t room = largest(collectives, length);
    const auto block = static_cast<size_t>(room) + sizeof length;
    std::string mine(block, '\0'), all(block * static_cast<size_t>(collectives.ranks()), '\0');
    std::memcpy(mine.data(), &length, sizeof length);
    std::copy(text.begin(), text.end(), mine.begin() + sizeof length);
    collectives.all_gather(mine.data(), all.data(), static_cast<int64_t>(block));
    std::vector<std::string> texts;
    for (size_t at = 0; at < all.size(); at += block) {
        int64_t bytes = 0;
        std::memcpy(&bytes, all.data() + at, sizeof bytes);
        VILA_CHECK(bytes >= 0 && bytes <= room, "[all_gather] a rank sent a text of ", bytes,
                   " bytes where at most ", room, " were agreed");
        texts.push_back(all.substr(at + sizeof bytes, static_cast<size_t>(bytes)));
    }
    return texts;
}

}  // namespace vila::dist
