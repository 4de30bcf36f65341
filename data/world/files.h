#pragma once

// The files of a world being written: pools of rendered images, and text files line by line.

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/world/render.h"
#include "data/world/scene.h"
#include "tensor/json.h"

namespace vila::data {

// An image on disk and what it shows.
struct SceneImage {
    std::string file;  // relative to images/: "train/000012.png"
    Scene scene;
};

// `single` scenes of one object, then `multi` of one to four.
struct Pool {
    std::vector<SceneImage> images;
    int single = 0;

    // Any image; one of a single object; one of the others.
    const SceneImage& any(WorldRandom& random) const { return random.pick(images); }
    const SceneImage& one_object(WorldRandom& random) const;
    const SceneImage& several(WorldRandom& random) const;
};

// Renders the pool into `images`/`name`/ and returns it.
Pool make_pool(const std::string& name, int single, int multi, uint64_t seed,
               const std::filesystem::path& images);

// Writes a PNG file; throws vila::Error when it cannot be written.
void write_picture(const Image& picture, const std::filesystem::path& file);

// A text file written line by line; close() checks that every byte arrived.
class LineWriter {
  public:
    explicit LineWriter(const std::filesystem::path& file);
    void line(const std::string& text) { stream_ << text << '\n'; }
    void line(const Json& value) { line(value.dump()); }
    void close();

  private:
    std::filesystem::path file_;
    std::ofstream stream_;
};

}  // namespace vila::data
