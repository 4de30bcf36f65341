#pragma once

// The commands of the binary. Each is one function, in a file cmd_NAME.cpp of a subfolder; the
// table with the one-line help texts is in main.cpp. A command declares its options, calls
// args.parse(), does its work and returns the exit code (0 success, 1 failure). It throws Error for
// a failure and UsageError for a mistake in the command line.

#include "tools/base/args.h"

namespace vila::tools {

// A mistake in the command line of an action of a command, such as "data stats", which has a --help
// of its own.
class ActionUsageError : public UsageError {
  public:
    ActionUsageError(std::string command, std::string_view text)
        : UsageError(text), command_(std::move(command)) {}
    const std::string& command() const { return command_; }

  private:
    std::string command_;
};

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
int cmd_train(Args& args);

}  // namespace vila::tools
