#pragma once

// Helpers for tests of text data: a byte tokenizer, sequences as text, scratch folders, error
// messages.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/sample.h"
#include "data/text/bpe_trainer.h"
#include "data/text/tokenizer.h"
#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::data {

// Runs `action` and returns the message of the Error that it throws, or "no error".
inline std::string message_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

// Returns a tokenizer with special tokens and 256 bytes, without merges.
inline std::unique_ptr<Tokenizer> byte_tokenizer(BpeTraining training = {}) {
    training.vocab_size = static_cast<int64_t>(training.special_tokens.size()) + 256;
    return train_bpe(std::vector<std::string>{}, training);
}

// Returns ids and labels as text: targets in [brackets], (image) for an image.
inline std::string shown(const std::vector<int32_t>& ids, const std::vector<int32_t>& labels,
                         const Tokenizer& tokenizer) {
    std::string text;
    bool target = false;
    for (size_t i = 0; i < ids.size(); ++i) {
        const bool is_target = labels[i] != kIgnoreLabel;
        EXPECT_TRUE(!is_target || labels[i] == ids[i]);
        if (is_target != target) text += is_target ? "[" : "]";
        target = is_target;
        text += ids[i] == kImageToken ? "(image)"
                                      : tokenizer.decode_bytes(std::vector<int32_t>{ids[i]});
    }
    return text + (target ? "]" : "");
}

inline std::string shown(const Sample& sample, const Tokenizer& tokenizer) {
    return shown(sample.ids, sample.labels, tokenizer);
}

// A temporary folder, removed by the destructor.
class ScratchFolder {
  public:
    ScratchFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "vila_test_XXXXXX").string();
        VILA_CHECK(mkdtemp(name.data()) != nullptr, "cannot make ", name);
        path_ = name;
    }
    ~ScratchFolder() { std::filesystem::remove_all(path_); }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path write(const std::string& name, std::string_view content) const {
        write_file_atomic(path_ / name, content);
        return path_ / name;
    }

  private:
    std::filesystem::path path_;
};

}  // namespace vila::data
