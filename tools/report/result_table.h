#pragma once

// A table of results, as results.json holds it and as pages and terminals show it.

#include <string>
#include <vector>

#include "tensor/json_fwd.h"

namespace vila::tools {

struct Table {
    std::string title;
    std::vector<std::string> columns;
    std::vector<std::vector<std::string>> rows;  // plain text; each row is as long as `columns`
};

// Reads {"title": "..", "columns": [..], "rows": [[..]]}. Fractions get three decimal places;
// `absent` stands for null. Throws, starting with `where`, if a field has the wrong type or a row
// is not as long as the columns.
Table table_from_json(const Json& source, const std::string& absent, const std::string& where);

// The table for a terminal: title, header and rows, with aligned columns.
std::string table_text(const Table& table);

}  // namespace vila::tools
