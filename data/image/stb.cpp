// The one translation unit that compiles stb: it inflates PNG, writes PNG, and decodes JPEG in
// builds without libjpeg-turbo. The other parsers of stb_image are left out, so that fewer of them
// see untrusted bytes.

#include "data/image/image.h"

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#ifndef VILA_HAVE_JPEG
#define STBI_ONLY_JPEG
#endif
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 16384
#include <stb_image.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>

static_assert(STBI_MAX_DIMENSIONS == vila::data::kMaxImageSide);
