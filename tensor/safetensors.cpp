#include "tensor/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "tensor/nearest_name.h"

namespace vila {

namespace {

struct DTypeName {
    DType dtype;
    std::string_view name;
};
// Narrowest first, in the order by which the reference writer sorts (it writes widest first).
constexpr DTypeName kDTypeNames[] = {
    {DType::U8, "U8"},   {DType::F16, "F16"}, {DType::BF16, "BF16"}, {DType::I32, "I32"},
    {DType::F32, "F32"}, {DType::F64, "F64"}, {DType::I64, "I64"},
};

int writing_order(DType dtype) {
    for (int i = 0; i < static_cast<int>(std::size(kDTypeNames)); ++i)
        if (kDTypeNames[i].dtype == dtype) return i;
    return -1;
}

// Moves device memory to files (and back) through host memory of at most this many bytes.
constexpr int64_t kTransferBytes = int64_t{16} << 20;

uint64_t little_endian_u64(const unsigned char* bytes) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; --i) value = value << 8 | bytes[i];
    return value;
}

void load_bytes(const RandomAccessFile& file, int64_t offset, const Tensor& tensor) {
    if (tensor.device().kind() == DeviceKind::Cpu) {
        file.read_at(offset, tensor.raw(), tensor.bytes());
        return;
    }
    std::vector<char> buffer(static_cast<size_t>(std::min(kTransferBytes, tensor.bytes())));
    for (int64_t done = 0; done < tensor.bytes(); done += kTransferBytes) {
        const int64_t part = std::min(kTransferBytes, tensor.bytes() - done);
        file.read_at(offset + done, buffer.data(), part);
        tensor.device().copy_from_host(static_cast<char*>(tensor.raw()) + done, buffer.data(),
                                       part);
    }
}

void write_bytes(AtomicFile& file, const Tensor& tensor) {
    const Tensor dense = tensor.contiguous();
    if (dense.device().kind() == DeviceKind::Cpu) {
        file.write(dense.raw(), dense.bytes());
        return;
    }
    std::vector<char> buffer(static_cast<size_t>(std::min(kTransferBytes, dense.bytes())));
    for (int64_t done = 0; done < dense.bytes(); done += kTransferBytes) {
        const int64_t part = std::min(kTransferBytes, dense.bytes() - done);
        dense.device().copy_to_host(buffer.data(), static_cast<char*>(dense.raw()) + done, part);
        file.write(buffer.data(), part);
    }
}

int64_t bytes_of(const PendingTensor& tensor) {
    return checked_mul(tensor.shape.numel(), dtype_size(tensor.dtype));
}

std::string header_json(const std::vector<PendingTensor>& sorted,
                        const std::map<std::string, std::string>& metadata) {
    std::string json = "{\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
        if (json.back() != '{') json += ',';
        json += json_quoted(key) + ":" + json_quoted(value);
    }
    json += '}';
    int64_t offset = 0;
    for (const PendingTensor& tensor : sorted) {
        std::string shape;
        for (const int64_t extent : tensor.shape) shape += str(shape.empty() ? "" : ",", extent);
        const int64_t end = offset + bytes_of(tensor);
        json += str(",", json_quoted(tensor.name), ":{\"dtype\":\"",
                    kDTypeNames[writing_order(tensor.dtype)].name, "\",\"shape\":[", shape,
                    "],\"data_offsets\":[", offset, ",", end, "]}");
        offset = end;
    }
    json += '}';
    json.resize((json.size() + 7) / 8 * 8, ' ');
    return json;
}

}  // namespace

