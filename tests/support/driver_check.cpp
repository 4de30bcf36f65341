// check_op: the checks that the driver runs on an operator.

#include <cmath>
#include <cstring>
#include <sstream>

#include "tests/support/driver.h"
#include "tests/support/gradcheck.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

constexpr DType kDTypes[] = {DType::F64, DType::F32, DType::BF16};

// The two results of a comparison, for messages.
std::string compare(const std::string& what, const Array& got, const Array& expected,
                    const Tolerance& tolerance) {
    if (!(got.shape == expected.shape))
        return str(what, " has shape ", got.shape, ", expected ", expected.shape);
    const double scale = scale_of(expected.values);
    for (size_t i = 0; i < got.values.size(); ++i)
        if (!is_close(got.values[i], expected.values[i], tolerance, scale))
            return str(what, " at element ", i, " of shape ", got.shape, ": expected ",
                       expected.values[i], ", got ", got.values[i], ", off by ",
                       std::fabs(got.values[i] - expected.values[i]));
    return "";
}

bool same_bits(const Array& a, const Array& b) {
    return a.values.size() == b.values.size() &&
           (a.values.empty() ||
            std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(double)) == 0);
}

std::string same_bits(const OpResult& got, const OpResult& expected) {
    if (!same_bits(got.output, expected.output)) return "output has other bits";
    for (const auto& [name, gradient] : expected.gradients)
        if (!same_bits(got.gradients.at(name), gradient))
            return str("gradient of ", name, " has other bits");
    return "";
}

// One operator at one size.
class SizeCheck {
  public:
    SizeCheck(const OpTest& op, const Sizes& n) : op_(op), n_(n), operands_(op.operands(n)) {}

    std::string run() {
        for (const DType dtype : kDTypes) {
            draw(dtype);
            std::string bad = check(dtype);
            if (!bad.empty()) return str(dtype, ", ", bad);
        }
        return "";
    }

  private:
    // The operands after rounding, and the gradient of the output.
    void draw(DType dtype) {
        in_.clear();
        for (const Operand& operand : operands_) {
            Array array = operand.array;
            if (operand.kind == OperandKind::Wide && dtype != DType::F64)
                array.values = rounded(array.values, DType::F32);
            if (operand.kind == OperandKind::Float || operand.kind == OperandKind::Constant)
                array.values = rounded(array.values, dtype);
            in_[operand.name] = array;
        }
        expected_.output = op_.reference(n_, in_);
        dy_ = rounded(draw_normal("dy", expected_.output.shape.numel()), dtype);
        // Finite differences confirm the gradients in f64; other dtypes are compared with those.
        GuardedDevice device;
        expected_.gradients = run_op(op_, n_, in_, device, DType::F64, dy_).gradients;
    }

    std::string check(DType dtype) const {
        OpResult one_thread;
        for (const Isa isa : GuardedDevice::levels()) {
            GuardedDevice device(1, isa);
            one_thread = run_op(op_, n_, in_, device, dtype, dy_);
            std::string bad = compare_with_expected(one_thread, dtype);
            if (bad.empty()) bad = check_layouts(device, dtype, one_thread);
            if (bad.empty() && device.damaged()) bad = "guard bytes were overwritten";
            if (!bad.empty()) return str(device.name(), ": ", bad);
        }
        for (const int threads : {2, 3}) {
            GuardedDevice device(threads);
            const std::string bad = same_bits(run_op(op_, n_, in_, device, dtype, dy_), one_thread);
            if (!bad.empty()) return str(device.name(), ": ", bad, " than with 1 thread");
            if (device.damaged()) return str(device.name(), ": guard bytes were overwritten");
        }
        return dtype == DType::F64 ? check_differences() : "";
    }

    std::string compare_with_expected(const OpResult& got, DType dtype) const {
        const Tolerance allowed = op_.value_tolerance(dtype);
        std::string bad = compare("output", got.output, expected_.output, allowed);
        for (const auto& [name, gradient] : expected_.gradients)
            if (bad.empty())
                bad = compare("gradient of " + name, got.gradients.at(name), gradient,
                              op_.gradient_tolerance(dtype));
        return bad;
    }

