// Runs the benchmarks on tiny shapes and checks what they compute from times; no time is asserted.

#include <gtest/gtest.h>

#include <cmath>

#include "data/text/bpe_trainer.h"
#include "tools/base/machine_limits.h"
#include "tools/base/timing.h"
#include "tools/bench/bench_attention.h"
#include "tools/bench/bench_decode_batch.h"
#include "tools/bench/bench_gemm.h"
#include "tools/bench/bench_gpu.h"
#include "tools/bench/bench_preprocess.h"
#include "tools/bench/bench_tokenize.h"
#include "tools/bench/bench_train_step.h"
#include "tools/bench/model_shapes.h"

namespace vila::tools {
namespace {

TEST(Bench, MedianIsTheMiddle) {
    EXPECT_EQ(median({3.0}), 3.0);
    EXPECT_EQ(median({5.0, 1.0, 3.0}), 3.0);
    EXPECT_EQ(median({4.0, 1.0, 3.0, 2.0}), 3.0);
}

TEST(Bench, LimitsArePositive) {
    for (const Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16, Isa::Amx}) {
        const auto device = make_cpu_device(2, isa);
        EXPECT_GT(multiply_add_rate(*device), 0.0);
        EXPECT_EQ(bf16_dot_rate(*device) > 0.0, device->isa() >= Isa::Avx512Bf16);
        EXPECT_EQ(tile_product_rate(*device) > 0.0, device->isa() >= Isa::Amx);
        EXPECT_GT(StreamRead(*device, 1 << 16).rate(), 0.0);
    }
}

// Runs on the CPU here; tests/cli/cuda.sh runs the same benchmarks on the emulated GPU.
TEST(Bench, GpuFiguresStandBesideTheirLimits) {
    const auto device = make_cpu_device(1);
    for (const DType dtype : {DType::F32, DType::BF16}) {
        const GpuBench bench(*device, dtype, small_gpu_bench_sizes(), 2);
        EXPECT_GT(bench.copy_rate(), 0.0);
        EXPECT_GT(bench.product_rate(), 0.0);
        const std::vector<std::vector<GpuMeasurement>> all = {
            bench.gemm(), bench.attention(), bench.norms(), bench.train_step(), bench.decode()};
        const size_t counts[] = {5, 2, 6, 1, 2};
        for (size_t i = 0; i < all.size(); ++i) {
            EXPECT_EQ(all[i].size(), counts[i]);
            for (const GpuMeasurement& x : all[i]) {
                EXPECT_GT(x.seconds, 0.0) << x.name;
                EXPECT_GT(x.flop + x.bytes, 0.0) << x.name;
                const double limit = x.flop > 0.0 ? bench.product_rate() : bench.copy_rate();
                EXPECT_NEAR((x.flop + x.bytes) / x.seconds / limit / x.limit_share, 1.0, 1e-9)
                    << x.name;
            }
            const std::string table = bench.table(all[i]);
            EXPECT_NE(table.find("cpu, 1 thread"), std::string::npos);
            EXPECT_NE(table.find("% of the "), std::string::npos);
            EXPECT_EQ(bench.json("x", all[i]).at("x").size(), counts[i]);
        }
        EXPECT_EQ(all[0][0].flop, 2.0 * 9 * 16 * 24);
        EXPECT_EQ(all[2][0].bytes, 2.0 * 5 * 40 * double(dtype_size(dtype)));
    }
}

TEST(Bench, GemmReportsEveryShape) {
    const auto device = make_cpu_device(1);
    const std::vector<GemmShape> shapes = {{3, 5, 7, false, true}, {16, 33, 20, true, false}};
    for (const DType dtype : {DType::F32, DType::BF16}) {
        const std::vector<GemmMeasurement> got = bench_gemm(*device, dtype, shapes, 3);
        ASSERT_EQ(got.size(), shapes.size());
        for (const GemmMeasurement& x : got) {
            EXPECT_EQ(x.dtype, dtype);
            EXPECT_EQ(x.threads, 1);
            EXPECT_GT(x.gflops, 0.0);
            EXPECT_GT(x.limit_share, 0.0);
            // bytes per flop follow from the shape alone
            const GemmShape& s = x.shape;
            const double elements = double(s.m * s.k + s.k * s.n + s.m * s.n);
            EXPECT_NEAR(x.gigabytes / x.gflops,
                        elements * double(dtype_size(dtype)) / (2.0 * double(s.m * s.n * s.k)),
                        1e-9);
        }
        const std::string table = gemm_table(*device, got);
        EXPECT_NE(table.find("1 thread"), std::string::npos);
        EXPECT_NE(table.find("3 x 5 x 7 NT"), std::string::npos);
        EXPECT_NE(table.find("16 x 33 x 20 TN"), std::string::npos);
        const nlohmann::json json = gemm_json(*device, got);
        EXPECT_EQ(json.at("gemm").size(), 2U);
        EXPECT_EQ(json.at("gemm")[1].at("transposes"), "TN");
        EXPECT_EQ(json.at("gemm")[1].at("threads"), 1);
    }
}

TEST(Bench, AttentionReportsEveryShape) {
    const auto device = make_cpu_device(1);
    const std::vector<AttentionShape> shapes = {{"packed", {3, 5}, {3, 9}, 4, 2, 8, true}};
    EXPECT_EQ(shapes[0].pairs(), (1 + 2 + 3) + (5 + 6 + 7 + 8 + 9));
    EXPECT_EQ(shapes[0].cache_bytes(DType::BF16), 2 * 12 * 2 * 8 * 2);
    const std::vector<AttentionShape> decode = {{"cached", {1}, {40}, 4, 2, 8, true}};
    for (const DType dtype : {DType::F32, DType::BF16}) {
        std::vector<AttentionMeasurement> got = bench_attention(*device, dtype, shapes, 1);
        ASSERT_EQ(got.size(), 1U);
        EXPECT_GT(got[0].forward_gflops, 0.0);
        EXPECT_GT(got[0].backward_share, 0.0);
        got.push_back(bench_decode(*device, dtype, decode, 1, 1 << 16).at(0));
        EXPECT_GT(got[1].gigabytes, 0.0);
        EXPECT_GT(got[1].stream_share, 0.0);
        const std::string table = attention_table(*device, got);
        EXPECT_NE(table.find("packed"), std::string::npos);
        EXPECT_NE(table.find("of a stream read"), std::string::npos);
        const nlohmann::json json = attention_json(*device, got);
        EXPECT_EQ(json.at("attention")[0].at("key_heads"), 2);
        EXPECT_TRUE(json.at("attention")[1].contains("gigabytes_per_second"));
    }
}

TEST(Bench, DecodeBatchReportsEveryBatch) {
    const auto device = make_cpu_device(1);
    models::VilaConfig config;
    config.llm = llama_config({.vocabulary = 40,
                               .width = 16,
                               .ffn = 24,
                               .layers = 1,
                               .heads = 2,
                               .head_dim = 8,
                               .positions = 16});
    models::VilaModel model(config, *device, DType::F32);
    model.initialize(1);
    const DecodeBatchSizes sizes = {.prompt_tokens = 9, .tokens = 4, .batches = {1, 3}};
    const auto got = bench_decode_batch(*device, model, sizes, 3);
    ASSERT_EQ(got.size(), 2U);
    for (const DecodeBatchMeasurement& x : got) {
        EXPECT_GT(x.limit, 0.0);
        EXPECT_NE(x.tokens_per_second, 0.0);
        EXPECT_GT(x.prompt_seconds, 0.0);
    }
    // The head and the layer, and one row of the embedding table.
    EXPECT_EQ(weight_bytes_per_token(model), 4 * (model.llm_table().count() - 39 * 16));
    EXPECT_NE(decode_batch_table(got).find("1 thread\n"), std::string::npos);
    EXPECT_EQ(decode_batch_json(got).at("decode_batch")[1].at("sequences"), 3);
    EXPECT_THROW(bench_decode_batch(*device, model, {.prompt_tokens = 12, .tokens = 4}, 1), Error);
}

TEST(Bench, TrainStepLearnsTheSmallestModel) {
    const VisionShape vision = {
        .width = 16, .ffn = 32, .layers = 1, .heads = 2, .image_size = 28, .patch_size = 14};
    const LlamaShape llm = {.vocabulary = 40,
                            .width = 16,
                            .ffn = 24,
                            .layers = 1,
                            .heads = 2,
                            .head_dim = 8,
                            .positions = 512};
    const TrainStepShape shape = {
        .model = vila_config(vision, llm), .sequences = 2, .text_tokens = 5};
    for (const DType dtype : {DType::F32, DType::BF16}) {
        const auto device = make_cpu_device(2);
        const TrainStepMeasurement got = bench_train_step(*device, dtype, shape, 3);
        EXPECT_EQ(got.rows, 2 * (4 + 5));
        EXPECT_GT(got.gflops, 0.0);
        EXPECT_GT(got.peak_tensor_bytes, 16 * got.parameters);  // weight, gradient, moments
        EXPECT_GT(got.peak_process_bytes, got.peak_tensor_bytes);
        EXPECT_LT(got.last_loss, got.first_loss);
        EXPECT_NE(train_step_table(*device, got).find("2 threads"), std::string::npos);
        EXPECT_EQ(train_step_json(*device, got).at("train_step").at("rows"), got.rows);
    }
}

TEST(Bench, PreprocessRunsEveryImageThroughEveryPipeline) {
    const std::vector<EncodedPicture> synthetic = default_pictures();
    const data::Image picture = data::decode_image(synthetic.at(0).bytes, "synthetic");
    EXPECT_EQ(picture.width, 640);
    EXPECT_EQ(picture.height, 480);
    EXPECT_GT(synthetic[0].bytes.size(), 20000U);
    EXPECT_LT(synthetic[0].bytes.size(), 200000U);
    const std::vector<PreprocessMeasurement> got =
        bench_preprocess({synthetic[0], synthetic[0]}, default_pipelines(), 1);
    ASSERT_EQ(got.size(), 3U);
    for (const PreprocessMeasurement& x : got) {
        EXPECT_EQ(x.pictures, 2);
        EXPECT_GT(x.decode_seconds, 0.0);
        EXPECT_GT(x.seconds, 0.0);
        EXPECT_NE(preprocess_table(got).find(x.pipeline), std::string::npos);
    }
    EXPECT_EQ(preprocess_json(got).at("preprocess").size(), 3U);
}

TEST(Bench, DefaultShapesCoverForwardAndBackward) {
    int transposed_a = 0, transposed_b = 0;
    for (const GemmShape& shape : default_gemm_shapes()) {
        transposed_a += shape.transpose_a;
        transposed_b += shape.transpose_b;
    }
    EXPECT_GT(transposed_a, 0);
    EXPECT_GT(transposed_b, transposed_a);
}

TEST(Bench, DocumentsEndAfterLines) {
    using Documents = std::vector<std::string>;
    EXPECT_EQ(documents_of("ab\nc\n\nlast", 1), (Documents{"ab\n", "c\n", "\n", "last"}));
    EXPECT_EQ(documents_of("ab\nc\n\nlast", 4), (Documents{"ab\nc\n", "\nlast"}));
    EXPECT_EQ(documents_of("", 4), Documents{});
    EXPECT_GE(world_text(100).size(), 100U);
    EXPECT_EQ(world_text(100), world_text(100));
}

TEST(Bench, TokenizeCountsBytesAndTokens) {
    const std::vector<std::string> documents = {"a red circle\n", "a blue one\n"};
    const auto tokenizer = data::train_bpe(documents, {.vocab_size = 258});
    const TokenizeMeasurement got = bench_tokenize(*tokenizer, documents, 3, 1 << 16);
    EXPECT_EQ(got.bytes, 24);
    EXPECT_EQ(got.tokens, 24) << "no merges: a token is a byte";
    for (const double rate : {got.encode_rate, got.decode_rate, got.read_rate, got.encode_share})
        EXPECT_GT(rate, 0.0);
    EXPECT_NE(tokenize_table("NAME", got).find("NAME"), std::string::npos);
    const nlohmann::json json = tokenize_json("NAME", got);
    EXPECT_EQ(json.at("tokenize").at("tokens"), 24);
    EXPECT_GT(json.at("tokenize").at("encode_megabytes_per_second"), 0.0);
}

}  // namespace
}  // namespace vila::tools
