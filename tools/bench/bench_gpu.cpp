#include "tools/bench/bench_gpu.h"

#include <cmath>
#include <cstdio>

#include "models/decode_graph.h"
#include "tensor/kernels.h"
#include "tensor/random.h"
#include "tools/base/timing.h"
#include "tools/bench/model_shapes.h"

namespace vila::tools {

namespace {

// Number of random values that random_tensor() draws; it repeats them over the tensor, because
// drawing every value would take longer than most runs. It does not use zeros, because a GPU
// computes faster on them.
constexpr int64_t kDrawn = 100003;

Tensor random_tensor(Device& device, const Shape& shape, DType dtype, uint64_t key) {
    std::vector<float> drawn;
    for (int64_t i = 0; i < kDrawn; ++i)
        drawn.push_back(static_cast<float>(random_uniform(key, static_cast<uint64_t>(i)) - 0.5));
    std::vector<float> values(static_cast<size_t>(shape.numel()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = drawn[i % drawn.size()];
    return Tensor::from_values(device, shape, values).to(dtype);
}

std::vector<double> row_of(const Tensor& x, int64_t row) {
    return x.slice(0, row, row + 1).to_vector<double>();
}

void check_near(const std::string& what, double got, double expected, DType dtype) {
    const double rounding = dtype == DType::BF16 ? 0x1p-6 : 1e-4;
    VILA_CHECK(std::fabs(got - expected) <= rounding * (std::fabs(expected) + 1.0), "[bench ", what,
               "] computed ", got, ", expected ", expected);
}

// Compares elements of the last row of y = x weight^T with f64.
void check_product(const Tensor& x, const Tensor& weight, const Tensor& y) {
    const int64_t row = y.size(0) - 1;
    const std::vector<double> a = row_of(x, row), got = row_of(y, row);
    for (uint64_t sample = 0; sample < 4; ++sample) {
        const int64_t column = random_below(3, sample, y.size(1));
        const std::vector<double> b = row_of(weight, column);
        double expected = 0.0;
        for (size_t i = 0; i < a.size(); ++i) expected += a[i] * b[i];
        check_near("gemm", got[static_cast<size_t>(column)], expected, y.dtype());
    }
}

std::string layer_name(const LayerShape& x) {
    return str(x.rows, " x ", x.outputs, " x ", x.inputs);
}

}  // namespace

GpuBench::GpuBench(Device& device, DType dtype, const GpuBenchSizes& sizes, int repetitions)
    : device_(device), dtype_(dtype), sizes_(sizes), repetitions_(repetitions) {
    {
        const Tensor x = random_tensor(device, {sizes.copy_bytes / 4}, DType::F32, 1);
        const Tensor y = Tensor::empty(device, x.shape(), x.dtype());
        copy_rate_ = 2.0 * static_cast<double>(x.bytes()) / seconds_of_run([&] { y.copy_from(x); });
    }
    const int64_t side = sizes.ceiling;
    const Tensor a = random_tensor(device, {side, side}, DType::BF16, 2);
    const Tensor b = random_tensor(device, {side, side}, DType::BF16, 3);
    const Tensor c = Tensor::empty(device, {side, side}, DType::BF16);
    const double flop = 2.0 * std::pow(static_cast<double>(side), 3.0);
    product_rate_ = flop / seconds_of_run([&] {
                        call(device_, "matmul", &Kernels::matmul,
                             {.a = a, .b = b, .c = c, .transpose_b = true});
                    });
    check_product(a, b, c);
}

double GpuBench::seconds_of_run(const std::function<void()>& body) const {
    body();  // warm-up: chooses algorithms and allocates memory
    device_.synchronize();
    const auto run = [&](int64_t times) {
        return seconds_of([&] {
            for (int64_t i = 0; i < times; ++i) body();
            device_.synchronize();
        });
    };
    const double once = std::max(run(1), 1e-7);
    const auto times = static_cast<int64_t>(std::clamp(sizes_.sample_seconds / once, 1.0, 1000.0));
    std::vector<double> samples;
    for (int i = 0; i < repetitions_; ++i)
        samples.push_back(run(times) / static_cast<double>(times));
    return median(std::move(samples));
}

GpuMeasurement GpuBench::by_flop(const std::string& name, double flop,
                                 const std::function<void()>& body) const {
    const double seconds = seconds_of_run(body);
    return {name, seconds, flop, 0.0, flop / seconds / product_rate_};
}

GpuMeasurement GpuBench::by_bytes(const std::string& name, double bytes,
                                  const std::function<void()>& body) const {
    const double seconds = seconds_of_run(body);
    return {name, seconds, 0.0, bytes, bytes / seconds / copy_rate_};
}

std::vector<GpuMeasurement> GpuBench::gemm() const {
    std::vector<GpuMeasurement> rows;
    for (const LayerShape& shape : sizes_.layers) {
        const Tensor x = random_tensor(device_, {shape.rows, shape.inputs}, dtype_, 1);
        const Tensor weight = random_tensor(device_, {shape.outputs, shape.inputs}, dtype_, 2);
        const Tensor residual = random_tensor(device_, {shape.rows, shape.outputs}, dtype_, 3);
        const Tensor bias = random_tensor(device_, {shape.outputs}, dtype_, 4);
        const Tensor y = Tensor::empty(device_, residual.shape(), dtype_);
        const Tensor pre_activation = Tensor::empty(device_, residual.shape(), dtype_);
        const Tensor dx = Tensor::empty(device_, x.shape(), dtype_);
        const Tensor dweight = Tensor::zeros(device_, weight.shape(), DType::F32);
        const double flop = 2.0 * static_cast<double>(shape.rows) *
                            static_cast<double>(shape.inputs) * static_cast<double>(shape.outputs);
        const auto measure = [&](const char* what, const MatmulArgs& args) {
            rows.push_back(by_flop(layer_name(shape) + what, flop,
                                   [&] { call(device_, "matmul", &Kernels::matmul, args); }));
        };
        const MatmulArgs plain = {.a = x, .b = weight, .c = y, .transpose_b = true};
        measure("", plain);
        check_product(x, weight, y);
        MatmulArgs with_residual = plain;
        with_residual.residual = residual;
        measure(" + residual", with_residual);
        MatmulArgs gelu = plain;
        gelu.bias = bias;
        gelu.gelu = GeluKind::Tanh;
        gelu.pre_activation = pre_activation;
        measure(" + bias, GELU", gelu);
        measure(", dx", {.a = residual, .b = weight, .c = dx});
        measure(", dweight +=",
                {.a = residual, .b = x, .c = dweight, .transpose_a = true, .accumulate = true});
    }
    return rows;
}

std::vector<GpuMeasurement> GpuBench::attention() const {
    std::vector<GpuMeasurement> rows;
    for (const AttentionShape& shape : sizes_.attention) {
        const AttentionCase x(device_, shape, dtype_);
        rows.push_back(by_flop(shape.name, x.forward_flop(), [&] { x.forward(); }));
        x.check();
        rows.push_back(
            by_flop(shape.name + ", backward", x.backward_flop(), [&] { x.backward(); }));
    }
    return rows;
}

std::vector<GpuMeasurement> GpuBench::norms() const {
    const Shape shape = {sizes_.norm_rows, sizes_.norm_width};
    const Tensor x = random_tensor(device_, shape, dtype_, 1);
    const Tensor dy = random_tensor(device_, shape, dtype_, 2);
    const Tensor weight = random_tensor(device_, {shape[1]}, dtype_, 3);
    const Tensor y = Tensor::empty(device_, shape, dtype_);
    const Tensor dx = Tensor::empty(device_, shape, dtype_);
    const Tensor statistic = Tensor::empty(device_, {shape[0]}, DType::F32);
    const Tensor mean = Tensor::empty(device_, {shape[0]}, DType::F32);
    const auto pass = static_cast<double>(x.bytes());
    std::vector<GpuMeasurement> rows;
    const auto measure = [&]<typename Args>(const char* name, double passes,
                                            void (*Kernels::*entry)(const Args&),
                                            const std::type_identity_t<Args>& args) {
        rows.push_back(by_bytes(name, passes * pass, [&] { call(device_, name, entry, args); }));
    };
    measure("rms_norm", 2, &Kernels::rms_norm_forward,
            {.x = x, .weight = weight, .eps = 1e-5, .y = y, .inv_rms = statistic});
    const std::vector<double> in = row_of(x, 0), out = row_of(y, 0);
    double squares = 0.0;
    for (const double value : in) squares += value * value;
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(in.size()) + 1e-5);
    check_near("norms", out[0], in[0] * inverse * weight.slice(0, 0, 1).item(), dtype_);
    measure("rms_norm backward", 3, &Kernels::rms_norm_backward,
            {.x = x, .weight = weight, .inv_rms = statistic, .dy = dy, .dx = dx});
    measure("layer_norm", 2, &Kernels::layer_norm_forward,
            {.x = x,
             .weight = weight,
             .bias = weight,
             .eps = 1e-5,
             .y = y,
             .mean = mean,
             .inv_std = statistic});
    measure("swiglu", 3, &Kernels::swiglu_forward, {.gate = x, .up = dy, .y = y});
    measure("add", 3, &Kernels::add, {.a = x, .b = dy, .y = y});
    rows.push_back(adamw());
    return rows;
}

GpuMeasurement GpuBench::adamw() const {
    const Shape shape = {sizes_.norm_rows, sizes_.norm_width};
    const Tensor parameter = random_tensor(device_, shape, dtype_, 1);
    const Tensor gradient = random_tensor(device_, shape, dtype_, 2).to(DType::F32);
    const Tensor master = parameter.to(DType::F32).clone();
    const Tensor first = Tensor::zeros(device_, shape, DType::F32);
    const Tensor second = Tensor::zeros(device_, shape, DType::F32);
    const std::vector<AdamwUpdate> update = {{.gradient = gradient,
                                              .master = master,
                                              .first_moment = first,
                                              .second_moment = second,
                                              .parameter = parameter,
                                              .lr = 1e-4}};
    // For each parameter, AdamW reads four f32 values (gradient, master weight, two moments), and
    // writes three of them and the rounded weight.
    const auto bytes =
        7.0 * static_cast<double>(master.bytes()) + static_cast<double>(parameter.bytes());
    return by_bytes("adamw", bytes,
                    [&] { call(device_, "adamw", &Kernels::adamw, {.tensors = update}); });
}

std::vector<GpuMeasurement> GpuBench::train_step() const {
    TrainStepRun run(device_, dtype_, sizes_.step);
    const double first = run.step();
    double last = first;
    std::vector<GpuMeasurement> rows = {
        by_flop(str(static_cast<double>(run.parameters() / 100000) / 10.0, " M parameters, ",
                    run.rows(), " rows a step"),
                run.flop(), [&] { last = run.step(); })};
    VILA_CHECK(std::isfinite(last) && last < first, "[bench train-step] the loss went from ", first,
               " to ", last);
    return rows;
}

std::vector<GpuMeasurement> GpuBench::decode() const {
    models::VilaConfig config;
    config.llm = sizes_.decoder;
    models::VilaModel model(config, device_, dtype_);
    model.initialize(1);
    const autograd::NoGrad no_grad(device_);
    models::CachedSequence sequence =
        models::sequence_on_first_pages(sizes_.context + sizes_.tokens);
    const models::KvCache cache(config.llm, device_, dtype_,
                                static_cast<int64_t>(sequence.pages.size()));
    // Reads new rows of the sequence (R, C).
    const auto read = [&](const Tensor& embeddings) {
        const std::vector<int64_t> rows = {embeddings.size(0)};
        const models::CachedSequence* const sequences[] = {&sequence};
        const models::CachedRows cached =
            models::cached_rows(device_, rows, sequences, config.llm.max_position_embeddings);
        sequence.length += rows[0];
        return model.llm().decode(embeddings, cached, cache);
    };
    read(random_tensor(device_, {sizes_.context, config.llm.hidden_size}, dtype_, 5));
    // Decodes greedily after the context, with `next` giving the token that follows `id`.
    const auto follow = [&](const std::function<int32_t(int32_t)>& next) {
        sequence.length = sizes_.context;
        std::vector<int32_t> ids = {1};
        for (int64_t i = 0; i < sizes_.tokens; ++i) ids.push_back(next(ids.back()));
        return ids;
    };
    models::DecodeGraph step(model, cache, sequence);
    const auto recorded = [&](int32_t id) {
        step.run(id);
        return step.argmax().to_vector<int32_t>()[0];
    };
    const Tensor best = Tensor::empty(device_, {1}, DType::I32);
    const auto one_by_one = [&](int32_t id) {
        const Tensor ids = Tensor::from_values<int32_t>(device_, {1}, {id});
        const Tensor hidden = read(model.llm().embed(ids).value());
        call(device_, "argmax", &Kernels::argmax,
             {.x = model.llm().logits(autograd::Variable(hidden)).value(), .index = best});
        return best.to_vector<int32_t>()[0];
    };
    VILA_CHECK(follow(recorded) == follow(one_by_one),
               "[bench decode] recorded launches give different tokens");
    const int64_t weights =
        model.llm_table().count() - config.llm.vocab_size * config.llm.hidden_size;
    const auto bytes =
        static_cast<double>(weights * dtype_size(dtype_) +
                            cache_bytes(config.llm, sizes_.context + sizes_.tokens / 2, dtype_));
    const auto tokens = static_cast<double>(sizes_.tokens);
    std::vector<GpuMeasurement> rows = {
        by_bytes("a token, recorded", bytes * tokens, [&] { follow(recorded); }),
        by_bytes("a token, kernel by kernel", bytes * tokens, [&] { follow(one_by_one); })};
    for (GpuMeasurement& row : rows) {
        row.seconds /= tokens;
        row.bytes /= tokens;
    }
    return rows;
}

std::string GpuBench::table(const std::vector<GpuMeasurement>& rows) const {
    char line[200];
    std::snprintf(line, sizeof(line), "%s\n  copy %.1f GB/s, product of %lld^3 in bf16 %.1f TF/s\n",
                  device_.name().c_str(), copy_rate_ * 1e-9, static_cast<long long>(sizes_.ceiling),
                  product_rate_ * 1e-12);
    std::string text = line;
    for (const GpuMeasurement& x : rows) {
        const bool flop = x.flop > 0.0;
        std::snprintf(line, sizeof(line), "  %-36s %-5s %10.3f ms  %8.1f %s  %5.1f %% of the %s\n",
                      x.name.c_str(), dtype_name(dtype_), x.seconds * 1e3,
                      flop ? x.flop / x.seconds * 1e-12 : x.bytes / x.seconds * 1e-9,
                      flop ? "TF/s" : "GB/s", 100.0 * x.limit_share, flop ? "product" : "copy");
        text += line;
    }
    return text;
}

Json GpuBench::json(const std::string& bench, const std::vector<GpuMeasurement>& rows) const {
    Json list = Json::array();
    for (const GpuMeasurement& x : rows)
        list.push_back({{"name", x.name},
                        {"dtype", dtype_name(dtype_)},
                        {"seconds", x.seconds},
                        {"flop", x.flop},
                        {"bytes", x.bytes},
                        {"share_of_limit", x.limit_share}});
    return {{"device", device_.name()},
            {"copy_bytes_per_second", copy_rate_},
            {"product_flop_per_second", product_rate_},
            {bench, list}};
}

}  // namespace vila::tools
