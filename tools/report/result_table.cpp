#include "tools/report/result_table.h"

#include <algorithm>
#include <cstdio>

#include "tensor/check.h"
#include "tensor/json_fields.h"

namespace vila::tools {

namespace {

std::string cell_text(const Json& cell, const std::string& absent) {
    if (cell.is_string()) return cell.get<std::string>();
    if (cell.is_null()) return absent;
    if (!cell.is_number_float()) return cell.dump();
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", cell.get<double>());
    return text;
}

}  // namespace

Table table_from_json(const Json& source, const std::string& absent, const std::string& where) {
    const JsonFields fields(source, where);
    Table table{fields.text("title"), {}, {}};
    for (const Json& column : fields.list("columns"))
        table.columns.push_back(cell_text(column, absent));
    for (const Json& row : fields.list("rows")) {
        if (!row.is_array() || row.size() != table.columns.size())
            fields.fail("rows", str("lists of ", table.columns.size(), " cells"));
        table.rows.emplace_back();
        for (const Json& cell : row) table.rows.back().push_back(cell_text(cell, absent));
    }
    return table;
}

std::string table_text(const Table& table) {
    constexpr size_t kFirstColumn = 26, kMinColumn = 10, kGap = 2;
    std::string text = table.title + "\n";
    const auto add_row = [&](const std::vector<std::string>& row) {
        for (size_t i = 0; i < row.size(); ++i) {
            const size_t width =
                i == 0 ? kFirstColumn : std::max(kMinColumn, table.columns[i].size()) + kGap;
            const std::string space(std::max(width, row[i].size()) - row[i].size(), ' ');
            text += i == 0 ? row[i] + space : space + row[i];
        }
        text += "\n";
    };
    add_row(table.columns);
    for (const auto& row : table.rows) add_row(row);
    return text;
}

}  // namespace vila::tools
