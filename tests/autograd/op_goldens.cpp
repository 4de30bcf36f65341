// Compares the results and gradients of every operator with those of PyTorch, which
// tests/goldens/ops.safetensors holds.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tensor/safetensors.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;
using Apply = std::function<Variable(const Variables& in)>;

Variable attention(const Variables& in, bool causal) {
    return autograd::attention(in.at("q"), in.at("k"), in.at("v"), in.at("query_starts").value(),
                               in.at("key_starts").value(), causal, 0.3);
}

// Returns, for each case of the file, the same computation with our operators.
std::map<std::string, Apply> replays() {
    using Vars = const Variables&;
    return {
        {"add", [](Vars in) { return autograd::add(in.at("a"), in.at("b")); }},
        {"attention", [](Vars in) { return attention(in, false); }},
        {"attention_causal", [](Vars in) { return attention(in, true); }},
        {"attention_grouped", [](Vars in) { return attention(in, true); }},
        {"attention_cached", [](Vars in) { return attention(in, true); }},
        {"concat_rows",
         [](Vars in) { return autograd::concat_rows(in.at("above"), in.at("below")); }},
        {"embedding",
         [](Vars in) { return autograd::embedding(in.at("table"), in.at("ids").value()); }},
        {"exp", [](Vars in) { return autograd::exp(in.at("input")); }},
        {"gather_rows",
         [](Vars in) { return autograd::gather_rows(in.at("x"), in.at("index").value()); }},
        {"gelu_erf", [](Vars in) { return autograd::gelu(in.at("input"), GeluKind::Erf); }},
        {"gelu_quick", [](Vars in) { return autograd::gelu(in.at("x"), GeluKind::Quick); }},
        {"gelu_tanh", [](Vars in) { return autograd::gelu(in.at("x"), GeluKind::Tanh); }},
        {"l2_normalize", [](Vars in) { return autograd::l2_normalize(in.at("x")); }},
        {"layer_norm",
         [](Vars in) {
             return autograd::layer_norm(in.at("x"), in.at("weight"), in.at("bias"), 1e-5);
         }},
        {"linear",
         [](Vars in) { return autograd::linear(in.at("input"), in.at("weight"), in.at("bias")); }},
        {"linear_cross_entropy",
         [](Vars in) {
             return autograd::linear_cross_entropy(in.at("hidden"), in.at("weight"),
                                                   in.at("targets").value(), 0.125);
         }},
        {"matmul", [](Vars in) { return autograd::matmul(in.at("input"), in.at("other")); }},
        {"matmul_transposed",
         [](Vars in) { return autograd::matmul(in.at("a"), in.at("b"), true, true); }},
        {"mean_rows",
         [](Vars in) { return autograd::mean_rows(in.at("x"), in.at("starts").value()); }},
        {"merge_tokens_columns", [](Vars in) { return autograd::merge_tokens(in.at("x"), true); }},
        {"merge_tokens_rows", [](Vars in) { return autograd::merge_tokens(in.at("x"), false); }},
        {"mul", [](Vars in) { return autograd::mul(in.at("a"), in.at("b")); }},
        {"patchify",
         [](Vars in) {
             const Tensor patches = autograd::patchify(in.at("pixels").value(), 2);
             return autograd::linear(Variable(patches), in.at("kernel"), Variable());
         }},
        {"reshape",
         [](Vars in) {
             return autograd::reshape(in.at("x"), {4, 3});
         }},
        {"rms_norm", [](Vars in) { return autograd::rms_norm(in.at("x"), in.at("weight"), 1e-5); }},
        {"rope",
         [](Vars in) {
             return autograd::rope(in.at("x"), in.at("positions").value(), in.at("cos").value(),
                                   in.at("sin").value());
         }},
        {"scale", [](Vars in) { return autograd::scale(in.at("x"), -0.75); }},
        {"slice_columns", [](Vars in) { return autograd::slice_columns(in.at("x"), 2, 5); }},
        {"softmax", [](Vars in) { return autograd::softmax(in.at("x")); }},
        {"splice_rows",
         [](Vars in) {
             return autograd::splice_rows(in.at("text"), in.at("rows"), in.at("index").value());
         }},
        {"sum", [](Vars in) { return autograd::sum(in.at("x")); }},
        {"swiglu", [](Vars in) { return autograd::swiglu(in.at("gate"), in.at("up")); }},
    };
}

// The tensors "CASE/NAME" (operands), "CASE/d.NAME" (gradients), "CASE/y" and "CASE/dy" of a case.
struct GoldenCase {
    std::map<std::string, Tensor> operands, gradients;
    Tensor y, dy;
};

std::map<std::string, GoldenCase> read_cases(Device& device) {
    const SafetensorsFile file(VILA_SOURCE_DIR "/tests/goldens/ops.safetensors");
    std::map<std::string, GoldenCase> cases;
    for (const std::string& name : file.names()) {
        const size_t slash = name.find('/');
        GoldenCase& golden = cases[name.substr(0, slash)];
        const std::string part = name.substr(slash + 1);
        const Tensor tensor = file.load(name, device);
        if (part.starts_with("d.")) {
            golden.gradients[part.substr(2)] = tensor;
        } else if (part == "dy") {
            golden.dy = tensor;
        } else if (part == "y") {
            golden.y = tensor;
        } else {
            golden.operands[part] = tensor;
        }
    }
    return cases;
}

void expect_close(const std::string& what, const Tensor& got, const Tensor& expected, DType dtype) {
    ASSERT_EQ(got.shape(), expected.shape()) << what;
    const auto g = got.to_vector<double>(), e = expected.to_vector<double>();
    for (size_t i = 0; i < g.size(); ++i)
        ASSERT_TRUE(is_close(g[i], e[i], tolerance(dtype), scale_of(e)))
            << what << " element " << i << ": expected " << e[i] << ", got " << g[i];
}

void replay(const std::string& name, const GoldenCase& golden, const Apply& apply, DType dtype) {
    Variables in;
    for (const auto& [operand, tensor] : golden.operands) {
        const Tensor value = is_floating(tensor.dtype()) ? tensor.to(dtype) : tensor;
        in[operand] = Variable(value, golden.gradients.contains(operand));
    }
    const Variable y = apply(in);
    expect_close(str(name, " in ", dtype), y.value(), golden.y, dtype);
    if (!golden.dy.defined()) return;
    autograd::backward(y, golden.dy.to(dtype));
    for (const auto& [operand, gradient] : golden.gradients)
        expect_close(str(name, " in ", dtype, ", gradient of ", operand), in.at(operand).grad(),
                     gradient, dtype);
}

}  // namespace

TEST(OpGoldens, AgreeWithPyTorch) {
    GuardedDevice device;
    const auto cases = read_cases(device);
    const auto known = replays();
    for (const auto& [name, golden] : cases) {
        ASSERT_TRUE(known.contains(name)) << "no replay of " << name;
        for (const DType dtype : {DType::F64, DType::F32})
            replay(name, golden, known.at(name), dtype);
    }
    EXPECT_EQ(cases.size(), known.size()) << "a replay has no case in the file";
    EXPECT_FALSE(device.damaged());
}

}  // namespace vila::testing
