// The headers that most files of the folders below models/ include, parsed once. Each file still
// includes what it uses: the build for aarch64 has no precompiled headers.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
