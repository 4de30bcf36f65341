// vila bench [WHAT]: hot paths beside the limits of this machine, measured in the same process.

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "data/bpe_trainer.h"
#include "models/model_directory.h"
#include "tensor/file.h"
#include "tensor/nearest_name.h"
#include "tools/bench_attention.h"
#include "tools/bench_gemm.h"
#include "tools/bench_generate.h"
#include "tools/bench_preprocess.h"
#include "tools/bench_tokenize.h"
#include "tools/bench_train_step.h"
#include "tools/commands.h"

namespace vila::tools {

namespace {

struct BenchOptions {
    bool as_json = false;
    int repetitions = 9;
    DType dtype = DType::F32;
    std::vector<std::string> images;
    GenerateBenchOptions generate;
    CommonOptions common;
    std::filesystem::path text;
};

void print(const BenchOptions& options, const nlohmann::json& json, const std::string& table) {
    std::printf("%s\n", options.as_json ? json.dump().c_str() : table.c_str());
    std::fflush(stdout);
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

// Opens the model on a device of its own.
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
        tokenizer = data::load_tokenizer(models::llm_directory(model));
    }
    const TokenizeMeasurement measurement =
        bench_tokenize(*tokenizer, documents, options.repetitions);
    print(options, tokenize_json(name, measurement), tokenize_table(name, measurement));
}

struct Bench {
    const char* name;
    void (*run)(CpuDevice& device, const BenchOptions& options);
    bool is_asked_for = false;  // runs by its name alone, not among all
};

constexpr Bench kBenches[] = {
    {"gemm", run_gemm},
    {"attention", run_attention},
    {"train-step", run_train_step},
    {"decode", run_decode},
    {"preprocess", run_preprocess},
    {"tokenize", run_tokenize},
    {"generate", run_generate, true},
};

}  // namespace

int cmd_bench(Args& args) {
    std::string what;
    BenchOptions options;
    CommonOptions& common = options.common;
    args.optional_positional(
        "WHAT", what,
        "gemm, attention, train-step, decode, preprocess or tokenize; all of them when "
        "absent; or generate, which needs --model");
    args.option("--repetitions", options.repetitions, "medians are of that many")
        ->check(CLI::PositiveNumber);
    args.option(
        "--image", options.images,
        "preprocess: an image file instead of a made-up one; generate: an image of the prompt; "
        "once for each image");
    args.option("--model", options.generate.model,
                "generate: model directory; tokenize: a directory with tokenizer files");
    args.option("--text", options.text, "tokenize: a file with text");
    args.option("--prompt", options.generate.prompt, "generate: what to say");
    args.option("--max-tokens", options.generate.tokens, "generate: how many tokens to time")
        ->check(CLI::PositiveNumber);
    args.flag("--json", options.as_json, "print JSON, one object a bench");
    common.declare(args);
    args.parse();
    options.dtype = common.dtype_or(DType::F32);

    std::vector<std::string> names;
    for (const Bench& bench : kBenches) names.push_back(bench.name);
    if (!what.empty() && std::find(names.begin(), names.end(), what) == names.end())
        throw UsageError(
            str("unknown bench '", what, "'; did you mean '", nearest_name(what, names), "'?"));
    const auto device = common.make_device();
    VILA_CHECK(device->kind() == DeviceKind::Cpu, "the benches measure the CPU: use --device cpu");
    for (const Bench& bench : kBenches)
        if (what == bench.name || (what.empty() && !bench.is_asked_for))
            bench.run(static_cast<CpuDevice&>(*device), options);
    return 0;
}

}  // namespace vila::tools
