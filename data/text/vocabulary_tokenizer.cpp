#include "data/text/vocabulary_tokenizer.h"

#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/json.h"

namespace vila::data {

void VocabularyTokenizer::add_spelling(const std::string& spelling, int32_t id) {
    ids_.emplace(spelling, id);
}

void VocabularyTokenizer::set_sequence_tokens(const std::string& bos, const std::string& eos,
                                              const std::string& pad, bool adds_bos,
                                              const std::string& where) {
    const auto named = [&](const std::string& name) {
        return name.empty() ? std::nullopt : token_to_id(name);
    };
    bos_id_ = named(bos);
    eos_id_ = named(eos);
    pad_id_ = named(pad);
    adds_bos_ = adds_bos;
    VILA_CHECK(bos_id_ || !adds_bos, where, " begins sequences with the token ", shown(Json(bos)),
               ", which its vocabulary does not have");
}

void VocabularyTokenizer::check_id(int32_t id) const {
    VILA_CHECK(id >= 0 && id < vocab_size(), "token id ", id, " is outside the vocabulary of ",
               vocab_size(), " tokens");
}

std::optional<int32_t> VocabularyTokenizer::token_to_id(std::string_view token) const {
    const auto found = ids_.find(std::string(token));
    if (found == ids_.end()) return std::nullopt;
    return found->second;
}

void VocabularyTokenizer::save(const std::filesystem::path& directory) const {
    std::filesystem::create_directories(directory);
    for (const auto& [name, content] : files_) write_file_atomic(directory / name, content);
}

}  // namespace vila::data
