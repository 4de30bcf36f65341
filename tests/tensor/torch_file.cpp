// PyTorch's weight files: one that torch.save wrote (tests/goldens/make_torch_goldens.py), and
// files made here byte by byte, each of which breaks one rule.

#include "tensor/torch_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"
#include "tests/support/temporary_directory.h"

namespace vila {
namespace {

namespace fs = std::filesystem;

std::string little_endian(uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> (8 * i)));
    return text;
}

uint32_t checksum(const std::string& bytes) {
    uint32_t value = ~0U;
    for (const char c : bytes) {
        value ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) * 0xedb88320U);
    }
    return ~value;
}

// A member of a zip archive, with mistakes in the directory or in the member's local header.
struct Member {
    std::string name = {}, bytes = {};
    uint32_t method = 0, flags = 0;
    std::string own_name = {};  // in the local header, if it differs
    int64_t shift = 0;          // added to the offset of the local header
    int64_t longer = 0;         // added to the sizes
    bool wide = false;          // sizes in a zip64 record
};

std::string extra_of(const Member& member, uint64_t header_at) {
    if (!member.wide) return "";
    const std::string size = little_endian(member.bytes.size(), 8);
    return little_endian(1, 2) + little_endian(24, 2) + size + size + little_endian(header_at, 8);
}

// Returns a zip archive of stored (uncompressed) members.
std::string archive(const std::vector<Member>& members) {
    std::string file, directory;
    for (const Member& member : members) {
        const uint64_t header_at = file.size() + static_cast<uint64_t>(member.shift);
        const std::string own_name = member.own_name.empty() ? member.name : member.own_name;
        const uint64_t size = member.bytes.size() + static_cast<uint64_t>(member.longer);
        file += "PK\3\4" + std::string(4, '\0') + little_endian(member.method, 2) +
                std::string(16, '\0') + little_endian(own_name.size(), 2) + little_endian(3, 2) +
                own_name + "xxx" + member.bytes;
        const std::string narrow = little_endian(member.wide ? 0xffffffffU : size, 4);
        const std::string extra = extra_of(member, header_at);
        directory += "PK\1\2" + std::string(4, '\0') + little_endian(member.flags, 2) +
                     little_endian(member.method, 2) + std::string(4, '\0') +
                     little_endian(checksum(member.bytes), 4) + narrow + narrow +
                     little_endian(member.name.size(), 2) + little_endian(extra.size(), 2) +
                     std::string(10, '\0') +
                     little_endian(member.wide ? 0xffffffffU : header_at, 4) + member.name + extra;
    }
    const std::string count = little_endian(members.size(), 2);
    return file + directory + "PK\5\6" + std::string(4, '\0') + count + count +
           little_endian(directory.size(), 4) + little_endian(file.size(), 4) +
           std::string(2, '\0');
}

// --- parts of pickles ---
std::string text(const std::string& value) {
    return "X" + little_endian(value.size(), 4) + value;
}
std::string number(int64_t value) {
    return "\x8a\x08" + little_endian(static_cast<uint64_t>(value), 8);
}
std::string global(const std::string& module, const std::string& name) {
    return "c" + module + "\n" + name + "\n";
}
std::string tuple(const std::vector<int64_t>& values) {
    std::string items = "(";
    for (const int64_t value : values) items += number(value);
    return items + "t";
}
std::string storage(int64_t numel, const std::string& kind = "FloatStorage",
                    const std::string& key = "0") {
    return "(" + text("storage") + global("torch", kind) + text(key) + text("cpu") + number(numel) +
           "tQ";
}
std::string tensor(int64_t storage_numel, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides) {
    return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage(storage_numel) +
           number(offset) + tuple(shape) + tuple(strides) + "\x89" +
           global("collections", "OrderedDict") + ")RtR";
}
std::string pickle(const std::string& body) {
    return "\x80\x02" + body + ".";
}
std::string dictionary(const std::string& items) {
    return pickle("}(" + items + "u");
}
std::string weights(const std::string& pickle_bytes, const std::string& storage_bytes) {
    return archive({{"m/data.pkl", pickle_bytes}, {"m/data/0", storage_bytes}});
}

class TorchFileTest : public ::testing::Test {
  protected:
    TorchFileTest() : device(make_cpu_device(1)) {}

