#include "models/part_weights.h"

#include "tensor/nearest_name.h"

namespace vila::models {

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
                   " has no place in a model of this layout");
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

bool is_unused(Part part, const std::string& name, const nn::ParameterTable& table) {
    switch (part) {
        case Part::Llm:
            return name.ends_with("rotary_emb.inv_freq") ||
                   (name == "lm_head.weight" && table.find(name) == nullptr);
        case Part::VisionTower:
            return !name.starts_with("vision_model.") || name.starts_with("vision_model.head.") ||
                   name == "vision_model.embeddings.position_ids";
        case Part::Projector:
            return false;
    }
    return false;
}

void check_part(const PartWeights& weights, Part part, const nn::ParameterTable& table) {
    std::vector<std::string> known;
    for (const nn::Parameter& parameter : table) known.push_back(parameter.name);
    for (const std::string& name : weights.names()) {
        if (is_unused(part, name, table)) continue;
        const PartWeights::Stored& stored = *weights.find(name);
        VILA_CHECK(table.find(name) != nullptr, stored.file->path().string(), ": tensor ",
                   stored.name, " has no place in this model; the nearest weight is ",
                   nearest_name(name, known));
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

void load_part(const Layout& layout, Part part, nn::ParameterTable& table, Device& device,
               DType dtype, WeightMemory memory) {
    const PartWeights weights(layout.weights(part), part);
    check_part(weights, part, table);
    for (const nn::Parameter& parameter : table) {
        const PartWeights::Stored& stored = *weights.find(parameter.name);
        // A conversion makes a copy, so that the source may be mapped.
        const bool may_map = device.kind() == DeviceKind::Cpu &&
                             (memory == WeightMemory::Mapped || stored.dtype() != dtype);
        const Tensor value = may_map ? stored.file->view(stored.name, device)
                                     : stored.file->load(stored.name, device);
        table.assign(parameter.name, value, dtype, false);
    }
}

}  // namespace vila::models
