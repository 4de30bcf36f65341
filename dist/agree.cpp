#include "dist/agree.h"

#include <algorithm>
#include <exception>
#include <sstream>
#include <utility>

namespace vila::dist {

namespace {

// Returns the first line that differs between two texts, as it is in `a` and in `b`.
std::pair<std::string, std::string> differing_lines(const std::string& a, const std::string& b) {
    std::istringstream lines_a(a), lines_b(b);
    std::string line_a, line_b;
    do {
        line_a.clear();
        line_b.clear();
        std::getline(lines_a, line_a);
        std::getline(lines_b, line_b);
    } while (line_a == line_b && (lines_a || lines_b));
    return {line_a, line_b};
}

}  // namespace

void agree(Collectives& collectives, const std::function<void()>& body) {
    if (collectives.ranks() == 1) return body();
    std::string failure;
    try {
        body();
    } catch (const std::exception& error) {
        failure = error.what();
        if (failure.empty()) failure = "failed without a message";
    }
    agree(collectives, failure);
}

void agree(Collectives& collectives, const std::string& failure) {
    if (!any_of(collectives, !failure.empty())) return;
    const std::vector<std::string> failures = all_gather(collectives, failure);
    const auto first = std::find_if(failures.begin(), failures.end(),
                                    [](const std::string& text) { return !text.empty(); });
    const bool alike = std::count(failures.begin(), failures.end(), *first) ==
                       static_cast<int64_t>(failures.size());
    throw AgreedError(alike ? *first : str("rank ", first - failures.begin(), ": ", *first));
}

void check_same(Collectives& collectives, const std::string& what, const std::string& text) {
    if (collectives.ranks() == 1) return;
    const std::vector<std::string> texts = all_gather(collectives, text);
    for (size_t rank = 1; rank < texts.size(); ++rank) {
        if (texts[rank] == texts[0]) continue;
        const auto [first, other] = differing_lines(texts[0], texts[rank]);
        throw AgreedError(str("the ranks disagree on the ", what, ": rank 0 has '", first,
                              "', rank ", rank, " has '", other, "'"));
    }
}

}  // namespace vila::dist
