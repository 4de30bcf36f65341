#include "data/world/words.h"

#include "data/world/scene.h"

namespace vila::data {

namespace {

Relation relation_of(int index) {
    return static_cast<Relation>(index % kRelations);
}

std::string creature_of(int index) {
    return std::string(kCreatures[static_cast<size_t>(index / kRelations)]);
}

template <typename List>
std::vector<std::string> strings(const List& list) {
    return {list.begin(), list.end()};
}

}  // namespace

Facts::Facts(uint64_t seed) {
    WorldRandom random(seed, "facts");
    for (int index = 0; index < size(); ++index)
        values_.push_back(random.below(static_cast<int>(choices(index).size())));
    in_documents_.assign(static_cast<size_t>(size()), false);
    for (const int index : random.sample(size() / 2, size()))
        in_documents_[static_cast<size_t>(index)] = true;
}

std::vector<std::string> Facts::choices(int index) const {
    switch (relation_of(index)) {
        case Relation::Eats:
            return strings(kFoods);
        case Relation::Lives:
            return strings(kPlaces);
        case Relation::Owns:
            return strings(kThings);
        case Relation::Likes:
            return strings(kColors);
    }
    return {};
}

std::string Facts::answer(int index) const {
    return choices(index)[static_cast<size_t>(values_[static_cast<size_t>(index)])];
}

std::string Facts::statement(int index) const {
    const std::string subject = "the " + creature_of(index);
    switch (relation_of(index)) {
        case Relation::Eats:
            return subject + " eats " + answer(index) + " .";
        case Relation::Lives:
            return subject + " lives in the " + answer(index) + " .";
        case Relation::Owns:
            return subject + " owns a " + answer(index) + " .";
        case Relation::Likes:
            return subject + " likes " + answer(index) + " .";
    }
    return {};
}

std::string Facts::question(int index) const {
    const std::string subject = "the " + creature_of(index);
    switch (relation_of(index)) {
        case Relation::Eats:
            return "what does " + subject + " eat ?";
        case Relation::Lives:
            return "where does " + subject + " live ?";
        case Relation::Owns:
            return "what does " + subject + " own ?";
        case Relation::Likes:
            return "what color does " + subject + " like ?";
    }
    return {};
}

}  // namespace vila::data
