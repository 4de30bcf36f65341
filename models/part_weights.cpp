#include "models/part_weights.h"

#include <algorithm>
#include <cstring>

#include "models/foreign_directory.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/nearest_name.h"
#include "tensor/path_kind.h"

namespace vila::models {

namespace {

const std::string kHead = "lm_head.weight";
const std::string kEmbedding = "model.embed_tokens.weight";

}  // namespace

PartWeights::PartWeights(const std::vector<WeightSource>& sources, Part part) {
    for (const WeightSource& source : sources)
        if (add(source, part)) return;
    throw Error(str(path().string(), ": holds no weights of a ", part_name(part)));
}

bool PartWeights::add(const WeightSource& source, Part part) {
    files_ = std::make_unique<WeightFiles>(source.path);
    for (const std::string& stored : files_->names()) {
        const TensorFile& file = files_->file_with(stored);
        const std::string where = file.path().string();
        const std::optional<WeightKey> key = source.naming(stored);
        VILA_CHECK(key.has_value(), where, ": tensor ", stored,
                   " has no place in a model of this layout", foreign_tensor_hint(stored));
        if (key->part != part) continue;
        const auto [found, is_new] = stored_.emplace(key->name, Stored{&file, stored});
        VILA_CHECK(is_new, where, ": tensors ", found->second.name, " and ", stored,
                   " are both weight ", key->name);
        names_.push_back(key->name);
    }
    return !names_.empty();
}

DType PartWeights::Stored::dtype() const {
    return dtype_of_stored(file->stored_dtype(name), file->path(), name);
}

const PartWeights::Stored* PartWeights::find(const std::string& name) const {
    const auto found = stored_.find(name);
    return found == stored_.end() ? nullptr : &found->second;
}

void PartWeights::use_head_as_embedding() {
    Stored head = stored_.at(kHead);
    stored_.erase(kHead);
    stored_.emplace(kEmbedding, std::move(head));
    std::ranges::replace(names_, kHead, kEmbedding);
}

bool is_unused(Part part, const std::string& name, const nn::ParameterTable& table) {
    switch (part) {
        case Part::Llm:
            return name.ends_with("rotary_emb.inv_freq") ||
                   (name == kHead && table.find(name) == nullptr);
        case Part::VisionTower:
            return !name.starts_with("vision_model.") || name.starts_with("vision_model.head.") ||
                   name == "vision_model.embeddings.position_ids";
        case Part::Projector:
            return false;
    }
    return false;
}

bool has_other_head(const Layout& layout) {
    const std::vector<WeightSource> sources = layout.weights(Part::Llm);
    const bool has_files = std::ranges::all_of(sources, [](const WeightSource& source) {
        return file_exists(source.path) || WeightFiles::present(source.path);
    });
    if (!has_files) return false;
    const PartWeights weights(sources, Part::Llm);
    const PartWeights::Stored* head = weights.find(kHead);
    const PartWeights::Stored* embedding = weights.find(kEmbedding);
    if (head == nullptr || embedding == nullptr) return false;
    if (head->dtype() != embedding->dtype()) return true;
    const auto cpu = make_cpu_device(1);
    const Tensor a = head->file->view(head->name, *cpu);
    const Tensor b = embedding->file->view(embedding->name, *cpu);
    if (a.shape() != b.shape()) return true;
    return std::memcmp(a.raw(), b.raw(), a.numel() * dtype_size(a.dtype())) != 0;
}

namespace {

void check_part(const PartWeights& weights, Part part, const nn::ParameterTable& table) {
    std::vector<std::string> known;
    for (const nn::Parameter& parameter : table) known.push_back(parameter.name);
    for (const std::string& name : weights.names()) {
        if (is_unused(part, name, table)) continue;
        const PartWeights::Stored& stored = *weights.find(name);
        VILA_CHECK(table.find(name) != nullptr, stored.file->path().string(), ": tensor ",
                   stored.name, " has no place in this model; the nearest weight is ",
                   nearest_name(name, known), foreign_tensor_hint(stored.name));
    }
    for (const nn::Parameter& parameter : table) {
        const PartWeights::Stored* stored = weights.find(parameter.name);
        VILA_CHECK(stored != nullptr, weights.path().string(), ": weight ", parameter.name, " ",
                   parameter.shape, " is missing");
        const std::string where = stored->file->path().string() + ": ";
        const DType dtype = stored->dtype();
        VILA_CHECK(is_floating(dtype), where, "tensor ", stored->name, " has dtype ", dtype,
                   ": expected a floating one");
        VILA_CHECK_EQ(stored->file->shape(stored->name), parameter.shape, where, "shape of tensor ",
                      stored->name, ", by the configuration ", parameter.axes);
    }
}

}  // namespace

std::unique_ptr<PartWeights> open_part(const Layout& layout, Part part,
                                       const nn::ParameterTable& table) {
    auto weights = std::make_unique<PartWeights>(layout.weights(part), part);
    const bool is_tied = part == Part::Llm && table.find(kHead) == nullptr;
    if (is_tied && weights->find(kHead) != nullptr && weights->find(kEmbedding) == nullptr)
        weights->use_head_as_embedding();
    check_part(*weights, part, table);
    return weights;
}

void load_part(const Layout& layout, Part part, nn::ParameterTable& table, Device& device,
               DType dtype, WeightMemory memory) {
    const std::unique_ptr<PartWeights> weights = open_part(layout, part, table);
    for (const nn::Parameter& parameter : table) {
        const PartWeights::Stored& stored = *weights->find(parameter.name);
        // A conversion makes a copy, so that the source may be mapped.
        const bool may_map = device.kind() == DeviceKind::Cpu &&
                             (memory == WeightMemory::Mapped || stored.dtype() != dtype);
        const Tensor value = may_map ? stored.file->view(stored.name, device)
                                     : stored.file->load(stored.name, device);
        table.assign(parameter.name, value, dtype, false);
    }
}

}  // namespace vila::models
