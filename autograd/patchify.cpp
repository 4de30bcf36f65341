// Cuts images into patches.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Tensor patchify(const Tensor& pixels, int64_t patch) {
    check_float("patchify", "pixels", pixels, 4);
    const ActivityScope scope(pixels.device(), {"", "patchify"});
    VILA_CHECK_EQ(pixels.size(1), int64_t{3}, "[patchify] channels");
    VILA_CHECK(patch > 0 && pixels.size(2) >= patch && pixels.size(3) >= patch,
               "[patchify] pixels have shape ", pixels.shape(), ": expected at least one patch of ",
               patch, " x ", patch);
    const int64_t per_image = (pixels.size(2) / patch) * (pixels.size(3) / patch);  // N
    const Tensor patches = Tensor::empty(  // (B * N, 3 * P * P)
        pixels.device(), {pixels.size(0) * per_image, 3 * patch * patch}, pixels.dtype());
    call(pixels.device(), "patchify", &Kernels::patchify,
         {.pixels = pixels.contiguous(), .patch = patch, .patches = patches});
    return patches;
}

}  // namespace vila::autograd