DType dtype_of_stored(const std::string& stored, const std::filesystem::path& path,
                      const std::string& tensor) {
    for (const DTypeName& known : kDTypeNames)
        if (known.name == stored) return known.dtype;
    throw Error(str(path.string(), ": tensor ", tensor, ": dtype ", stored, " is not supported"));
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(std::make_shared<RandomAccessFile>(path)) {
    const std::string where = path.string() + ": ";
    VILA_CHECK(file_->size() >= 8, where, "a safetensors file has at least 8 bytes, this one has ",
               file_->size());
    unsigned char prefix[8];
    file_->read_at(0, prefix, 8);
    const uint64_t header_bytes = little_endian_u64(prefix);
    VILA_CHECK(header_bytes <= static_cast<uint64_t>(kMaxSafetensorsHeader), where,
               "not a safetensors file: its first 8 bytes announce a header of ", header_bytes,
               " bytes, the limit is ", kMaxSafetensorsHeader);
    data_begin_ = 8 + static_cast<int64_t>(header_bytes);
    VILA_CHECK(data_begin_ <= file_->size(), where, "the header of ", header_bytes,
               " bytes does not fit in the file of ", file_->size(), " bytes");
    std::string json(header_bytes, '\0');
    file_->read_at(8, json.data(), static_cast<int64_t>(header_bytes));
    try {
        header_ = SafetensorsHeader::parse(json, file_->size() - data_begin_);
    } catch (const Error& error) {
        throw Error(where + error.what());
    }
}

const TensorInfo& SafetensorsFile::info(const std::string& name) const {
    const auto found = header_.tensors.find(name);
    if (found != header_.tensors.end()) return found->second;
    throw Error(str(path().string(), ": no tensor ", name, "; the nearest name is ",
                    nearest_name(name, header_.names)));
}

Tensor SafetensorsFile::load(const std::string& name, Device& device) const {
    const TensorInfo& found = info(name);
    const DType dtype = dtype_of_stored(found.dtype, path(), name);
    const Tensor tensor = Tensor::empty(device, found.shape, dtype);
    load_bytes(*file_, data_begin_ + found.begin, tensor);
    return tensor;
}

Tensor SafetensorsFile::view(const std::string& name, Device& cpu) const {
    const TensorInfo& found = info(name);
    const DType dtype = dtype_of_stored(found.dtype, path(), name);
    const int64_t offset = data_begin_ + found.begin;
    if (offset % dtype_size(dtype) != 0 || found.end == found.begin) return load(name, cpu);
    // Only the type system allows writes to this tensor: the mapping itself is read-only.
    void* data = const_cast<unsigned char*>(file_->map() + offset);
    return Tensor::from_external(cpu, data, found.shape, dtype, [keep = file_] {});
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       std::map<std::string, std::string> metadata) {
    std::vector<PendingTensor> pending;
    for (const auto& [name, tensor] : tensors) {
        VILA_CHECK(tensor.defined(), path.string(), ": tensor ", name, " is undefined");
        pending.push_back(
            {name, tensor.dtype(), tensor.shape(), [&tensor = tensor] { return tensor; }});
    }
    write_safetensors(path, std::move(pending), std::move(metadata));
}

void write_safetensors(const std::filesystem::path& path, std::vector<PendingTensor> tensors,
                       std::map<std::string, std::string> metadata) {
    metadata.emplace("format", "pt");
    std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
        const int order_a = writing_order(a.dtype);
        const int order_b = writing_order(b.dtype);
        return order_a != order_b ? order_a > order_b : a.name < b.name;
    });
    int64_t data_bytes = 0;
    std::set<std::string> names;
    for (const PendingTensor& tensor : tensors) {
        VILA_CHECK(tensor.name != "__metadata__", path.string(), ": a tensor cannot be called ",
                   tensor.name);
        VILA_CHECK(names.insert(tensor.name).second, path.string(), ": duplicate tensor ",
                   tensor.name);
        data_bytes += bytes_of(tensor);
    }
    const std::string json = header_json(tensors, metadata);
    // Refuses to write a file that the reader would refuse.
    SafetensorsHeader::parse(json, data_bytes);

    AtomicFile file(path);
    unsigned char prefix[8];
    for (int i = 0; i < 8; ++i)
        prefix[i] = static_cast<unsigned char>(static_cast<uint64_t>(json.size()) >> (8 * i));
    file.write(prefix, 8);
    file.write(json.data(), static_cast<int64_t>(json.size()));
    for (const PendingTensor& tensor : tensors) {
        const Tensor made = tensor.make();
        VILA_ASSERT(made.dtype() == tensor.dtype && made.shape() == tensor.shape);
        write_bytes(file, made);
    }
    file.commit();
}

}  // namespace vila
