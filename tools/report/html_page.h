#pragma once

// One self-contained HTML page, built piece by piece: headings, paragraphs, tables, charts (inline
// SVG) and pictures (data URIs). No script and nothing fetched from elsewhere, so the file can be
// mailed and opened anywhere.

#include <string>
#include <vector>

namespace vila::tools {

// Text with &, <, > and quotes escaped.
std::string html_escape(const std::string& text);

struct Table {
    std::string title;
    std::vector<std::string> columns;
    std::vector<std::vector<std::string>> rows;  // plain text; each row as long as `columns`
};

// A picture question as a card: its pictures, what was asked, answered and true.
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
    // `svg` is markup from svg_chart().
    void figure(const std::string& svg, const std::string& caption);
    void cards(const std::vector<AnswerCard>& cards);
    // The finished document.
    std::string str() const;

  private:
    std::string body_;
    std::string title_;
};

}  // namespace vila::tools
