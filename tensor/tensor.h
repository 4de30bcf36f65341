#pragma once

// Tensor: a typed, strided view of reference-counted memory on a Device. Copying a Tensor copies
// the view, never the elements. Shapes list the outermost axis first; strides count elements.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "tensor/check.h"
#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace vila {

// A block of bytes on a device, freed when the last view is destroyed. Memory that something else
// allocated (`external`: a mapped file, an array) is freed by calling `release`.
class Storage {
  public:
    Storage(Device& device, int64_t bytes);
    Storage(Device& device, void* external, int64_t bytes, std::function<void()> release);
    ~Storage();
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    Device& device() const { return device_; }
    void* data() const { return data_; }
    int64_t bytes() const { return bytes_; }

  private:
    Device& device_;
    void* data_;
    int64_t bytes_;
    std::function<void()> release_;
};

class Tensor {
  public:
    // An undefined tensor: it has no storage, and only assignment and defined() are allowed.
    Tensor() = default;

    // --- construction ---
    static Tensor empty(Device& device, const Shape& shape, DType dtype);
    static Tensor zeros(Device& device, const Shape& shape, DType dtype);
    static Tensor full(Device& device, const Shape& shape, DType dtype, double value);
    // Copies values from host memory; values.size() must equal shape.numel().
    template <typename T>
    static Tensor from_values(Device& device, const Shape& shape, const std::vector<T>& values) {
        Tensor tensor = empty(device, shape, dtype_of<T>);
        VILA_CHECK_EQ(static_cast<int64_t>(values.size()), shape.numel(), "values for shape ",
                      shape);
        tensor.copy_from_host(values.data());
        return tensor;
    }
    // A view of memory that something else owns. `release` is called when the last view is
    // destroyed.
    static Tensor from_external(Device& device, void* data, const Shape& shape, DType dtype,
                                std::function<void()> release);

    // --- properties ---
    bool defined() const { return storage_ != nullptr; }
    const Shape& shape() const { return shape_; }
    const Shape& strides() const { return strides_; }
    int rank() const { return shape_.rank(); }
    int64_t size(int axis) const { return shape_[axis]; }
    int64_t numel() const { return shape_.numel(); }
    int64_t bytes() const { return numel() * dtype_size(dtype_); }
    DType dtype() const { return dtype_; }
    Device& device() const;
    bool is_contiguous() const;
    // The number of views that share this memory.
    int64_t use_count() const { return storage_.use_count(); }

    // --- elements ---
    // The address of the first element, in the memory of the device.
    void* raw() const;
    // The same address as a T*. Throws when T is not the element type.
    template <typename T>
    T* data() const {
        VILA_CHECK_EQ(dtype_, dtype_of<T>, "element type of a tensor of shape ", shape_);
        return static_cast<T*>(raw());
    }
    // Contiguous tensors only.
    void copy_from_host(const void* source) const;
    void copy_to_host(void* destination) const;
    // The elements in row-major order, converted to T, which is any floating or integer type.
    template <typename T>
    std::vector<T> to_vector() const;
    // The only element of a one-element tensor.
    double item() const;

    // --- views: same memory ---
    // Contiguous tensors only. One extent may be -1: it is computed from the others.
    Tensor reshape(const Shape& shape) const;
    Tensor slice(int axis, int64_t begin, int64_t end) const;
    Tensor transpose(int axis_a, int axis_b) const;
    // One tensor of all rows of `parts`, contiguous tensors that lie one after the other in the
    // same storage and agree in dtype and in all extents but the first. Undefined if they do not.
    static Tensor joined(std::span<const Tensor> parts);

    // --- copies ---
    // This tensor if it is contiguous, else a contiguous copy.
    Tensor contiguous() const;
    Tensor clone() const;
    // This tensor if it has that element type, else a converted copy. Rounds to nearest even.
    Tensor to(DType dtype) const;
    Tensor to(Device& device) const;
    // Overwrites the elements with those of `source` (same shape; any dtype, converted), or with a
    // constant.
    void copy_from(const Tensor& source) const;
    void fill(double value) const;

  private:
    std::shared_ptr<Storage> storage_;
    int64_t offset_ = 0;  // elements from the start of the storage
    Shape shape_;
    Shape strides_;
    DType dtype_ = DType::F32;
};

}  // namespace vila
