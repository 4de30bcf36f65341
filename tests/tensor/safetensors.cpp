// Tests the reader on files made here byte by byte (one per rule of the format), and compares the
// writer with a file of the reference library (tests/goldens/make_safetensors_golden.py).

#include "tensor/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "tensor/cpu/cpu_device.h"
#include "tests/support/temporary_directory.h"

namespace vila {
namespace {

namespace fs = std::filesystem;

std::string little_endian(uint64_t value) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
    return bytes;
}

std::string file_bytes(const std::string& header, int64_t data_bytes) {
    return little_endian(header.size()) + header +
           std::string(static_cast<size_t>(data_bytes), '\x2a');
}

// Returns the reader's message for a file of these bytes, "" if it is accepted.
std::string refusal(const std::string& bytes) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "bad.safetensors";
    std::ofstream(path, std::ios::binary) << bytes;
    try {
        const SafetensorsFile file(path);
        return "";
    } catch (const Error& error) {
        const std::string message = error.what();
        EXPECT_EQ(message.find(path.string() + ": "), 0U) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
        return message.substr(path.string().size() + 2);
    }
}

std::string refusal(const std::string& header, int64_t data_bytes) {
    return refusal(file_bytes(header, data_bytes));
}

void expect_refused(const std::string& header, int64_t data_bytes, const std::string& part) {
    const std::string message = refusal(header, data_bytes);
    EXPECT_NE(message.find(part), std::string::npos)
        << "header " << header << "\nexpected a message with: " << part << "\ngot: " << message;
}

constexpr const char* kTwo = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                             R"("b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}})";

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
    EXPECT_EQ(refusal(kTwo, 5), "");
    EXPECT_EQ(refusal(std::string(" \n") + kTwo + " \t\r\n ", 5), "");
    EXPECT_EQ(refusal("{}", 0), "");
    EXPECT_EQ(refusal(R"({"__metadata__":{}})", 0), "");
    EXPECT_EQ(refusal(R"({"a":{"shape":[],"data_offsets":[0,4],"dtype":"F32"}})", 4), "");
    EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}})", 0), "");
    EXPECT_EQ(refusal(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", 1), "");
    EXPECT_EQ(refusal("{\"\xc3\xa9\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1),
              "");
}

TEST(Safetensors, RefusesBadLengths) {
    EXPECT_NE(refusal("1234567").find("has at least 8 bytes"), std::string::npos);
    EXPECT_NE(refusal(little_endian(100'000'001)).find("limit is 100000000"), std::string::npos);
    EXPECT_NE(refusal(little_endian(~uint64_t{0}) + "{}").find("not a safetensors file"),
              std::string::npos);
    EXPECT_NE(refusal(little_endian(3) + "{}").find("does not fit in the file"), std::string::npos);
    expect_refused("", 0, "expected '{'");
}

TEST(Safetensors, RefusesWhatIsNotTheSchema) {
    expect_refused("[]", 0, "expected '{'");
    expect_refused("{", 0, "expected '\"'");
    expect_refused("{}x", 0, "something follows");
    expect_refused("{} {}", 0, "something follows");
    expect_refused(std::string("{}\0", 3), 0, "something follows");
    expect_refused(R"({"a":1})", 0, "tensor a: header is not valid: expected '{'");
    expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},})", 1, "expected");
    expect_refused(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, "dtype is missing");
    expect_refused(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, "shape is missing");
    expect_refused(R"({"a":{"dtype":"U8","shape":[1]}})", 1, "data_offsets is missing");
    expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "expected ','");
    expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1, "expected ']'");
    expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1,
                   "unknown field \"x\"");
    expect_refused(R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1, "expected '\"'");
    expect_refused(R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1, "expected '['");
}

TEST(Safetensors, RefusesBadMetadata) {
    expect_refused(R"({"__metadata__":{"a":1}})", 0, "must be strings");
    expect_refused(R"({"__metadata__":{"a":{"b":"c"}}})", 0, "must be strings");
    expect_refused(R"({"__metadata__":"x"})", 0, "expected '{'");
    expect_refused(R"({"__metadata__":{"a":"1","a":"2"}})", 0, "duplicate key \"a\"");
    expect_refused(R"({"__metadata__":{},"__metadata__":{}})", 0, "duplicate key \"__metadata__\"");
}

TEST(Safetensors, RefusesDuplicates) {
    expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                   2, "duplicate key \"a\"");
    // The same name, written with an escape.
    expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                   2, "duplicate key \"a\"");
    expect_refused(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1,
                   "duplicate key \"dtype\"");
}