    // Returns the error message for a file of these bytes, without the file's name; "" if it can be
    // read.
    std::string refusal(const std::string& bytes) {
        const fs::path path = directory.path() / "bad.bin";
        std::ofstream(path, std::ios::binary) << bytes;
        try {
            const TorchFile file(path);
            for (const std::string& name : file.names()) file.load(name, *device);
            return "";
        } catch (const Error& error) {
            const std::string message = error.what();
            EXPECT_EQ(message.find(path.string() + ": "), 0U) << message;
            EXPECT_EQ(message.find('\n'), std::string::npos) << message;
            return message.substr(path.string().size() + 2);
        }
    }
    std::string pickle_refusal(const std::string& pickle_bytes) {
        return refusal(weights(pickle_bytes, std::string(24, '\0')));
    }
    void expect_pickle_refused(const std::string& pickle_bytes, const std::string& part) {
        const std::string message = pickle_refusal(pickle_bytes);
        EXPECT_NE(message.find(part), std::string::npos)
            << "expected a message with: " << part << "\ngot: " << message;
    }
    void expect_refused(const std::string& bytes, const std::string& part) {
        const std::string message = refusal(bytes);
        EXPECT_NE(message.find(part), std::string::npos)
            << "expected a message with: " << part << "\ngot: " << message;
    }

    std::unique_ptr<CpuDevice> device;
    TemporaryDirectory directory;
};

fs::path golden_path() {
    return fs::path(VILA_SOURCE_DIR) / "tests" / "goldens" / "torch_weights.bin";
}

std::vector<double> count_to(int64_t n) {
    std::vector<double> values;
    for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<double>(i));
    return values;
}

TEST_F(TorchFileTest, ReadsWhatTorchWrites) {
    const TorchFile file(golden_path());
    EXPECT_EQ(file.names().size(), 14U);
    const auto check = [&](const std::string& name, const std::string& stored, const Shape& shape,
                           const std::vector<double>& values) {
        EXPECT_EQ(file.stored_dtype(name), stored) << name;
        EXPECT_EQ(file.shape(name), shape) << name;
        for (const Tensor& read : {file.load(name, *device), file.view(name, *device)}) {
            EXPECT_EQ(read.shape(), shape) << name;
            EXPECT_EQ(read.to_vector<double>(), values) << name;
        }
    };
    check("matrix", "F32", {2, 3}, count_to(6));
    check("transposed", "F32", {3, 2}, {0, 3, 1, 4, 2, 5});
    check("row", "F32", {3}, {3, 4, 5});
    check("middle", "F32", {2, 2, 2}, {4, 6, 8, 10, 16, 18, 20, 22});
    check("half", "F16", {5}, count_to(5));
    check("brain", "BF16", {5}, count_to(5));
    check("double", "F64", {3}, count_to(3));
    check("long", "I64", {3}, count_to(3));
    check("int", "I32", {3}, count_to(3));
    check("byte", "U8", {3}, count_to(3));
    check("scalar", "F32", {}, {7});
    check("empty", "F32", {0, 4}, {});
    check("parameter", "F32", {4}, count_to(4));
    EXPECT_EQ(file.stored_dtype("flags"), "BOOL");
    EXPECT_THROW(file.load("flags", *device), Error);
    try {
        file.load("matrx", *device);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.what(),
                  golden_path().string() + ": no tensor matrx; the nearest name is matrix");
    }
}

TEST_F(TorchFileTest, ViewsOutliveTheReader) {
    const fs::path path = directory.path() / "a.bin";
    fs::copy(golden_path(), path);
    const Tensor view = TorchFile(path).view("matrix", *device);
    fs::remove(path);
    EXPECT_EQ(view.to_vector<double>(), count_to(6));
}

TEST_F(TorchFileTest, ReadsFilesMadeHere) {
    const std::string one = tensor(6, 0, {2, 3}, {3, 1});
    EXPECT_EQ(pickle_refusal(dictionary(text("a") + one)), "");
    EXPECT_EQ(pickle_refusal(pickle("}" + text("a") + one + "s")), "");
    EXPECT_EQ(pickle_refusal(pickle("}")), "");
    // Sizes in a zip64 record.
    EXPECT_EQ(
        refusal(archive({{.name = "m/data.pkl", .bytes = dictionary(text("a") + one), .wide = true},
                         {.name = "m/data/0", .bytes = std::string(24, '\0'), .wide = true}})),
        "");
}

