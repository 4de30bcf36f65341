// The report page of a run directory: its curves, tables and cards, and the errors of bad input.

#include "tools/report/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "data/image/image_write.h"
#include "tensor/check.h"
#include "tools/report/html_page.h"
#include "tools/report/svg_chart.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

class ReportTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() /
                  ("vila_report_" + std::to_string(::getpid()) + "_" +
                   testing::UnitTest::GetInstance()->current_test_info()->name());
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }
    void write(const std::string& name, const std::string& text) {
        fs::create_directories((folder_ / name).parent_path());
        std::ofstream(folder_ / name) << text;
    }
    std::string error_of_report() {
        try {
            report_page(folder_);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }

    fs::path folder_;
};

constexpr const char* kLog =
    "{\"step\":1,\"loss\":2.5,\"lr\":0.001,\"grad_norm\":1.0,\"tokens\":100,"
    "\"tokens_per_second\":50,\"seconds\":2,\"losses\":{\"pairs\":2.25,\"docs\":2.75}}\n"
    "{\"step\":2,\"loss\":1.5,\"lr\":0.0005,\"grad_norm\":0.5,\"tokens\":120,"
    "\"tokens_per_second\":60,\"seconds\":2,\"losses\":{\"pairs\":1.25,\"docs\":1.75}}\n";

TEST_F(ReportTest, ShowsCurvesPerSourceTablesAndCards) {
    write("log.jsonl", kLog);
    const data::Image image(1, 1);
    data::write_png(folder_ / "red.png", image);
    write("results.json",
          R"({"tables":[{"title":"Held out","columns":["task","model"],"rows":[["count",0.98765]]}],
              "samples":[{"images":["red.png"],"question":"what <color> ?","answer":"red",
                          "truth":"red","correct":true}]})");
    const std::string page = report_page(folder_);
    EXPECT_NE(page.find("2 steps, 220 tokens in 4 s"), std::string::npos);
    EXPECT_NE(page.find(">pairs</text>"), std::string::npos);
    EXPECT_NE(page.find("<td>0.988</td>"), std::string::npos);
    EXPECT_NE(page.find("what &lt;color&gt; ?"), std::string::npos);
    EXPECT_NE(page.find("data:image/png;base64,iVBOR"), std::string::npos);
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.find("http://www.w3.org/2000/svg\" width") == std::string::npos, false);
}

TEST_F(ReportTest, ReadsEveryRunOfADemo) {
    write("runs/sft/log.jsonl", kLog);
    write("runs/align/log.jsonl", kLog);
    const std::string page = report_page(folder_);
    EXPECT_NE(page.find("Training: sft"), std::string::npos);
    EXPECT_NE(page.find("Training: align"), std::string::npos);
}

TEST_F(ReportTest, SkipsATornLastLineOnly) {
    write("log.jsonl", std::string(kLog) + "{\"step\":3,\"lo");
    EXPECT_EQ(error_of_report(), "");
    write("log.jsonl", std::string("{\"step\":3,\"lo\n") + kLog);
    EXPECT_NE(error_of_report().find("log.jsonl line 1"), std::string::npos);
}

TEST_F(ReportTest, NamesWhatIsMissing) {
    EXPECT_NE(error_of_report().find("neither log.jsonl nor runs/*/log.jsonl"), std::string::npos);
    write("log.jsonl", kLog);
    write("results.json", R"({"tables":[{"title":"t","columns":["a","b"],"rows":[["x"]]}]})");
    EXPECT_NE(
        error_of_report().find("results.json: tables[0]: field rows: expected lists of 2 cells"),
        std::string::npos);
}

TEST(SvgChart, ThinsLongSeriesAndSkipsNonFinitePoints) {
    Series series{"loss", {}};
    for (int i = 0; i < 100000; ++i)
        series.points.emplace_back(i, i == 500 ? NAN : 1.0 / (1.0 + i));
    const std::string svg = svg_chart("Loss", "step", {series});
    EXPECT_LT(svg.size(), 12000u);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(SvgChart, DrawsConstantAndEmptySeries) {
    EXPECT_EQ(svg_chart("t", "x", {{"flat", {{1, 2}, {2, 2}}}}).find("nan"), std::string::npos);
    EXPECT_EQ(svg_chart("t", "x", {{"empty", {}}}).find("inf"), std::string::npos);
}

TEST(HtmlEscape, EscapesMarkup) {
    EXPECT_EQ(html_escape("<a b=\"&\">"), "&lt;a b=&quot;&amp;&quot;&gt;");
}

}  // namespace
}  // namespace vila::tools