TEST(Safetensors, RefusesBadNumbers) {
    for (const char* bad : {"-1", "1.0", "1e0", "01", "+1", "9223372036854775808",
                            "18446744073709551616", "\"1\"", "null", "", " "}) {
        const std::string shape =
            str(R"({"a":{"dtype":"U8","shape":[)", bad, R"(,1],"data_offsets":[0,1]}})");
        expect_refused(shape, 1, "tensor a: header is not valid");
        const std::string offsets =
            str(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,)", bad, "]}}");
        expect_refused(offsets, 1, "tensor a: header is not valid");
    }
    expect_refused(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
                   "more than 8 axes");
}

TEST(Safetensors, RefusesBadStrings) {
    const auto named = [](const std::string& name) {
        return "{\"" + name + "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    };
    EXPECT_EQ(refusal(named("\\u00e9\\ud83d\\ude00\\\"\\\\\\/"), 1), "");
    for (const char* bad : {"\xff", "\xc0\x80", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                            "\xe0\x80\x80", "\xf0\x80\x80\x80"})
        expect_refused(named(bad), 1, "invalid UTF-8");
    expect_refused(named("a\nb"), 1, "control character");
    expect_refused(named("a\\nb"), 1, "control character in the name");
    expect_refused(named("a\\u0000b"), 1, "control character in the name");
    expect_refused(named("\\x41"), 1, "unknown escape");
    expect_refused(named("\\u12"), 1, "four hexadecimal digits");
    expect_refused(named("\\ud800"), 1, "lone surrogate");
    expect_refused(named("\\ud800\\u0041"), 1, "lone surrogate");
    expect_refused(named("\\udc00"), 1, "lone surrogate");
    expect_refused("{\"abc", 0, "unterminated string");
    EXPECT_EQ(refusal(named(std::string(1024, 'x')), 1), "");
    expect_refused(named(std::string(1025, 'x')), 1, "at most 1024");
}

TEST(Safetensors, RefusesSizesThatDisagree) {
    expect_refused(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4,
                   "tensor a: unknown dtype \"F33\"");
    expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                   "tensor a: bytes in data_offsets for F32 (2): expected 8, got 4");
    expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "run backwards");
    expect_refused(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1,
                   "does not end on a byte");
    expect_refused(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                   0, "overflows 64 bits");
    expect_refused(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0,
                   "overflows 64 bits");
}

TEST(Safetensors, RefusesGapsOverlapsAndTrailingBytes) {
    const auto two = [](int a0, int a1, int b0, int b1) {
        return str(R"({"a":{"dtype":"U8","shape":[)", a1 - a0, R"(],"data_offsets":[)", a0, ",", a1,
                   R"(]},"b":{"dtype":"U8","shape":[)", b1 - b0, R"(],"data_offsets":[)", b0, ",",
                   b1, "]}}");
    };
    EXPECT_EQ(refusal(two(3, 5, 0, 3), 5), "");
    EXPECT_EQ(refusal(two(0, 2, 2, 2), 2), "");
    expect_refused(two(0, 2, 3, 5), 5, "tensor b: unused bytes [2, 3)");
    expect_refused(two(1, 2, 2, 5), 5, "tensor a: unused bytes [0, 1)");
    expect_refused(two(0, 3, 2, 5), 5, "tensor b: its data overlaps");
    expect_refused(two(0, 2, 0, 2), 2, "overlaps");
    expect_refused(two(0, 2, 2, 5), 4, "tensor b: data_offsets [2, 5] lie outside the 4 bytes");
    expect_refused(two(0, 2, 2, 5), 6, "bytes of data after the header: expected 5, got 6");
    expect_refused("{}", 1, "bytes of data after the header");
}

class SafetensorsFiles : public ::testing::Test {
  protected:
    SafetensorsFiles() : device(make_cpu_device(1)) {}
    std::unique_ptr<CpuDevice> device;
};

TEST_F(SafetensorsFiles, EveryCutAndEveryFlippedByteIsRefusedOrRead) {
    const std::string good = file_bytes(kTwo, 5);
    for (size_t size = 0; size < good.size(); ++size)
        EXPECT_NE(refusal(good.substr(0, size)), "") << size;
    for (size_t at = 0; at < good.size() - 5; ++at)
        for (const int flip : {1, 128}) {
            std::string bytes = good;
            bytes[at] = static_cast<char>(bytes[at] ^ flip);
            refusal(bytes);  // checks that a refusal is one line with the file's name
        }
}