TEST_F(TorchFileTest, RefusesOtherFiles) {
    expect_refused("", "not a PyTorch weight file");
    expect_refused("hello, world", "not a PyTorch weight file");
    expect_refused("PK", "too short for a zip archive");
    expect_refused("PK" + std::string(100, 'x'), "does not end with an end record");
    expect_refused("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.", "from before version 1.6");
    expect_refused(archive({{"a", "b"}}), "no member is called data.pkl");
    expect_refused(archive({{"a/data.pkl", ""}, {"b/data.pkl", ""}}), "two members");
    expect_refused(archive({{"m/data.pkl", pickle("}")}, {"m/byteorder", "big"}}),
                   "not little-endian");
}

TEST_F(TorchFileTest, RefusesDamagedArchives) {
    const Member good = {"m/data.pkl", pickle("}")};
    ASSERT_EQ(refusal(archive({good})), "");
    const std::string bytes = archive({good});
    for (size_t size = 0; size < bytes.size(); ++size)
        EXPECT_NE(refusal(bytes.substr(0, size)), "") << size;
    expect_refused(bytes + "x", "does not end with an end record");
    const auto changed = [&](const auto& change) {
        Member member = good;
        change(member);
        return archive({member});
    };
    expect_refused(changed([](Member& m) { m.method = 8; }), "is compressed");
    expect_refused(changed([](Member& m) { m.flags = 1; }), "is encrypted");
    expect_refused(changed([](Member& m) { m.own_name = "m/data.pkk"; }), "has another name");
    expect_refused(changed([](Member& m) { m.shift = 1; }), "signature of member");
    expect_refused(changed([](Member& m) { m.shift = 100000; }), "outside the archive");
    expect_refused(changed([](Member& m) { m.longer = 1; }), "runs into the directory");
    expect_refused(changed([](Member& m) { m.longer = 0x7fffffff; }), "runs into the directory");
    expect_refused(changed([](Member& m) { m.longer = -1; }), "checksum is wrong");
    expect_refused(archive({good, {.name = "a", .shift = -4}}), "signature of member");
    expect_refused(archive({good, good}), "duplicate member");
    // The second member is inside the first one.
    const std::string inner =
        "PK\3\4" + std::string(22, '\0') + little_endian(1, 2) + little_endian(0, 2) + "a";
    expect_refused(archive({{.name = "m/data.pkl", .bytes = inner},
                            {.name = "a", .shift = -static_cast<int64_t>(inner.size())}}),
                   "overlaps another one");

    std::string flipped = bytes;
    flipped[bytes.find(pickle("}")) + 2] = ']';
    expect_refused(flipped, "\"m/data.pkl\" is damaged: its checksum is wrong");
    std::string commented = bytes;
    commented[bytes.size() - 2] = 1;
    expect_refused(commented, "bytes of comment");
    std::string parts = bytes;
    parts[bytes.size() - 18] = 1;
    expect_refused(parts, "several parts");
    std::string moved = bytes;
    ++moved[bytes.size() - 6];
    expect_refused(moved, "directory does not end where");
    std::string more = bytes;
    more[bytes.size() - 14] = more[bytes.size() - 12] = 2;
    expect_refused(more, "cut short");
}

// torch.save ends its archives with a zip64 record too.
TEST_F(TorchFileTest, RefusesDamagedZip64Records) {
    std::string good;
    {
        std::ifstream file(golden_path(), std::ios::binary);
        good.assign(std::istreambuf_iterator<char>(file), {});
    }
    const size_t record = good.size() - 22 - 20 - 56;
    ASSERT_EQ(good.substr(record, 4), "PK\6\6");
    const auto expect = [&](size_t at, const std::string& part) {
        std::string bytes = good;
        ++bytes[at];
        expect_refused(bytes, part);
    };
    expect(record, "signature of its zip64 record");
    expect(record + 4, "length of its zip64 record");
    expect(record + 16, "in several parts");
    expect(record + 24, "members of its zip64 record");
    expect(record + 40, "two end records disagree");
    expect(record + 48, "two end records disagree");
    expect(record + 56 + 8, "place of its zip64 record");
    std::string beyond = good;
    beyond[record + 56 + 15] = '\x7f';
    expect_refused(beyond, "a size of");
    expect(record + 56 + 16, "parts of the archive");
    // The old record may leave every field to the zip64 record, but must not contradict it.
    std::string deferring = good;
    for (size_t at = good.size() - 22 + 8; at < good.size() - 22 + 20; ++at) deferring[at] = '\xff';
    std::ofstream(directory.path() / "a.bin", std::ios::binary) << deferring;
    EXPECT_EQ(TorchFile(directory.path() / "a.bin").names().size(), 14U);
}

