#include "tensor/dtype.h"

#include <cmath>

#include "tensor/check.h"

namespace vila {

namespace {

struct DTypeRow {
    DType dtype;
    const char* name;
    int64_t size;
    bool floating;
};

constexpr DTypeRow kDTypes[] = {
    {DType::F64, "f64", 8, true}, {DType::F32, "f32", 4, true},  {DType::BF16, "bf16", 2, true},
    {DType::F16, "f16", 2, true}, {DType::I64, "i64", 8, false}, {DType::I32, "i32", 4, false},
    {DType::U8, "u8", 1, false},
};

const DTypeRow& row_of(DType dtype) {
    return kDTypes[static_cast<int>(dtype)];
}

}  // namespace

int64_t dtype_size(DType dtype) {
    return row_of(dtype).size;
}
const char* dtype_name(DType dtype) {
    return row_of(dtype).name;
}
bool is_floating(DType dtype) {
    return row_of(dtype).floating;
}
std::ostream& operator<<(std::ostream& out, DType dtype) {
    return out << dtype_name(dtype);
}

DType dtype_from_name(const std::string& name) {
    for (const DTypeRow& row : kDTypes)
        if (name == row.name) return row.dtype;
    throw Error(str("unknown dtype \"", name, "\": expected f64, f32, bf16, f16, i64, i32 or u8"));
}

Float16::Float16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (u >> 16) & 0x8000U;
    const uint32_t magnitude = u & 0x7fffffffU;
    if (magnitude > 0x7f800000U) {  // NaN
        bits = static_cast<uint16_t>(sign | 0x7e00U);
    } else if (magnitude >= 0x477ff000U) {  // rounds to or beyond 65520: infinity
        bits = static_cast<uint16_t>(sign | 0x7c00U);
    } else if (magnitude < 0x38800000U) {  // below 2^-14: subnormal, in units of 2^-24
        const float scaled = std::fabs(value) * 16777216.0f;
        bits = static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyintf(scaled)));
    } else {
        const uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1U);
        bits = static_cast<uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
    }
}

Float16::operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
    const uint32_t exponent = (bits >> 10) & 0x1fU;
    const uint32_t mantissa = bits & 0x3ffU;
    if (exponent == 0) {
        const float magnitude = static_cast<float>(mantissa) * (1.0f / 16777216.0f);
        return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
    }
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13));
    return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

}  // namespace vila