TEST_F(SafetensorsFiles, RoundTripOfEveryDtype) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "all.safetensors";
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();
    const NamedTensors tensors = {
        {"byte", Tensor::from_values<uint8_t>(*device, {3}, {0, 1, 255})},
        {"double", Tensor::from_values<double>(*device, {2, 2}, {nan, infinity, -0.0, 0.1})},
        {"float", Tensor::from_values<float>(*device, {}, {1.5f})},
        {"brain", Tensor::from_values<float>(*device, {2, 1}, {1.0f, -3.0f}).to(DType::BF16)},
        {"half", Tensor::from_values<float>(*device, {1}, {0.25f}).to(DType::F16)},
        {"long", Tensor::from_values<int64_t>(*device, {1}, {-(int64_t{1} << 62)})},
        {"int", Tensor::from_values<int32_t>(*device, {0, 5}, {})},
    };
    write_safetensors(path, tensors, {{"k\"ey", "val\nue"}});
    const SafetensorsFile file(path);
    EXPECT_EQ(file.metadata().at("format"), "pt");
    EXPECT_EQ(file.metadata().at("k\"ey"), "val\nue");
    EXPECT_EQ(file.names(), (std::vector<std::string>{"long", "double", "float", "int", "brain",
                                                      "half", "byte"}));
    for (const auto& [name, expected] : tensors) {
        for (const Tensor& actual : {file.load(name, *device), file.view(name, *device)}) {
            EXPECT_EQ(actual.shape(), expected.shape()) << name;
            ASSERT_EQ(actual.dtype(), expected.dtype()) << name;
            std::vector<char> a(static_cast<size_t>(actual.bytes()));
            std::vector<char> b(a.size());
            actual.copy_to_host(a.data());
            expected.copy_to_host(b.data());
            EXPECT_EQ(a, b) << name;
        }
    }
}

TEST_F(SafetensorsFiles, ViewsOutliveTheReaderAndTheReplacedFile) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "a.safetensors";
    write_safetensors(path, {{"w", Tensor::full(*device, {1000}, DType::F32, 3.0)}});
    const Tensor view = SafetensorsFile(path).view("w", *device);
    write_safetensors(path, {{"w", Tensor::full(*device, {10}, DType::F32, 4.0)}});
    EXPECT_EQ(view.to_vector<float>(), std::vector<float>(1000, 3.0f));
    EXPECT_EQ(SafetensorsFile(path).load("w", *device).to_vector<float>(),
              std::vector<float>(10, 4.0f));
}

TEST_F(SafetensorsFiles, UnalignedDataIsCopied) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "a.safetensors";
    const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}} )";
    std::ofstream(path, std::ios::binary)
        << little_endian(header.size()) << header << "x" << std::string("\0\0\x80\x3f", 4);
    const Tensor view = SafetensorsFile(path).view("b", *device);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.raw()) % 4, 0U);
    EXPECT_EQ(view.item(), 1.0);
}

TEST_F(SafetensorsFiles, ErrorsNameTensorAndFile) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "a.safetensors";
    const Tensor one = Tensor::zeros(*device, {1}, DType::F32);
    write_safetensors(path, {{"weight", one}, {"bias", one}});
    const SafetensorsFile file(path);
    try {
        file.load("wieght", *device);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.what(), path.string() + ": no tensor wieght; the nearest name is weight");
    }
    EXPECT_THROW(write_safetensors(path, {{"a", one}, {"a", one}}), Error);
    EXPECT_THROW(write_safetensors(path, {{"a", Tensor()}}), Error);
    EXPECT_THROW(write_safetensors(path, {{"__metadata__", one}}), Error);
    EXPECT_THROW(write_safetensors(path, {{"a\nb", one}}), Error);
    EXPECT_EQ(SafetensorsFile(path).names().size(), 2U) << "a failed write touched the file";

    const fs::path other = directory.path() / "b.safetensors";
    std::ofstream(other, std::ios::binary)
        << file_bytes(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1);
    EXPECT_THROW(SafetensorsFile(other).load("a", *device), Error);
}

TEST_F(SafetensorsFiles, AFileThatShrankIsAnErrorForLoad) {
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "a.safetensors";
    write_safetensors(path, {{"w", Tensor::full(*device, {1000}, DType::F32, 3.0)}});
    const SafetensorsFile file(path);
    fs::resize_file(path, 1000);
    EXPECT_THROW(file.load("w", *device), Error);
}

TEST_F(SafetensorsFiles, WritesTheBytesOfTheReferenceLibrary) {
    const fs::path golden = fs::path(VILA_SOURCE_DIR) / "tests/goldens/safetensors_reference.bin";
    const SafetensorsFile file(golden);
    NamedTensors tensors;
    for (const std::string& name : file.names())
        tensors.emplace_back(name, file.load(name, *device));
    const TemporaryDirectory directory;
    const fs::path path = directory.path() / "a.safetensors";
    write_safetensors(path, tensors);
    EXPECT_EQ(read_file(path), read_file(golden));
}

}  // namespace
}  // namespace vila
