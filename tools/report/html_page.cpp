#include "tools/report/html_page.h"

#include "tensor/check.h"

namespace vila::tools {

namespace {

constexpr const char* kStyle = R"(
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2430; background: #ffffff; }
h1 { font-size: 1.7rem; margin-bottom: 0.3rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p { color: #44505f; }
table { border-collapse: collapse; margin: 0.8rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #44505f; padding-bottom: 0.3rem; }
th, td { padding: 0.25rem 0.8rem; border-bottom: 1px solid #dfe4ea; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { display: inline-block; margin: 0.5rem 0.8rem 0.5rem 0; }
figcaption { color: #44505f; font-size: 0.9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 0.8rem; }
.card { border: 1px solid #dfe4ea; border-radius: 6px; padding: 0.7rem; font-size: 0.9rem; }
.card img { width: 96px; image-rendering: pixelated; margin: 0 4px 4px 0; vertical-align: top; }
.right { border-left: 5px solid #2e8b57; } .wrong { border-left: 5px solid #c0392b; }
.card .question { white-space: pre-wrap; }
)";

}  // namespace

std::string html_escape(const std::string& text) {
    std::string escaped;
    for (const char c : text) {
        switch (c) {
            case '&':
                escaped += "&amp;";
                break;
            case '<':
                escaped += "&lt;";
                break;
            case '>':
                escaped += "&gt;";
                break;
            case '"':
                escaped += "&quot;";
                break;
            default:
                escaped += c;
        }
    }
    return escaped;
}

HtmlPage::HtmlPage(const std::string& title) : title_(title) {
    body_ = "<h1>" + html_escape(title) + "</h1>\n";
}

void HtmlPage::heading(const std::string& text) {
    body_ += "<h2>" + html_escape(text) + "</h2>\n";
}

void HtmlPage::paragraph(const std::string& text) {
    body_ += "<p>" + html_escape(text) + "</p>\n";
}

void HtmlPage::table(const Table& table) {
    body_ += "<table><caption>" + html_escape(table.title) + "</caption>\n<tr>";
    for (const std::string& column : table.columns) body_ += "<th>" + html_escape(column) + "</th>";
    body_ += "</tr>\n";
    for (const auto& row : table.rows) {
        VILA_ASSERT(row.size() == table.columns.size());
        body_ += "<tr>";
        for (const std::string& cell : row) body_ += "<td>" + html_escape(cell) + "</td>";
        body_ += "</tr>\n";
    }
    body_ += "</table>\n";
}

void HtmlPage::figure(const std::string& svg, const std::string& caption) {
    body_ += "<figure>" + svg + "<figcaption>" + html_escape(caption) + "</figcaption></figure>\n";
}

void HtmlPage::cards(const std::vector<AnswerCard>& cards) {
    body_ += "<div class=\"cards\">\n";
    for (const AnswerCard& card : cards) {
        body_ += card.correct ? "<div class=\"card right\">" : "<div class=\"card wrong\">";
        for (const std::string& image : card.images)
            body_ += "<img alt=\"\" src=\"" + html_escape(image) + "\">";
        body_ += "<div class=\"question\">" + html_escape(card.question) +
                 "</div><div>answer: <b>" + html_escape(card.answer) +
                 "</b></div><div>truth: " + html_escape(card.truth) + "</div></div>\n";
    }
    body_ += "</div>\n";
}

std::string HtmlPage::str() const {
    return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>" +
           html_escape(title_) + "</title><style>" + kStyle + "</style></head>\n<body>\n" + body_ +
           "</body></html>\n";
}

}  // namespace vila::tools
