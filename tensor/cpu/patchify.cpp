// Cuts images into patches, one row per patch, so that the convolution of a patch embedding becomes
// one matrix product.

#include <algorithm>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

void patchify(const PatchifyArgs& args) {
    const Tensor& pixels = args.pixels;
    const int64_t channels = pixels.size(1), height = pixels.size(2), width = pixels.size(3);
    const int64_t P = args.patch, rows = height / P, columns = width / P;
    for_float("patchify", pixels.dtype(), [&](auto element) {
        using T = decltype(element);
        const T* image = pixels.data<T>();
        T* patches = args.patches.data<T>();
        // One item is one row of patches of one image.
        const int64_t items = pixels.size(0) * rows;
        parallel_for(
            cpu(pixels), items, columns * channels * P * P, [&](int64_t begin, int64_t end) {
                for (int64_t item = begin; item < end; ++item) {
                    const int64_t b = item / rows, row = item % rows;
                    T* out = patches + item * columns * channels * P * P;
                    for (int64_t column = 0; column < columns; ++column)
                        for (int64_t c = 0; c < channels; ++c)
                            for (int64_t y = 0; y < P; ++y, out += P)
                                std::copy_n(
                                    image + ((b * channels + c) * height + row * P + y) * width +
                                        column * P,
                                    P, out);
                }
            });
    });
}

}  // namespace vila::cpu_kernels
