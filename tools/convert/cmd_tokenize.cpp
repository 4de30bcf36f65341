// vila tokenize: converts lines of text to JSON arrays of token ids, and back.

#include <algorithm>
#include <iostream>

#include "data/text/tokenizer.h"
#include "models/model_directory.h"
#include "tensor/json.h"
#include "tools/commands.h"

namespace vila::tools {

namespace {

std::vector<int32_t> parse_ids(const std::string& line, int64_t number) {
    const std::string where = str("standard input line ", number);
    const Json array = parse_json(line, where);
    const bool integers = array.is_array() && std::all_of(array.begin(), array.end(), [](auto& id) {
                              return id.is_number_integer();
                          });
    VILA_CHECK(integers, where, ": expected a JSON array of token ids, got ", shown(array));
    return array.get<std::vector<int32_t>>();
}

std::string parse_text(const std::string& line, int64_t number) {
    const std::string where = str("standard input line ", number);
    const Json text = parse_json(line, where);
    VILA_CHECK(text.is_string(), where, ": expected a JSON string, got ", shown(text));
    return text.get<std::string>();
}

}  // namespace

int cmd_tokenize(Args& args) {
    std::filesystem::path model_path;
    bool decode = false, parse_special = false, json = false;
    args.option("--model", model_path, "model directory, or a directory with tokenizer files")
        ->required();
    args.flag("--decode", decode, "convert JSON arrays of ids to JSON strings");
    args.flag("--special", parse_special, "recognize special tokens such as </s> in the text");
    args.flag("--json", json,
              "read each line as a JSON string, for text that contains line breaks");
    args.footer(
        "Reads lines from standard input and writes lines to standard output: text to JSON arrays "
        "of "
        "ids,\nor the reverse with --decode.");
    args.parse();

    const auto tokenizer = data::load_tokenizer(models::llm_directory(model_path));
    std::ios::sync_with_stdio(false);
    std::string line;
    for (int64_t number = 1; std::getline(std::cin, line); ++number) {
        if (decode) {
            std::cout << Json(tokenizer->decode(parse_ids(line, number))).dump() << '\n';
        } else {
            const std::string text = json ? parse_text(line, number) : line;
            const auto ids = tokenizer->encode(text, {.parse_added_tokens = parse_special});
            std::cout << Json(ids).dump() << '\n';
        }
    }
    return 0;
}

}  // namespace vila::tools
