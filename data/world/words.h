#pragma once

// Words of the miniature world that do not describe scenes: creatures and facts about them,
// nonsense labels, and junk words, which imitate noisy alt-texts of web pages.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "data/world/random.h"

namespace vila::data {

inline constexpr std::array<std::string_view, 32> kCreatures = {
    "zorp", "mib",  "flun", "grak", "shem", "trill", "pogo", "wexx", "narl", "jupe", "krit",
    "lomo", "dreb", "hask", "yint", "bolo", "cuss",  "emmo", "fral", "gulp", "hobb", "isko",
    "jank", "kell", "lurn", "mosk", "nurb", "opal",  "prax", "rusk", "silt", "tarn"};
inline constexpr std::array<std::string_view, 12> kFoods = {"fern", "moss", "rice",  "corn",
                                                            "plum", "fish", "bread", "honey",
                                                            "nuts", "soup", "grass", "figs"};
inline constexpr std::array<std::string_view, 12> kPlaces = {
    "cave",  "lake",  "forest", "desert", "tower",  "valley",
    "river", "marsh", "castle", "harbor", "garden", "island"};
inline constexpr std::array<std::string_view, 12> kThings = {"hat",  "drum",  "kite",   "lamp",
                                                             "boat", "bell",  "sword",  "rope",
                                                             "book", "clock", "ladder", "cup"};
// Nonsense labels of images and of objects in texts. Images have only the first kImageLabels.
inline constexpr std::array<std::string_view, 24> kLabels = {
    "dax",  "wug",  "blick", "toma", "fep", "zav", "kiki", "bouba", "lorp", "gazz", "mip", "tuk",
    "rill", "snov", "pell",  "quib", "hux", "jeb", "vorn", "yad",   "crel", "nim",  "osk", "plu"};
inline constexpr int kImageLabels = 16;
inline constexpr std::array<std::string_view, 12> kJunk = {"nice",  "view",      "photo", "free",
                                                           "sale",  "best",      "hd",    "new",
                                                           "stock", "wallpaper", "day",   "cool"};

enum class Relation { Eats, Lives, Owns, Likes };
inline constexpr int kRelations = 4;

// Facts about the creatures: one value for each creature and relation.
class Facts {
  public:
    explicit Facts(uint64_t seed);

    // The number of facts. Fact `index` is about creature index / kRelations and relation
    // index % kRelations.
    int size() const { return static_cast<int>(kCreatures.size()) * kRelations; }
    // Returns a fact as a sentence: "the zorp eats fern ."
    std::string statement(int index) const;
    // Returns a fact as a question: "what does the zorp eat ?"
    std::string question(int index) const;
    // Returns the answer to question(index): "fern".
    std::string answer(int index) const;
    // Returns every value that the relation of this fact can have.
    std::vector<std::string> choices(int index) const;
    // Returns whether interleaved documents may mention the fact: a random half of them.
    bool in_documents(int index) const { return in_documents_[static_cast<size_t>(index)]; }

  private:
    std::vector<int> values_;
    std::vector<bool> in_documents_;
};

}  // namespace vila::data