TEST_F(TorchFileTest, RefusesEveryOtherOperation) {
    // The operations that the interpreter knows. The error names any other.
    const std::string known = "\x80.(})t\x85\x86\x87suaeXUJKM\x8aGN\x88\x89qrhjcQRb]";
    for (int opcode = 0; opcode < 256; ++opcode) {
        const char c = static_cast<char>(opcode);
        if (known.find(c) != std::string::npos) continue;
        const std::string message = pickle_refusal(pickle(std::string("}") + c));
        EXPECT_NE(message.find("is none of those that describe tensors"), std::string::npos)
            << opcode << ": " << message;
    }
    // The error gives the number of the operation (here STACK_GLOBAL) and its place.
    expect_pickle_refused(pickle("\x93"),
                          "operation 0x93 is none of those that describe tensors, at byte 2");
}

TEST_F(TorchFileTest, RefusesEveryOtherGlobal) {
    for (const auto& [module, name] : std::vector<std::pair<std::string, std::string>>{
             {"os", "system"},
             {"builtins", "eval"},
             {"posix", "system"},
             {"torch", "load"},
             {"torch._utils", "_rebuild_sparse_tensor"},
             {"torch.storage", "_load_from_bytes"},
             {"collections", "OrderedDict.__init__"},
             {"torch.storage", "OrderedDict"}})
        expect_pickle_refused(pickle(global(module, name) + ")R"),
                              "global \"" + module + "\" \"" + name + "\" is none of those");
    // Known names where they are not permitted.
    expect_pickle_refused(pickle(global("torch", "FloatStorage") + ")R"), "it calls FloatStorage");
    expect_pickle_refused(pickle(global("torch", "float32") + ")R"), "it calls float32");
    expect_pickle_refused(pickle(text("x") + ")R"), "it calls text");
    expect_pickle_refused(pickle("c"
                                 "os\nsystem"),
                          "unterminated name");
    expect_pickle_refused(pickle(global("collections", "OrderedDict") + number(1) + "\x85R"),
                          "an OrderedDict made of arguments");
    // A long name is shown in part.
    EXPECT_LT(pickle_refusal(pickle(global(std::string(5000, 'm'), "n"))).size(), 200U);
}

TEST_F(TorchFileTest, RefusesPicklesThatAreNotStateDictionaries) {
    expect_pickle_refused("", "cut short");
    expect_pickle_refused("\x80\x03}.", "protocol 3");
    expect_pickle_refused("}\x80\x02.", "protocol 2: expected 2 at the start, at byte 1");
    expect_pickle_refused(pickle("}") + "x", "bytes follow its end");
    expect_pickle_refused(pickle(""), "does not end with one value");
    expect_pickle_refused(pickle("}}"), "does not end with one value");
    expect_pickle_refused(pickle("(}"), "does not end with one value");
    expect_pickle_refused(pickle("]"), "it holds a list: expected a dictionary");
    expect_pickle_refused(pickle(tensor(6, 0, {1}, {1})), "it holds a tensor");
    expect_pickle_refused(dictionary(text("epoch") + number(3)),
                          "entry \"epoch\" is an integer: expected a tensor");
    expect_pickle_refused(dictionary(text("model") + "}"), "entry \"model\" is a dictionary");
    expect_pickle_refused(dictionary(number(1) + tensor(6, 0, {1}, {1})), "key of the dictionary");
    const std::string entry = text("a") + tensor(6, 0, {1}, {1});
    expect_pickle_refused(dictionary(entry + entry), "duplicate tensor \"a\"");
    expect_pickle_refused(dictionary(text("a\nb") + tensor(6, 0, {1}, {1})), "control character");
    expect_pickle_refused(dictionary(text("\xff") + tensor(6, 0, {1}, {1})), "invalid UTF-8");
    expect_pickle_refused(dictionary(text("a")), "a key without a value");
    expect_pickle_refused(pickle("Nb"), "takes a value where there is none");
    expect_pickle_refused(pickle("}Nb"), "attributes of a plain dictionary");
    expect_pickle_refused(pickle("]" + text("a") + text("b") + "s"), "it adds to a list");
    expect_pickle_refused(pickle("t"), "a mark where there is none");
    expect_pickle_refused(pickle("}(0"), "operation 0x30");
    expect_pickle_refused(pickle("}(a"), "takes a value where there is none");
    expect_pickle_refused(pickle("h\x07"), "recalls value 7");
    expect_pickle_refused(pickle("X\xff\xff\xff\xff"), "cut short");
    expect_pickle_refused(pickle("\x8a\x09" + std::string(9, '\1')), "an integer of 9 bytes");
    // A short file must not make many values.
    expect_pickle_refused(pickle(std::string(2'000'001, 'N')), "more than 2000000 values");
}

