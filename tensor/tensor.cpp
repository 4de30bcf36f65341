#include "tensor/tensor.h"

#include <cstring>

#include "tensor/kernels.h"

namespace vila {

Storage::Storage(Device& device, int64_t bytes)
    : device_(device), data_(device.allocate(bytes)), bytes_(bytes) {}

Storage::Storage(Device& device, void* external, int64_t bytes, std::function<void()> release)
    : device_(device), data_(external), bytes_(bytes), release_(std::move(release)) {}

Storage::~Storage() {
    if (release_) {
        release_();
    } else {
        device_.release(data_, bytes_);
    }
}

Tensor Tensor::empty(Device& device, const Shape& shape, DType dtype) {
    for (const int64_t extent : shape)
        VILA_CHECK(extent >= 0, "tensor shape ", shape, ": extents must not be negative");
    Tensor tensor;
    tensor.storage_ =
        std::make_shared<Storage>(device, checked_mul(shape.numel(), dtype_size(dtype)));
    tensor.shape_ = shape;
    tensor.strides_ = shape.row_major_strides();
    tensor.dtype_ = dtype;
    return tensor;
}

Tensor Tensor::zeros(Device& device, const Shape& shape, DType dtype) {
    return full(device, shape, dtype, 0.0);
}

Tensor Tensor::full(Device& device, const Shape& shape, DType dtype, double value) {
    Tensor tensor = empty(device, shape, dtype);
    tensor.fill(value);
    return tensor;
}

Tensor Tensor::from_external(Device& device, void* data, const Shape& shape, DType dtype,
                             std::function<void()> release) {
    Tensor tensor;
    tensor.storage_ = std::make_shared<Storage>(
        device, data, checked_mul(shape.numel(), dtype_size(dtype)), std::move(release));
    tensor.shape_ = shape;
    tensor.strides_ = shape.row_major_strides();
    tensor.dtype_ = dtype;
    return tensor;
}

Device& Tensor::device() const {
    VILA_ASSERT(defined());
    return storage_->device();
}

bool Tensor::is_contiguous() const {
    int64_t stride = 1;
    for (int axis = rank() - 1; axis >= 0; --axis) {
        if (shape_[axis] != 1 && strides_[axis] != stride) return numel() == 0;
        stride *= shape_[axis];
    }
    return true;
}

void* Tensor::raw() const {
    VILA_ASSERT(defined());
    auto* const base = static_cast<char*>(storage_->data());
    // An empty storage has no address, but a view of it may have an offset.
    return base == nullptr ? nullptr : base + offset_ * dtype_size(dtype_);
}

void Tensor::copy_from_host(const void* source) const {
    VILA_CHECK(is_contiguous(), "copy_from_host needs a contiguous tensor");
    device().copy_from_host(raw(), source, bytes());
}

void Tensor::copy_to_host(void* destination) const {
    VILA_CHECK(is_contiguous(), "copy_to_host needs a contiguous tensor");
    device().copy_to_host(destination, raw(), bytes());
}

namespace {

template <typename Source, typename T>
void append_converted(const std::vector<char>& bytes, std::vector<T>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
        Source element;
        std::memcpy(&element, bytes.data() + i * sizeof(Source), sizeof(Source));
        if constexpr (std::is_class_v<Source>) {
            values[i] = static_cast<T>(static_cast<float>(element));
        } else {
            values[i] = static_cast<T>(element);
        }
    }
}

}  // namespace

template <typename T>
std::vector<T> Tensor::to_vector() const {
    const Tensor dense = contiguous();
    std::vector<char> bytes(static_cast<size_t>(dense.bytes()));
    dense.copy_to_host(bytes.data());
    std::vector<T> values(static_cast<size_t>(numel()));
    switch (dtype_) {
        case DType::F64:
            append_converted<double>(bytes, values);
            break;
        case DType::F32:
            append_converted<float>(bytes, values);
            break;
        case DType::BF16:
            append_converted<BFloat16>(bytes, values);
            break;
        case DType::F16:
            append_converted<Float16>(bytes, values);
            break;
        case DType::I64:
            append_converted<int64_t>(bytes, values);
            break;
        case DType::I32:
            append_converted<int32_t>(bytes, values);
            break;
        case DType::U8:
            append_converted<uint8_t>(bytes, values);
            break;
    }
    return values;
}
template std::vector<double> Tensor::to_vector() const;
template std::vector<float> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<int32_t> Tensor::to_vector() const;
template std::vector<uint8_t> Tensor::to_vector() const;

