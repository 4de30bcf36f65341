#include "tools/base/message_line.h"

#include "tensor/check.h"
#include "tensor/shortened.h"

namespace vila::tools {

std::string message_line(std::string_view text) {
    return shortened(one_line(text));
}

}  // namespace vila::tools
