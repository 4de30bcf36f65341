#pragma once

// One small class per operator, and the driver checks for it
//  - the result against independent loops in f64, for f64, f32 and bf16, at awkward sizes, for each
//    instruction set of this machine;
//  - the gradient of every differentiable operand: by finite differences in f64
//  (tests/support/gradcheck.h),
//    then f32 and bf16 against f64;
//  - that 1, 2 and 3 threads give the same bits;
//  - that operands with strided rows give what contiguous ones give;
//  - that nothing is written outside a tensor and nothing inside is left unwritten
//    (tests/support/guarded_device.h), and that operands are not changed;
//  - that an operand of a wrong rank or dtype is refused with a message that names the operator.
//
//     class RmsNorm : public OpTest { ... };
//     TEST(OpRmsNorm, Agrees) { EXPECT_EQ(check_op(RmsNorm()), ""); }
//
// A failure is returned as text, which lets tests/support/driver.cpp test the driver itself.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "tests/support/tolerance.h"

namespace vila::testing {

// Numbers in row-major order: an operand as the reference sees it, already rounded to the dtype
// under test, or a result.
struct Array {
    Shape shape;
    std::vector<double> values;

    double operator[](int64_t i) const { return values[static_cast<size_t>(i)]; }
    double& operator[](int64_t i) { return values[static_cast<size_t>(i)]; }
    // Zeros.
    static Array of(const Shape& shape);
};

enum class OperandKind {
    Float,     // in the dtype under test; takes a gradient
    Constant,  // in the dtype under test; takes none
    Wide,      // f32, or f64 when f64 is under test; takes none
    Index,     // i32
};

struct Operand {
    std::string name;
    OperandKind kind = OperandKind::Float;
    Array array;  // without values: standard normal ones are drawn
};
Operand normal(const std::string& name, const Shape& shape, double scale = 1.0);
Operand index(const std::string& name, const std::vector<double>& values);

using Sizes = std::vector<int64_t>;
using Arrays = std::map<std::string, Array>;
using Variables = std::map<std::string, autograd::Variable>;

class OpTest {
  public:
    virtual ~OpTest() = default;
    // As in the operator's messages: "rms_norm".
    virtual std::string name() const = 0;
    // What the numbers mean is between this and operands().
    virtual std::vector<Sizes> sizes() const = 0;
    virtual std::vector<Operand> operands(const Sizes& n) const = 0;
    // Plain loops, written without looking at the kernel.
    virtual Array reference(const Sizes& n, const Arrays& in) const = 0;
    virtual autograd::Variable apply(const Sizes& n, const Variables& in) const = 0;
    // A multiple of tests/support/tolerance.h; say why where it is not 1.
    virtual double tolerance_factor(DType) const { return 1.0; }
    // The same for gradients, where their error is of another kind.
    virtual Tolerance gradient_tolerance(DType dtype) const { return value_tolerance(dtype); }
    virtual Tolerance value_tolerance(DType dtype) const {
        return tolerance(dtype) * tolerance_factor(dtype);
    }
    // Operators that refuse or ignore a layout, rank or dtype for a reason say so.
    virtual bool takes_strided(const std::string& /*operand*/) const { return true; }
    virtual bool checks_rank(const std::string& /*operand*/) const { return true; }
    virtual bool checks_dtype(const std::string& /*operand*/) const { return true; }
};

// Rows and columns that meet every edge of a vector loop: none, one, a prime, a vector, one more.
std::vector<Sizes> row_sizes();
// The same for operators that see a flat list.
std::vector<Sizes> flat_sizes();

// "" when all is well, else a few lines: operator, sizes, dtype, device, element, seed.
std::string check_op(const OpTest& op);

// Runs the operator once, and backward from a given gradient: for replaying golden files and for
// other devices. Gradients by operand name.
struct OpResult {
    Array output;
    Arrays gradients;
};
OpResult run_op(const OpTest& op, const Sizes& n, const Arrays& in, Device& device, DType dtype,
                const std::vector<double>& dy);
OpResult run_op(const OpTest& op, const Sizes& n, const Variables& in,
                const std::vector<double>& dy);

// "" when `body` throws an Error whose message contains `text`, else what happened instead.
std::string expect_error(const std::string& text, const std::function<void()>& body);

// VILA_TEST_SEED.
uint64_t test_seed();
// Standard normal values, a function of the seed and the name.
std::vector<double> draw_normal(const std::string& name, int64_t count, double scale = 1.0);
// The values after a round trip through a dtype.
std::vector<double> rounded(std::vector<double> values, DType dtype);
// An operand with these values, in the dtype its kind has when `dtype` is under test.
autograd::Variable make_operand(const Operand& operand, const Array& array, Device& device,
                                DType dtype);
// Values as a tensor of any dtype.
Tensor make_tensor(Device& device, const Array& array, DType dtype);
Array to_array(const Tensor& tensor);

}  // namespace vila::testing
