#pragma once

// Builds one self-contained HTML page from headings, paragraphs, tables, charts (inline SVG) and
// images (data URIs). The page has no script and loads nothing, so it can be mailed and opened
// anywhere.

#include <string>
#include <vector>

#include "tools/report/result_table.h"

namespace vila::tools {

// Escapes &, <, > and double quotes.
std::string html_escape(const std::string& text);

// A question about images, with the model's answer and the right one.
struct AnswerCard {
    std::vector<std::string> images;  // data URIs
    std::string question, answer, truth;
    bool correct = false;
};

class HtmlPage {
  public:
    explicit HtmlPage(const std::string& title);

    void heading(const std::string& text);
    void paragraph(const std::string& text);
    void table(const Table& table);
    // `svg` is the markup of svg_chart().
    void figure(const std::string& svg, const std::string& caption);
    void cards(const std::vector<AnswerCard>& cards);
    // The complete document.
    std::string str() const;

  private:
    std::string body_;
    std::string title_;
};

}  // namespace vila::tools
