#include "tensor/json.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/json_scanner.h"

namespace vila {

namespace {

// Configuration files are small; anything larger is a mistake.
constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;
constexpr size_t kShownBytes = 60;

// Finds keys among the members of an object: compares them one by one while there are few, and
// looks them up in a hash table once there are more.
class KeyIndex {
  public:
    // The position of `key` in `members`, or members.size() if it is not there.
    size_t find(const std::vector<std::pair<std::string, Json>>& members, const std::string& key) {
        if (members.size() < kHashedFrom) {
            size_t at = 0;
            while (at < members.size() && members[at].first != key) ++at;
            return at;
        }
        for (; hashed_ < members.size(); ++hashed_)
            positions_.emplace(members[hashed_].first, hashed_);
        const auto found = positions_.find(key);
        return found == positions_.end() ? members.size() : found->second;
    }

  private:
    static constexpr size_t kHashedFrom = 16;

    std::unordered_map<std::string, size_t> positions_;
    size_t hashed_ = 0;
};

class Parser {
  public:
    Parser(std::string_view text, const std::string& where, RepeatedKeys repeated_keys)
        : scanner_(text, str(where, where.empty() ? "" : ": ", "not valid JSON"),
                   JsonScanner::Place::LineAndColumn),
          repeated_keys_(repeated_keys) {}

    Json document() {
        Json json = value(1);
        if (!scanner_.at_end()) scanner_.fail("expected the end of the text");
        return json;
    }

  private:
    Json value(int depth) {
        if (scanner_.next_is('{')) return object(depth);
        if (scanner_.next_is('[')) return array(depth);
        if (scanner_.next_is('"')) return scanner_.string();
        if (scanner_.accept_word("true")) return true;
        if (scanner_.accept_word("false")) return false;
        if (scanner_.accept_word("null")) return nullptr;
        if (scanner_.accept_word("NaN")) return std::numeric_limits<double>::quiet_NaN();
        if (scanner_.accept_word("Infinity")) return std::numeric_limits<double>::infinity();
        if (scanner_.accept_word("-Infinity")) return -std::numeric_limits<double>::infinity();
        return number();
    }

    void check_depth(int depth) const {
        if (depth > kMaxJsonDepth)
            scanner_.fail(str("more than ", kMaxJsonDepth, " levels of nesting"));
    }

    Json object(int depth) {
        check_depth(depth);
        scanner_.expect('{');
        if (scanner_.accept('}')) return Json::object();
        std::vector<std::pair<std::string, Json>> members;
        KeyIndex index;
        do {
            if (!scanner_.next_is('"')) scanner_.fail("expected a key in quotes");
            std::string key = scanner_.string();
            const size_t at = index.find(members, key);
            if (at < members.size() && repeated_keys_ == RepeatedKeys::Refuse)
                scanner_.fail(str("duplicate key ", json_quoted(key)));
            scanner_.expect(':');
            Json member = value(depth + 1);
            if (at < members.size()) {
                members[at].second = std::move(member);
            } else {
                members.emplace_back(std::move(key), std::move(member));
            }
        } while (scanner_.accept(','));
        scanner_.expect('}');
        // All members are added at once, after reserve(): the library's operator[] would compare
        // each new key with all earlier ones, and reallocate as the object grows.
        Json json = Json::object();
        auto& object = json.get_ref<Json::object_t&>();
        object.reserve(members.size());
        for (auto& [key, member] : members) object.emplace_back(std::move(key), std::move(member));
        return json;
    }

    Json array(int depth) {
        check_depth(depth);
        Json json = Json::array();
        scanner_.expect('[');
        if (scanner_.accept(']')) return json;
        do {
            json.push_back(value(depth + 1));
        } while (scanner_.accept(','));
        scanner_.expect(']');
        return json;
    }

    // An integer if it is written as one and fits in 64 bits, else a double.
    Json number() {
        const std::string_view digits = scanner_.number();
        const char* begin = digits.data();
        const char* end = begin + digits.size();
        if (digits.find_first_of(".eE") == std::string_view::npos) {
            uint64_t natural = 0;
            if (std::from_chars(begin, end, natural).ec == std::errc() && digits[0] != '-')
                return natural;
            int64_t integer = 0;
            if (std::from_chars(begin, end, integer).ec == std::errc()) return integer;
        }
        // A magnitude out of range becomes infinity or zero, as in Python.
        return std::strtod(std::string(digits).c_str(), nullptr);
    }

    JsonScanner scanner_;
    RepeatedKeys repeated_keys_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where, RepeatedKeys repeated_keys) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    return Parser(text, where, repeated_keys).document();
}

std::optional<Json> try_parse_json(std::string_view text) {
    try {
        return parse_json(text, "");
    } catch (const Error&) {
        return std::nullopt;
    }
}

Json read_json_file(const std::string& path) {
    return parse_json(read_file(path, kMaxConfigBytes), path, RepeatedKeys::Refuse);
}

std::string shown(const Json& value) {
    std::string text;
    if (value.is_number_float() && !std::isfinite(value.get<double>())) {
        const double number = value.get<double>();
        text = std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
    } else {
        text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    }
    return text.size() > kShownBytes ? text.substr(0, kShownBytes) + "..." : text;
}

std::string json_error_text(const Json::exception& error) {
    // "[json.exception.type_error.302] type must be string, but is number"
    const std::string_view text = error.what();
    const size_t bracket = text.find("] ");
    return std::string(bracket == std::string_view::npos ? text : text.substr(bracket + 2));
}

}  // namespace vila
