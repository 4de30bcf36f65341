#pragma once

// Writes the files of a world: pools of rendered images, and text files line by line.

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "data/world/render.h"
#include "data/world/scene.h"
#include "tensor/json.h"

namespace vila::data {

// An image on disk and the scene that it shows.
struct SceneImage {
    std::string file;  // relative to images/: "train/000012.png"
    Scene scene;
};

// Images of `single` scenes of one object, then of scenes of one to four objects.
struct Pool {
    std::vector<SceneImage> images;
    int single = 0;

    // Return a random image: any; one of a single object; one of the others.
    const SceneImage& any(WorldRandom& random) const { return random.pick(images); }
    const SceneImage& one_object(WorldRandom& random) const;
    const SceneImage& several(WorldRandom& random) const;
};

// Renders `single` and `multi` scenes into `images`/`name`/ and returns the pool. Calls `on_image`
// after each scene.
Pool make_pool(const std::string& name, int single, int multi, uint64_t seed,
               const std::filesystem::path& images, const std::function<void()>& on_image);

// Writes a PNG file. Throws vila::Error if it cannot be written.
void write_picture(const Image& picture, const std::filesystem::path& file);

// Writes a text file line by line. close() checks that every byte was written.
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
