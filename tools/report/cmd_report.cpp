// vila report RUN: the training run or demo in one HTML page.

#include <cstdio>
#include <filesystem>

#include "tensor/file.h"
#include "tools/commands.h"
#include "tools/report/report.h"

namespace vila::tools {

int cmd_report(Args& args) {
    std::filesystem::path run, output;
    int64_t count = 12;
    CommonOptions common;
    args.positional("RUN", run, "a run directory, or the folder that vila demo left");
    args.option("--output", output, "where to write the page (default: RUN/report.html)");
    args.option("--samples", count,
                "of a run: records of its training data that the model answers on the page")
        ->check(CLI::NonNegativeNumber);
    common.declare(args);
    args.parse();
    const std::filesystem::path path = output.empty() ? run / "report.html" : output;
    std::vector<SourceSamples> samples;
    if (count > 0 && std::filesystem::exists(run / "recipe.toml")) {
        try {
            samples = run_samples(run, count, common);
        } catch (const Error& error) {
            std::fprintf(stderr, "vila report: no samples: %s\n", error.what());
        }
    }
    write_file_atomic(path, report_page(run, samples));
    std::printf("%s\n", path.c_str());
    return 0;
}

}  // namespace vila::tools
