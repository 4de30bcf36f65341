// Fuzz target: reads any bytes as the Jinja source of a chat template and renders it. The source is
// refused with one line, or it prints no more than it may.

#include <cstdlib>
#include <string>

#include "data/text/jinja/template.h"
#include "tensor/check.h"
#include "tensor/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const vila::Json values = {{"messages",
                                       {{{"role", "user"}, {"content", "Hi"}},
                                        {{"role", "assistant"}, {"content", {1, 2.5, nullptr}}}}},
                                      {"bos_token", "<s>"},
                                      {"add_generation_prompt", true}};
    const vila::data::jinja::Limits limits{.steps = 20000, .bytes = 1 << 20, .output = 1 << 16};
    try {
        const vila::data::jinja::Template chat({reinterpret_cast<const char*>(data), size}, "T");
        if (chat.render(values, limits).size() > (1 << 16)) std::abort();
    } catch (const vila::Error& error) {
        if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
    }
    return 0;
}
