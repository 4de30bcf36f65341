#include "data/world/files.h"

#include <cstdio>

#include "data/image/image_write.h"
#include "tensor/check.h"

namespace vila::data {

const SceneImage& Pool::one_object(WorldRandom& random) const {
    return images[static_cast<size_t>(random.below(single))];
}

const SceneImage& Pool::several(WorldRandom& random) const {
    return images[static_cast<size_t>(random.between(single, static_cast<int>(images.size()) - 1))];
}

Pool make_pool(const std::string& name, int single, int multi, uint64_t seed,
               const std::filesystem::path& images, const std::function<void()>& on_image) {
    std::filesystem::create_directories(images / name);
    WorldRandom random(seed, "images " + name);
    Pool pool;
    pool.single = single;
    for (int index = 0; index < single + multi; ++index) {
        char file[64];
        std::snprintf(file, sizeof file, "%s/%06d.png", name.c_str(), index);
        const Scene scene = make_scene(index < single ? 1 : random.between(1, 4), random);
        write_picture(render_scene(scene, random), images / file);
        pool.images.push_back({file, scene});
        on_image();
    }
    return pool;
}

void write_picture(const Image& picture, const std::filesystem::path& file) {
    const std::vector<uint8_t> bytes = encode_png(picture);
    std::ofstream stream(file, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    stream.close();
    VILA_CHECK(!stream.fail(), file.string(), ": cannot write this image; is the disk full?");
}

LineWriter::LineWriter(const std::filesystem::path& file)
    : file_(file), stream_(file, std::ios::binary) {
    VILA_CHECK(stream_.good(), file.string(), ": cannot create this file");
}

void LineWriter::close() {
    stream_.close();
    VILA_CHECK(!stream_.fail(), file_.string(),
               ": cannot write all of this file; is the disk full?");
}

}  // namespace vila::data
