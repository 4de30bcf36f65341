// Fuzz target: reads any bytes as the pickle of a PyTorch file. Without the archive around it, no
// checksum refuses the bytes first.

#include "tensor/torch_pickle.h"
#include "tests/fuzz/fuzz_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    vila::fuzz::expect_read_or_refused(
        "pickle: ", [&] { vila::read_tensor_pickle(vila::fuzz::text_of(data, size)); });
    return 0;
}
