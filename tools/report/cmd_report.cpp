// vila report RUN: writes one HTML page about a training run or a demo.

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
    args.positional("RUN", run, "run directory, or output folder of vila demo");
    args.option("--output", output, "file to write (default: RUN/report.html)");
    args.option("--samples", count,
                "records of the training data to show with the model's answers; 0 shows none")
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
