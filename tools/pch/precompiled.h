// What most files of tools/ include, parsed once. Each file still includes what it uses: the build
// for aarch64 has no precompiled headers.

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