TEST_F(TorchFileTest, RefusesTensorsOutsideTheirStorage) {
    const auto expect = [&](const std::string& built, const std::string& part) {
        expect_pickle_refused(dictionary(text("w") + built), part);
    };
    expect(tensor(6, 1, {2, 3}, {3, 1}), "tensor w: shape (2, 3) with strides (3, 1) runs out");
    expect(tensor(6, 0, {2, 3}, {4, 1}), "runs out of its storage of 6");
    expect(tensor(6, 0, {7}, {1}), "runs out");
    expect(tensor(6, 0, {7}, {0}), "repeats elements");
    expect(tensor(6, 7, {0}, {1}), "offset 7 in a storage of 6");
    expect(tensor(6, -1, {1}, {1}), "offset -1");
    expect(tensor(6, 0, {-1}, {1}), "holds the negative number -1");
    expect(tensor(6, 5, {2}, {-1}), "holds the negative number -1");
    expect(tensor(6, 0, {2, 3}, {1}), "strides: expected 2, got 1");
    expect(tensor(6, 0, {int64_t{1} << 40, int64_t{1} << 40}, {0, 0}), "overflows 64 bits");
    expect(tensor(6, 0, {2}, {INT64_MAX}), "runs out");
    expect(tensor(6, 1, {2}, {INT64_MAX}), "overflows 64 bits");
    expect(tensor(6, 0, std::vector<int64_t>(9, 1), std::vector<int64_t>(9, 1)),
           "more than 8 axes");
    // Storages that are missing or have a different size.
    expect(tensor(5, 0, {1}, {1}), "storage \"0\" of 5 elements of F32 has 24 bytes");
    expect(tensor(int64_t{1} << 62, 0, {1}, {1}), "has 24 bytes");
    expect(tensor(-1, 0, {1}, {1}), "a storage of -1 elements");
    const std::string rebuild = global("torch._utils", "_rebuild_tensor_v2");
    const std::string rest = number(0) + tuple({1}) + tuple({1}) + "\x89NtR";
    expect(rebuild + "(" + storage(6, "FloatStorage", "../0") + rest,
           "the archive has no storage \"../0\"");
    expect(rebuild + "(" + storage(6, "UntypedStorage") + rest, "global \"torch\"");
    expect(rebuild + "(" + number(1) + rest, "storage of a tensor: expected a storage");
    expect(rebuild + ")R", "a tensor of 0 arguments");
    expect(global("torch._utils", "_rebuild_parameter") + "(" + number(1) + "\x89NtR",
           "parameter: expected a tensor");
    expect(rebuild + "(" + text("storage") + "Q" + rest, "described by a tuple of five");
}

// Whatever bytes change, a file is refused with one line, or still describes the same tensors.
TEST_F(TorchFileTest, RandomDamageIsRefusedOrHarmless) {
    std::string good;
    {
        std::ifstream file(golden_path(), std::ios::binary);
        good.assign(std::istreambuf_iterator<char>(file), {});
    }
    const TorchFile original(golden_path());
    const fs::path path = directory.path() / "bad.bin";
    const uint64_t key = random_key(1, "damage");
    int refused = 0;
    constexpr int kCases = 1000;
    for (uint64_t i = 0; i < kCases; ++i) {
        std::string bytes = good;
        const auto random = [&](uint64_t n, uint64_t below) {
            return static_cast<size_t>(random_uniform(key, 8 * i + n) * static_cast<double>(below));
        };
        for (uint64_t change = 0; change <= random(0, 3); ++change)
            bytes[random(2 * change + 1, bytes.size())] =
                static_cast<char>(random(2 * change + 2, 256));
        if (random(7, 8) == 0) bytes.resize(random(6, bytes.size()));
        std::ofstream(path, std::ios::binary) << bytes;
        try {
            const TorchFile file(path);
            ASSERT_EQ(file.names(), original.names()) << i;
            for (const std::string& name : file.names()) {
                ASSERT_EQ(file.shape(name), original.shape(name)) << i;
                ASSERT_EQ(file.stored_dtype(name), original.stored_dtype(name)) << i;
            }
        } catch (const Error& error) {
            ++refused;
            ASSERT_EQ(std::string(error.what()).find('\n'), std::string::npos);
        }
    }
    EXPECT_GT(refused, kCases / 4);
    EXPECT_LT(refused, kCases) << "some changes lie in the data or in padding";
}

}  // namespace
}  // namespace vila
