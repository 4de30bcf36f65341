// Cuts images into patches, one row per patch. One thread per element of the patches.

#include "cuda/elements.h"
#include "cuda/kernels.h"

namespace vila::cuda {

namespace {

template <typename T>
struct Patchify {
    const T* pixels;  // (B, channels, height, width)
    T* patches;       // (B, rows, columns, channels, P, P)
    int64_t channels, height, width, P, rows, columns;

    __device__ void operator()(int64_t i) const {
        int64_t rest = i;
        const auto next = [&rest](int64_t extent) {
            const int64_t index = rest % extent;
            rest /= extent;
            return index;
        };
        const int64_t x = next(P), y = next(P), c = next(channels);
        const int64_t column = next(columns), row = next(rows), b = rest;
        patches[i] = pixels[((b * channels + c) * height + row * P + y) * width + column * P + x];
    }
};

}  // namespace

void patchify(const PatchifyArgs& args) {
    const Tensor& pixels = args.pixels;
    for_float("patchify", pixels.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t height = pixels.size(2), width = pixels.size(3);
        for_elements(device_of(pixels), args.patches.numel(),
                     Patchify<T>{pixels.data<T>(), args.patches.data<T>(), pixels.size(1), height,
                                 width, args.patch, height / args.patch, width / args.patch});
    });
}

}  // namespace vila::cuda
