#pragma once

// Element types, and the two 16-bit floating-point formats C++20 lacks.

#include <bit>
#include <cstdint>
#include <ostream>
#include <string>

namespace vila {

enum class DType { F64, F32, BF16, F16, I64, I32, U8 };

// Bytes per element.
int64_t dtype_size(DType dtype);
// "f32", "bf16", ..., as on the command line.
const char* dtype_name(DType dtype);
// The inverse of dtype_name. Throws if the name is unknown.
DType dtype_from_name(const std::string& name);
bool is_floating(DType dtype);
std::ostream& operator<<(std::ostream& out, DType dtype);

// Brain float: the upper half of an f32. Rounds to nearest, ties to even; keeps NaN a NaN.
struct BFloat16 {
    uint16_t bits = 0;

    BFloat16() = default;
    explicit BFloat16(float value) {
        const uint32_t u = std::bit_cast<uint32_t>(value);
        if ((u & 0x7fffffffU) > 0x7f800000U) {
            bits = static_cast<uint16_t>((u >> 16) | 0x0040U);
        } else {
            bits = static_cast<uint16_t>((u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
        }
    }
    explicit operator float() const {
        return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
};

// IEEE half precision, for files that store it; converted in software, exactly.
struct Float16 {
    uint16_t bits = 0;

    Float16() = default;
    explicit Float16(float value);
    explicit operator float() const;
};

// Maps a C++ type to its DType: dtype_of<float> == DType::F32.
template <typename T>
inline constexpr DType dtype_of = [] { static_assert(sizeof(T) == 0, "no dtype for this type"); }();
template <>
inline constexpr DType dtype_of<double> = DType::F64;
template <>
inline constexpr DType dtype_of<float> = DType::F32;
template <>
inline constexpr DType dtype_of<BFloat16> = DType::BF16;
template <>
inline constexpr DType dtype_of<Float16> = DType::F16;
template <>
inline constexpr DType dtype_of<int64_t> = DType::I64;
template <>
inline constexpr DType dtype_of<int32_t> = DType::I32;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::U8;

}  // namespace vila
