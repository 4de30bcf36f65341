// Fuzz target: reads any bytes as a PyTorch file, a zip archive with a pickle. They are refused
// with one line, or every tensor can be read.

#include "tensor/torch_file.h"

#include "tensor/cpu/cpu_device.h"
#include "tests/fuzz/fuzz_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace vila;
    const fuzz::MemoryFile file(fuzz::text_of(data, size));
    fuzz::expect_read_or_refused(file.path().string(), [&] {
        const TorchFile opened(file.path());
        const auto device = make_cpu_device(1);
        for (const std::string& name : opened.names()) {
            // Strides of zero repeat elements: a small file may describe a large tensor.
            if (opened.shape(name).numel() > (int64_t{1} << 20)) continue;
            opened.load(name, *device);
            opened.view(name, *device);
        }
    });
    return 0;
}
