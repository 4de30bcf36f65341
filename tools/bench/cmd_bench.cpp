// vila bench [WHAT]: times hot paths and compares them with limits of this machine, measured in the
// same process. kBenches lists every benchmark.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "data/text/bpe_trainer.h"
#include "models/model_directory.h"
#include "tensor/file.h"
#include "tensor/name_list.h"
#include "tensor/nearest_name.h"
#include "tools/base/option_checks.h"
#include "tools/base/output.h"
#include "tools/bench/bench_attention.h"
#include "tools/bench/bench_decode_batch.h"
#include "tools/bench/bench_gemm.h"
#include "tools/bench/bench_generate.h"
#include "tools/bench/bench_gpu.h"
#include "tools/bench/bench_preprocess.h"
#include "tools/bench/bench_tokenize.h"
#include "tools/bench/bench_train_step.h"
#include "tools/commands.h"

namespace vila::tools {

namespace {

struct BenchOptions {
    bool as_json = false, small = false;
    int repetitions = 9;
    DType dtype = DType::F32;
    std::vector<std::string> images;
    GenerateBenchOptions generate;
    CommonOptions common;
    std::filesystem::path text;
};

void print(const BenchOptions& options, const Json& json, const std::string& table) {
    print_text((options.as_json ? json.dump() : table) + "\n");
}

void run_gemm(CpuDevice& device, const BenchOptions& options) {
    const auto measurements =
        bench_gemm(device, options.dtype, default_gemm_shapes(), options.repetitions);
    print(options, gemm_json(device, measurements), gemm_table(device, measurements));
}

void run_attention(CpuDevice& device, const BenchOptions& options) {
    const auto measurements =
        bench_attention(device, options.dtype, default_attention_shapes(), options.repetitions);
    print(options, attention_json(device, measurements), attention_table(device, measurements));
}

void run_decode(CpuDevice& device, const BenchOptions& options) {
    const auto measurements =
        bench_decode(device, options.dtype, default_decode_shapes(), options.repetitions);
    print(options, attention_json(device, measurements), attention_table(device, measurements));
}

// On the model of --model, or on one with random weights.
void run_decode_batch(CpuDevice& device, const BenchOptions& options) {
    const std::filesystem::path& directory = options.generate.model;
    std::unique_ptr<models::VilaModel> model;
    if (directory.empty()) {
        models::VilaConfig config;
        config.llm = decode_batch_model();
        model = std::make_unique<models::VilaModel>(config, device, options.dtype);
        model->initialize(1);
    } else {
        model = models::ModelDirectory(directory).load(device, options.dtype,
                                                       models::WeightMemory::Mapped);
    }
    DecodeBatchSizes sizes;
    sizes.tokens = options.generate.tokens;
    const auto measurements = bench_decode_batch(device, *model, sizes, options.repetitions);
    print(options, decode_batch_json(measurements), decode_batch_table(measurements));
}

void run_train_step(CpuDevice& device, const BenchOptions& options) {
    const TrainStepMeasurement measurement =
        bench_train_step(device, options.dtype, small_vlm_step(), options.repetitions);
    print(options, train_step_json(device, measurement), train_step_table(device, measurement));
}

void run_preprocess(CpuDevice&, const BenchOptions& options) {
    std::vector<EncodedPicture> pictures;
    for (const std::string& path : options.images) {
        const std::string bytes = read_file(path, data::kMaxImageFileBytes);
        pictures.push_back({path, {bytes.begin(), bytes.end()}});
    }
    if (pictures.empty()) pictures = default_pictures();
    const auto measurements = bench_preprocess(pictures, default_pipelines(), options.repetitions);
    print(options, preprocess_json(measurements), preprocess_table(measurements));
}

// Opens the model on a device of its own, as `vila generate` does.
void run_generate(CpuDevice&, const BenchOptions& options) {
    if (options.generate.model.empty()) throw UsageError("bench generate: --model DIR is required");
    GenerateBenchOptions generate = options.generate;
    generate.images = options.images;
    const GenerateMeasurement measurement = bench_generate(options.common, generate);
    print(options, generate_json(measurement), generate_table(measurement));
}

void run_tokenize(CpuDevice&, const BenchOptions& options) {
    constexpr int64_t kWorldBytes = 4 << 20, kTrainingDocuments = 200;
    const auto documents =
        documents_of(options.text.empty() ? world_text(kWorldBytes) : read_file(options.text));
    VILA_CHECK(!documents.empty(), options.text.string(), " is empty: expected text");
    const std::filesystem::path& model = options.generate.model;
    std::string name = model.string();
    std::unique_ptr<data::Tokenizer> tokenizer;
    if (model.empty()) {
        const auto count = std::min<size_t>(documents.size(), kTrainingDocuments);
        tokenizer = data::train_bpe(std::span(documents).first(count), {});
        name = "a byte-level vocabulary of the text itself";
    } else {
        tokenizer = data::load_tokenizer(models::ModelDirectory(model).files_of(models::Part::Llm));
    }
    const TokenizeMeasurement measurement =
        bench_tokenize(*tokenizer, documents, options.repetitions);
    print(options, tokenize_json(name, measurement), tokenize_table(name, measurement));
}

struct Bench {
    const char* name;
    const char* help;
    void (*on_cpu)(CpuDevice& device, const BenchOptions& options);
    std::vector<GpuMeasurement> (GpuBench::*on_gpu)() const = nullptr;
    bool only_by_name = false;  // not run when WHAT is absent
};

// All benchmarks. Dispatch, `vila bench --help` and the check of WHAT use this table.
constexpr Bench kBenches[] = {
    {"gemm", "matrix products", run_gemm, &GpuBench::gemm},
    {"attention", "attention, forward and backward", run_attention, &GpuBench::attention},
    {"norms", "norms, activation functions and AdamW", nullptr, &GpuBench::norms},
    {"train-step", "a training step of a small model", run_train_step, &GpuBench::train_step},
    {"decode", "decoding one token: its attention (CPU), the whole model (GPU)", run_decode,
     &GpuBench::decode},
    {"decode-batch", "answers of 1 to 16 prompts at a time; runs only if named", run_decode_batch,
     nullptr, true},
    {"preprocess", "image files to pixel values", run_preprocess},
    {"tokenize", "text to token ids and back", run_tokenize},
    {"generate", "an answer of a whole model; needs --model, runs only if named", run_generate,
     nullptr, true},
};

// One line per benchmark for --help.
std::string bench_help() {
    std::string text = "Benchmarks:";
    for (const Bench& bench : kBenches) {
        const char* devices = bench.on_gpu == nullptr   ? "CPU"
                              : bench.on_cpu == nullptr ? "GPU"
                                                        : "CPU, GPU";
        char line[120];
        std::snprintf(line, sizeof line, "\n  %-12s %-10s %s", bench.name, devices, bench.help);
        text += line;
    }
    return text;
}

// Throws UsageError unless `what` is empty or the name of a benchmark.
void check_name(const std::string& what) {
    std::vector<std::string> names;
    for (const Bench& bench : kBenches) names.push_back(bench.name);
    if (!what.empty() && std::find(names.begin(), names.end(), what) == names.end())
        throw UsageError(
            str("unknown bench '", what, "'; did you mean '", nearest_name(what, names), "'?"));
}

// Throws UsageError for options that belong to other benchmarks than `what`.
void refuse_unused(const Args& args, const std::string& what) {
    struct Owned {
        const char* option;
        std::vector<std::string> benches;
    };
    const Owned options[] = {{"--image", {"preprocess", "generate"}},
                             {"--model", {"generate", "decode-batch", "tokenize"}},
                             {"--text", {"tokenize"}},
                             {"--prompt", {"generate"}},
                             {"--max-tokens", {"generate", "decode-batch"}}};
    for (const Owned& owned : options) {
        const bool is_used =
            std::any_of(std::begin(kBenches), std::end(kBenches), [&](auto& bench) {
                const bool runs = what.empty() ? !bench.only_by_name : what == bench.name;
                return runs && std::find(owned.benches.begin(), owned.benches.end(), bench.name) !=
                                   owned.benches.end();
            });
        if (!is_used)
            refuse_options(args, {owned.option},
                           what.empty() ? "unless WHAT is " + name_list(owned.benches)
                                        : "on the benchmark " + what);
    }
}

// Runs the benchmark `what`, or every benchmark of this kind of device if `what` is empty. `run`
// returns false for one that the device does not have; `wanted` names the other kind.
template <typename Run>
void run_benches(const std::string& what, const char* wanted, const Run& run) {
    for (const Bench& bench : kBenches) {
        if (what.empty() ? bench.only_by_name : what != bench.name) continue;
        const bool ran = run(bench);
        VILA_CHECK(ran || what.empty(), "bench ", what, " measures the ", wanted);
    }
}

void run_on_gpu(Device& device, const std::string& what, const BenchOptions& options) {
    std::optional<GpuBench> benches;  // made by the first benchmark that runs
    run_benches(what, "CPU: use --device cpu", [&](const Bench& bench) {
        if (bench.on_gpu == nullptr) return false;
        if (!benches)
            benches.emplace(device, options.dtype,
                            options.small ? small_gpu_bench_sizes() : gpu_bench_sizes(),
                            options.repetitions);
        const auto rows = ((*benches).*bench.on_gpu)();
        print(options, benches->json(bench.name, rows), benches->table(rows));
        return true;
    });
}

void run_on_cpu(CpuDevice& device, const std::string& what, const BenchOptions& options) {
    run_benches(what, "GPU: use --device cuda", [&](const Bench& bench) {
        if (bench.on_cpu == nullptr) return false;
        bench.on_cpu(device, options);
        return true;
    });
}

}  // namespace

int cmd_bench(Args& args) {
    std::string what;
    BenchOptions options;
    CommonOptions& common = options.common;
    args.optional_positional(
        "WHAT", what,
        "benchmark to run (default: all that the device has, except those that run only if named)");
    args.option("--repetitions", options.repetitions,
                "runs per measurement, of which the median is reported")
        .positive();
    args.option("--image", options.images,
                "preprocess: image file to use instead of a synthetic one; generate: image of the "
                "prompt; may be repeated");
    args.option(
        "--model", options.generate.model,
        "generate: model directory; decode-batch: model directory (default: random weights); "
        "tokenize: directory with tokenizer files");
    args.option("--text", options.text,
                "tokenize: text file (default: captions of the miniature world)");
    args.option("--prompt", options.generate.prompt, "generate: text of the prompt");
    args.option("--max-tokens", options.generate.tokens,
                "generate, decode-batch: number of tokens to time")
        .positive();
    args.flag("--small", options.small,
              "GPU: use toy sizes, only to check that the benchmarks run");
    args.flag("--json", options.as_json, "print one JSON object per benchmark");
    common.declare(args);
    args.footer(bench_help());
    args.parse();
    check_name(what);
    refuse_unused(args, what);

    const auto device = common.make_device();
    const bool on_gpu = device->kind() == DeviceKind::Cuda;
    if (!on_gpu) refuse_options(args, {"--small"}, "on a CPU");
    options.dtype = common.dtype_or(on_gpu ? DType::BF16 : DType::F32);
    if (on_gpu) {
        run_on_gpu(*device, what, options);
    } else {
        run_on_cpu(static_cast<CpuDevice&>(*device), what, options);
    }
    return 0;
}

}  // namespace vila::tools
