// vila report RUN: writes one HTML page about a training run or a demo.

#include <cstdio>
#include <filesystem>

#include "data/records/record_file.h"
#include "tensor/output_path.h"
#include "tensor/path_kind.h"
#include "tools/base/message_line.h"
#include "tools/base/option_checks.h"
#include "tools/base/output.h"
#include "tools/commands.h"
#include "tools/report/report.h"

namespace vila::tools {

int cmd_report(Args& args) {
    std::filesystem::path run, output;
    int64_t count = 12;
    CommonOptions common;
    args.positional("RUN", run, "run directory, or output folder of vila demo");
    args.option("--output", output,
                "file to write (default: RUN/report.html); - is standard output");
    args.option("--samples", count,
                "records of the training data to show with the model's answers; 0 shows none")
        .non_negative();
    common.declare(args);
    args.parse();
    VILA_CHECK(path_exists(run), run.string(), ": does not exist");
    const bool is_run = path_exists(run / "recipe.toml");
    if (!is_run) refuse_options(args, {"--samples"}, "on a folder that is not a training run");
    const std::filesystem::path path = output.empty() ? run / "report.html" : output;
    if (!output.empty()) check_output_path(output_path(output));
    check_report_path(run, path);
    std::vector<SourceSamples> samples;
    if (count > 0 && is_run) {
        try {
            samples = run_samples(run, count, common);
        } catch (const Error& error) {
            // Where the model does not fit into memory, the report is made without samples.
            const bool memory = dynamic_cast<const OutOfMemory*>(&error) != nullptr;
            if (!memory) data::rethrow_system_failure(error);
            const std::string message = str("vila report: no samples: ", error.what());
            std::fprintf(stderr, "%s\n", message_line(message).c_str());
        }
    }
    const std::string text = report_page(run, samples);
    ResultFile page(path);
    page.write(text);
    page.finish();
    if (!is_standard_stream(path)) print_text(path.string() + "\n");
    return 0;
}

}  // namespace vila::tools
