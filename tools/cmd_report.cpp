// vila report RUN: the training run or demo in one HTML page.

#include <cstdio>
#include <filesystem>

#include "tensor/file.h"
#include "tools/commands.h"
#include "tools/report.h"

namespace vila::tools {

int cmd_report(Args& args) {
    std::filesystem::path run, output;
    args.positional("RUN", run, "a run directory, or the folder that vila demo left");
    args.option("--output", output, "where to write the page (default: RUN/report.html)");
    args.parse();
    const std::filesystem::path path = output.empty() ? run / "report.html" : output;
    const std::string page = report_page(run);
    write_file_atomic(path, page);
    std::printf("%s\n", path.c_str());
    return 0;
}

}  // namespace vila::tools