double Tensor::item() const {
    VILA_CHECK_EQ(numel(), int64_t{1}, "elements for item()");
    return to_vector<double>()[0];
}

Tensor Tensor::reshape(const Shape& shape) const {
    VILA_CHECK(is_contiguous(), "reshape needs a contiguous tensor; shape ", shape_, " strides ",
               strides_);
    Shape target = shape;
    int unknown = -1;
    int64_t known = 1;
    for (int axis = 0; axis < target.rank(); ++axis) {
        if (target[axis] == -1) {
            VILA_CHECK(unknown < 0, "reshape to ", shape, ": only one extent may be -1");
            unknown = axis;
        } else {
            known = checked_mul(known, target[axis]);
        }
    }
    if (unknown >= 0) {
        VILA_CHECK(known > 0 && numel() % known == 0, "reshape ", shape_, " to ", shape,
                   ": the extent -1 has no solution");
        target[unknown] = numel() / known;
    }
    VILA_CHECK_EQ(target.numel(), numel(), "reshape ", shape_, " to ", shape, ": elements");
    Tensor view = *this;
    view.shape_ = target;
    view.strides_ = target.row_major_strides();
    return view;
}

Tensor Tensor::slice(int axis, int64_t begin, int64_t end) const {
    VILA_CHECK(0 <= begin && begin <= end && end <= size(axis), "slice [", begin, ", ", end,
               ") of axis ", axis, " of shape ", shape_, " is out of range");
    Tensor view = *this;
    view.offset_ += begin * strides_[axis];
    view.shape_[axis] = end - begin;
    return view;
}

Tensor Tensor::transpose(int axis_a, int axis_b) const {
    Tensor view = *this;
    std::swap(view.shape_[axis_a], view.shape_[axis_b]);
    std::swap(view.strides_[axis_a], view.strides_[axis_b]);
    return view;
}

Tensor Tensor::joined(std::span<const Tensor> parts) {
    if (parts.empty()) return {};
    Tensor whole = parts[0];
    if (!whole.defined() || whole.rank() == 0 || !whole.is_contiguous()) return {};
    for (const Tensor& part : parts.subspan(1)) {
        if (!part.defined() || part.storage_ != whole.storage_ || part.dtype_ != whole.dtype_ ||
            part.rank() != whole.rank() || !part.is_contiguous() ||
            part.offset_ != whole.offset_ + whole.numel())
            return {};
        for (int axis = 1; axis < whole.rank(); ++axis)
            if (part.size(axis) != whole.size(axis)) return {};
        whole.shape_[0] += part.size(0);
    }
    return whole;
}

Tensor Tensor::contiguous() const {
    return is_contiguous() ? *this : clone();
}

Tensor Tensor::clone() const {
    Tensor copy = empty(device(), shape_, dtype_);
    copy.copy_from(*this);
    return copy;
}

Tensor Tensor::to(DType dtype) const {
    if (dtype == dtype_) return *this;
    Tensor converted = empty(device(), shape_, dtype);
    converted.copy_from(*this);
    return converted;
}

Tensor Tensor::to(Device& target) const {
    if (&target == &device()) return *this;
    const Tensor dense = contiguous();
    Tensor moved = empty(target, shape_, dtype_);
    if (target.kind() == DeviceKind::Cpu) {
        dense.copy_to_host(moved.raw());
    } else {
        VILA_CHECK(device().kind() == DeviceKind::Cpu,
                   "tensors move between GPUs through the host");
        moved.copy_from_host(dense.raw());
    }
    return moved;
}

void Tensor::copy_from(const Tensor& source) const {
    VILA_CHECK_EQ(source.shape(), shape_, "[copy] shape of the source");
    VILA_CHECK(&source.device() == &device(), "[copy] both tensors must be on ", device().name());
    call(device(), "copy", &Kernels::copy, {.x = source, .y = *this});
}

void Tensor::fill(double value) const {
    call(device(), "fill", &Kernels::fill, {.y = *this, .value = value});
}

}  // namespace vila
