#include "tensor/torch_file.h"

#include <cstring>

#include "tensor/nearest_name.h"
#include "tensor/safetensors_header.h"

namespace vila {

namespace {

constexpr int64_t kMaxPickleBytes = int64_t{16} << 20;
constexpr int64_t kMaxNoteBytes = 64;  // of members that hold a word
constexpr std::string_view kPickleMember = "/data.pkl";

void check_is_archive(const RandomAccessFile& file) {
    char magic[2] = {};
    if (file.size() >= 2) file.read_at(0, magic, 2);
    const std::string where = file.path().string() + ": ";
    VILA_CHECK(magic[0] != '\x80', where,
               "a PyTorch file from before version 1.6, which is not read; load it with a newer "
               "PyTorch and save it again");
    VILA_CHECK(magic[0] == 'P' && magic[1] == 'K', where, "not a PyTorch weight file");
}

// The one directory of the archive, with its slash.
std::string top_directory(const ZipFile& zip, const std::string& where) {
    std::string top;
    for (const ZipMember& member : zip.members()) {
        const size_t slash = member.name.find('/');
        if (slash == std::string::npos || member.name.substr(slash) != kPickleMember) continue;
        VILA_CHECK(top.empty(), where, "two members are called data.pkl");
        top = member.name.substr(0, slash + 1);
    }
    VILA_CHECK(!top.empty(), where, "no member is called data.pkl: not a PyTorch weight file");
    return top;
}

// Copies elements of `size` bytes, walked in row-major order of the shape, to `out`.
void gather(const unsigned char* storage, const PickledTensor& tensor, int64_t size,
            unsigned char* out) {
    const int rank = tensor.shape.rank();
    Shape index;
    for (int axis = 0; axis < rank; ++axis) index.push_back(0);
    int64_t element = tensor.offset;
    const int64_t count = tensor.shape.numel();
    for (int64_t i = 0; i < count; ++i) {
        std::memcpy(out + i * size, storage + element * size, static_cast<size_t>(size));
        for (int axis = rank - 1; axis >= 0; --axis) {
            element += tensor.strides[axis];
            if (++index[axis] < tensor.shape[axis]) break;
            element -= index[axis] * tensor.strides[axis];
            index[axis] = 0;
        }
    }
}

// Whether the elements are contiguous; an axis of one element may have any stride.
bool is_row_major(const PickledTensor& tensor) {
    int64_t stride = 1;
    for (int axis = tensor.shape.rank() - 1; axis >= 0; --axis) {
        if (tensor.shape[axis] != 1 && tensor.strides[axis] != stride) return false;
        stride *= tensor.shape[axis];
    }
    return true;
}

}  // namespace

TorchFile::TorchFile(const std::filesystem::path& path)
    : file_(std::make_shared<RandomAccessFile>(path)) {
    const std::string where = path.string() + ": ";
    check_is_archive(*file_);
    zip_ = std::make_unique<ZipFile>(file_);
    top_ = top_directory(*zip_, where);
    if (const ZipMember* order = zip_->find(top_ + "byteorder"))
        VILA_CHECK(zip_->read(*order, kMaxNoteBytes) == "little", where,
                   "its numbers are not little-endian");
    const std::string pickle = zip_->read(*zip_->find(top_ + "data.pkl"), kMaxPickleBytes);
    try {
        for (PickledTensor& tensor : read_tensor_pickle(pickle)) {
            storage_begin(tensor);
            names_.push_back(tensor.name);
            tensors_.emplace(tensor.name, std::move(tensor));
        }
    } catch (const Error& error) {
        throw Error(where + error.what());
    }
}

const PickledTensor& TorchFile::at(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found != tensors_.end()) return found->second;
    throw Error(str(path().string(), ": no tensor ", name, "; the nearest name is ",
                    nearest_name(name, names_)));
}

int64_t TorchFile::storage_begin(const PickledTensor& tensor) const {
    const ZipMember* member = zip_->find(top_ + "data/" + tensor.storage);
    VILA_CHECK(member != nullptr, "tensor ", tensor.name, ": the archive has no storage ",
               json_quoted(tensor.storage));
    const int64_t size = safetensors_dtype_bits(tensor.dtype) / 8;
    VILA_CHECK(member->size % size == 0 && member->size / size == tensor.storage_numel, "tensor ",
               tensor.name, ": storage ", json_quoted(tensor.storage), " of ", tensor.storage_numel,
               " elements of ", tensor.dtype, " has ", member->size, " bytes");
    return member->begin;
}

Tensor TorchFile::load(const std::string& name, Device& device) const {
    const PickledTensor& tensor = at(name);
    const DType dtype = dtype_of_stored(tensor.dtype, path(), name);
    const int64_t size = dtype_size(dtype);
    const int64_t begin = storage_begin(tensor);
    std::vector<unsigned char> bytes(static_cast<size_t>(tensor.shape.numel() * size));
    if (is_row_major(tensor)) {
        file_->read_at(begin + tensor.offset * size, bytes.data(),
                       static_cast<int64_t>(bytes.size()));
    } else if (!bytes.empty()) {
        std::vector<unsigned char> storage(static_cast<size_t>(tensor.storage_numel * size));
        file_->read_at(begin, storage.data(), static_cast<int64_t>(storage.size()));
        gather(storage.data(), tensor, size, bytes.data());
    }
    const Tensor result = Tensor::empty(device, tensor.shape, dtype);
    if (!bytes.empty()) result.copy_from_host(bytes.data());
    return result;
}

Tensor TorchFile::view(const std::string& name, Device& cpu) const {
    const PickledTensor& tensor = at(name);
    const DType dtype = dtype_of_stored(tensor.dtype, path(), name);
    const int64_t offset = storage_begin(tensor) + tensor.offset * dtype_size(dtype);
    if (!is_row_major(tensor) || offset % dtype_size(dtype) != 0 || tensor.shape.numel() == 0)
        return load(name, cpu);
    // Only the type system allows writes to this tensor: the mapping itself is read-only.
    void* data = const_cast<unsigned char*>(file_->map() + offset);
    return Tensor::from_external(cpu, data, tensor.shape, dtype, [keep = file_] {});
}

}  // namespace vila
