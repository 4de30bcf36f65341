// Fuzz target: reads any bytes as a safetensors file. They are refused with one line, or every
// tensor can be read.

#include "tensor/safetensors.h"

#include "tensor/cpu/cpu_device.h"
#include "tests/fuzz/fuzz_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace vila;
    const fuzz::MemoryFile file(fuzz::text_of(data, size));
    fuzz::expect_read_or_refused(file.path().string(), [&] {
        const SafetensorsFile opened(file.path());
        const auto device = make_cpu_device(1);
        int64_t bytes = 0;
        for (const std::string& name : opened.names()) {
            const TensorInfo& info = opened.info(name);
            bytes += info.end - info.begin;
            const std::string& type = opened.stored_dtype(name);
            if (type == "F32" || type == "BF16" || type == "F16" || type == "U8") {
                if (opened.load(name, *device).bytes() != info.end - info.begin) std::abort();
                opened.view(name, *device).to_vector<double>();
            }
        }
        if (bytes > static_cast<int64_t>(size)) std::abort();
    });
    return 0;
}
