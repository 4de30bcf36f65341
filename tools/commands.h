#pragma once

// The commands of the binary, one function each in tools/cmd_NAME.cpp; the table with their
// one-line help is in main.cpp. A command declares its options, calls args.parse(), works, and
// returns the exit code (0 success, 1 failure); it throws Error for failures with one line to say
// and UsageError for mistakes in the command line.

#include "tools/base/args.h"

namespace vila::tools {

int cmd_train(Args& args);
int cmd_bench(Args& args);
int cmd_chat(Args& args);
int cmd_convert(Args& args);
int cmd_data(Args& args);
int cmd_demo(Args& args);
int cmd_eval(Args& args);
int cmd_export(Args& args);
int cmd_generate(Args& args);
int cmd_inspect(Args& args);
int cmd_plan(Args& args);
int cmd_preprocess(Args& args);
int cmd_report(Args& args);
int cmd_score(Args& args);
int cmd_tokenize(Args& args);

}  // namespace vila::tools
