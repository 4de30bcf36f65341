// vila tokenize: converts lines of text to JSON arrays of token ids, and back.

#include <algorithm>

#include "data/text/tokenizer.h"
#include "models/model_directory.h"
#include "tensor/json.h"
#include "tools/base/json_lines.h"
#include "tools/base/option_checks.h"
#include "tools/base/output.h"
#include "tools/base/output_guard.h"
#include "tools/base/text_input.h"
#include "tools/commands.h"

namespace vila::tools {

namespace {

constexpr size_t kLargestWrite = 1 << 16;  // bytes

std::vector<int32_t> parse_ids(const std::string& line, const std::string& where) {
    const Json array = parse_json(line, where);
    const bool integers = array.is_array() && std::all_of(array.begin(), array.end(), [](auto& id) {
                              return id.is_number_integer();
                          });
    VILA_CHECK(integers, where, ": expected a JSON array of token ids, got ", shown(array));
    for (const Json& id : array)
        VILA_CHECK(id >= 0 && id <= INT32_MAX, where, ": ", shown(id),
                   " is no token id: expected a number from 0 to ", INT32_MAX);
    return array.get<std::vector<int32_t>>();
}

std::string parse_text(const std::string& line, const std::string& where) {
    const Json text = parse_json(line, where);
    VILA_CHECK(text.is_string(), where, ": expected a JSON string, got ", shown(text));
    return text.get<std::string>();
}

}  // namespace

int cmd_tokenize(Args& args) {
    std::filesystem::path model_path;
    bool decode = false, parse_special = false, json = false;
    args.option("--model", model_path, "model directory, or a directory with tokenizer files")
        .required();
    args.flag("--decode", decode, "convert JSON arrays of ids to JSON strings");
    args.flag("--special", parse_special, "recognize special tokens such as </s> in the text");
    args.flag("--json", json,
              "read each line as a JSON string, for text that contains line breaks");
    args.footer(
        "Reads lines from standard input and writes lines to standard output: text to JSON arrays "
        "of "
        "ids,\nor the reverse with --decode.");
    args.parse();
    if (decode) refuse_options(args, {"--special", "--json"}, "with --decode");

    OutputGuard("standard output", "-").check_input("standard input", "-");
    const auto tokenizer =
        data::load_tokenizer(models::ModelDirectory(model_path).files_of(models::Part::Llm));
    LineReader lines("-");
    std::string results;
    for (std::string line; lines.next(line);) {
        if (decode) {
            const std::vector<int32_t> ids = parse_ids(line, lines.where());
            const auto text = at_line(lines.where(), [&] { return tokenizer->decode(ids); });
            results += Json(text).dump() + '\n';
        } else {
            const std::string text = json ? parse_text(line, lines.where()) : line;
            const auto ids = tokenizer->encode(text, {.parse_added_tokens = parse_special});
            results += Json(ids).dump() + '\n';
        }
        // A program that waits for the answer to its line gets it before the next read.
        if (lines.has_line() && results.size() < kLargestWrite) continue;
        print_text(results);
        results.clear();
    }
    return 0;
}

}  // namespace vila::tools