    Variables variables(Device& device, DType dtype) const {
        Variables made;
        for (const Operand& operand : operands_)
            made[operand.name] = make_operand(operand, in_.at(operand.name), device, dtype);
        return made;
    }

    std::string check_differences() const {
        GuardedDevice device;
        const Variables in = variables(device, DType::F64);
        std::vector<std::pair<std::string, autograd::Variable>> inputs;
        for (const auto& [name, variable] : in)
            if (variable.requires_grad()) inputs.emplace_back(name, variable);
        return check_gradients(
            inputs, [&] { return op_.apply(n_, in); }, GuardedDevice::slow() ? 3 : 24);
    }

    // Checks operands that are slices of wider rows, and that no operand changed.
    std::string check_layouts(Device& device, DType dtype, const OpResult& dense) const {
        Variables in = variables(device, dtype);
        for (auto& [name, variable] : in) {
            if (variable.value().rank() < 2 || !op_.takes_strided(name)) continue;
            Shape wide = variable.shape();
            const int64_t columns = wide[-1];
            wide[-1] = columns + 3;
            const Tensor view = Tensor::zeros(device, wide, variable.dtype())
                                    .slice(wide.rank() - 1, 1, columns + 1);
            view.copy_from(variable.value());
            variable = autograd::Variable(view, variable.requires_grad());
        }
        const OpResult strided = run_op(op_, n_, in, dy_);
        for (const auto& [name, variable] : in)
            if (!same_bits(to_array(variable.value()), in_.at(name)))
                return str("operand ", name, " was changed");
        const std::string bad = same_bits(strided, dense);
        return bad.empty() ? "" : str("with strided operands, ", bad);
    }

    const OpTest& op_;
    const Sizes& n_;
    std::vector<Operand> operands_;
    Arrays in_;
    std::vector<double> dy_;
    OpResult expected_;
};

// Passes each operand in turn with a wrong rank, then with a wrong dtype.
std::string check_refusals(const OpTest& op) {
    GuardedDevice device;
    const Sizes n = op.sizes().at(1);
    const auto refused = [&](const Operand& operand, const std::string& how, const Tensor& wrong) {
        Variables in;
        for (const Operand& other : op.operands(n))
            in[other.name] = make_operand(other, other.array, device, DType::F32);
        in[operand.name] = autograd::Variable(wrong);
        const std::string bad = expect_error("[" + op.name() + "]", [&] { op.apply(n, in); });
        return bad.empty() ? "" : str(operand.name, " with a wrong ", how, ": ", bad, "\n");
    };
    std::string bad;
    for (const Operand& operand : op.operands(n)) {
        const Tensor right = make_operand(operand, operand.array, device, DType::F32).value();
        Shape longer = {1};
        for (const int64_t extent : right.shape()) longer.push_back(extent);
        if (op.checks_rank(operand.name)) bad += refused(operand, "rank", right.reshape(longer));
        const DType other = operand.kind == OperandKind::Index ? DType::F32 : DType::I32;
        if (op.checks_dtype(operand.name)) bad += refused(operand, "dtype", right.to(other));
    }
    return bad;
}

}  // namespace

std::string check_op(const OpTest& op) {
    const std::string seed = str(" [VILA_TEST_SEED=", test_seed(), "]");
    for (const Sizes& n : op.sizes()) {
        std::ostringstream where;
        where << op.name() << " at sizes";
        for (const int64_t extent : n) where << ' ' << extent;
        where << ", ";
        try {
            const std::string bad = SizeCheck(op, n).run();
            if (!bad.empty()) return where.str() + bad + seed;
        } catch (const std::exception& error) {
            return where.str() + "it throws " + error.what() + seed;
        }
    }
    const std::string bad = check_refusals(op);
    return bad.empty() ? "" : op.name() + ": " + bad;
}

std::string expect_error(const std::string& text, const std::function<void()>& body) {
    try {
        body();
    } catch (const Error& error) {
        const std::string got = error.what();
        if (got.find(text) != std::string::npos) return "";
        return str("expected an error with \"", text, "\", got \"", got, "\"");
    }
    return str("expected an error with \"", text, "\", got none");
}

}  // namespace vila::testing
