#pragma once

// The test driver for operators. Each operator is described by one small class, and check_op checks
//  - the result against independent loops in f64, for f64, f32 and bf16, at awkward sizes, for each
//    instruction set of this machine;
//  - the gradient of every differentiable operand: in f64 by finite differences
//    (tests/support/gradcheck.h), in f32 and bf16 against f64;
//  - that 1, 2 and 3 threads give the same bits;
//  - that operands with strided rows give the same result as contiguous operands;
//  - that no kernel writes outside a tensor, leaves part of a result unwritten
//    (tests/support/guarded_device.h) or changes an operand;
//  - that an operand of a wrong rank or dtype is refused with a message that names the operator.
//
//     class RmsNorm : public OpTest { ... };
//     TEST(OpRmsNorm, Agrees) { EXPECT_EQ(check_op(RmsNorm()), ""); }
//
// check_op returns failures as text, so that tests/support/driver.cpp can test the driver itself.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "tests/support/tolerance.h"

namespace vila::testing {

// Numbers in row-major order: a result, or an operand as reference() receives it, already rounded
// to the dtype under test.
struct Array {
    Shape shape;
    std::vector<double> values;

    double operator[](int64_t i) const { return values[static_cast<size_t>(i)]; }
    double& operator[](int64_t i) { return values[static_cast<size_t>(i)]; }
    // Returns an array of zeros.
    static Array of(const Shape& shape);
};

enum class OperandKind {
    Float,     // has the dtype under test; receives a gradient
    Constant,  // has the dtype under test; no gradient
    Wide,      // f32, or f64 when f64 is under test; no gradient
    Index,     // i32
};

struct Operand {
    std::string name;
    OperandKind kind = OperandKind::Float;
    Array array;  // if it has no values, standard normal ones are drawn
};
Operand normal(const std::string& name, const Shape& shape, double scale = 1.0);
Operand index(const std::string& name, const std::vector<double>& values);

using Sizes = std::vector<int64_t>;
using Arrays = std::map<std::string, Array>;
using Variables = std::map<std::string, autograd::Variable>;

class OpTest {
  public:
    virtual ~OpTest() = default;
    // Returns the name in the operator's error messages, such as "rms_norm".
    virtual std::string name() const = 0;
    // Returns the lists of sizes to test. operands() defines the meaning of the numbers.
    virtual std::vector<Sizes> sizes() const = 0;
    virtual std::vector<Operand> operands(const Sizes& n) const = 0;
    // Returns the result, computed with plain loops that were written independently of the kernel.
    virtual Array reference(const Sizes& n, const Arrays& in) const = 0;
    virtual autograd::Variable apply(const Sizes& n, const Variables& in) const = 0;
    // A multiple of the tolerance in tests/support/tolerance.h. An override gives its reason.
    virtual double tolerance_factor(DType) const { return 1.0; }
    // The tolerance of gradients, for operators whose gradients have a different error.
    virtual Tolerance gradient_tolerance(DType dtype) const { return value_tolerance(dtype); }
    virtual Tolerance value_tolerance(DType dtype) const {
        return tolerance(dtype) * tolerance_factor(dtype);
    }
    // Operators that refuse or ignore a layout, rank or dtype override these, with the reason.
    virtual bool takes_strided(const std::string& /*operand*/) const { return true; }
    virtual bool checks_rank(const std::string& /*operand*/) const { return true; }
    virtual bool checks_dtype(const std::string& /*operand*/) const { return true; }
};

// Returns numbers of rows and columns that test every edge of a vector loop: none, one, a prime, a
// vector, and one more.
std::vector<Sizes> row_sizes();
// Returns the same sizes on one axis, for elementwise operators.
std::vector<Sizes> flat_sizes();

// Runs all checks. Returns "", or a few lines that name the operator, sizes, dtype, device, element
// and seed.
std::string check_op(const OpTest& op);

// The result of one forward and backward pass, with gradients by operand name.
struct OpResult {
    Array output;
    Arrays gradients;
};
// Runs the operator once, and backward from the gradient `dy` of its result. Also used by tests of
// golden files and of other devices.
OpResult run_op(const OpTest& op, const Sizes& n, const Arrays& in, Device& device, DType dtype,
                const std::vector<double>& dy);
OpResult run_op(const OpTest& op, const Sizes& n, const Variables& in,
                const std::vector<double>& dy);

// Returns "" if `body` throws an Error whose message contains `text`, else a description of what
// happened.
std::string expect_error(const std::string& text, const std::function<void()>& body);

// Returns the value of VILA_TEST_SEED.
uint64_t test_seed();
// Draws standard normal values; they are a function of the seed and the name.
std::vector<double> draw_normal(const std::string& name, int64_t count, double scale = 1.0);
// Returns the values rounded to a dtype.
std::vector<double> rounded(std::vector<double> values, DType dtype);
// Makes an operand of these values. Its dtype follows from its kind and from `dtype`, the one under
// test.
autograd::Variable make_operand(const Operand& operand, const Array& array, Device& device,
                                DType dtype);
// Makes a tensor of any dtype.
Tensor make_tensor(Device& device, const Array& array, DType dtype);
Array to_array(const Tensor& tensor);

}  // namespace vila::testing
