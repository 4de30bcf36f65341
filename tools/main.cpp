// The binary. Finds the command in a table and runs it; an exception becomes one line on stderr and
// an exit code (0 success, 1 failure, 2 usage). Read tools/README.md next.

#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <new>
#include <stdexcept>

#include "tensor/env.h"
#include "tensor/json.h"
#include "tensor/nearest_name.h"
#include "tools/base/message_line.h"
#include "tools/base/output.h"
#include "tools/base/process_signals.h"
#include "tools/commands.h"

namespace vila::tools {

namespace {

struct Command {
    const char* name;
    int (*run)(Args&);
    const char* help;
    bool handles_stop = false;  // saves on SIGTERM and SIGINT, or leaves them to a child that does
};

// Every command, in the order in which a newcomer needs them.
std::vector<Command> commands() {
    return {
        {"demo", cmd_demo, "train and evaluate a small model from scratch, on a miniature world",
         true},
        {"train", cmd_train, "train one stage of a model from a recipe, or resume a run", true},
        {"plan", cmd_plan, "predict the memory and tokens of a training run"},
        {"generate", cmd_generate, "answer a prompt, with or without images or a video"},
        {"chat", cmd_chat, "chat with a model in the terminal"},
        {"score", cmd_score, "compute log probabilities of given continuations"},
        {"eval", cmd_eval, "score a model on held-out questions"},
        {"tokenize", cmd_tokenize, "convert text to token ids and back"},
        {"preprocess", cmd_preprocess, "convert images to pixel values"},
        {"convert", cmd_convert, "convert a model to another layout or dtype"},
        {"data", cmd_data, "make the miniature world; summarize or check a dataset"},
        {"export", cmd_export, "write the model in a checkpoint as a model directory"},
        {"inspect", cmd_inspect,
         "describe a model, a checkpoint, a safetensors file or a dataset record"},
        {"bench", cmd_bench, "benchmark hot paths against the limits of this machine"},
        {"report", cmd_report, "write a report on a training run as one HTML page"},
    };
}

constexpr const char* kOutOfMemory =
    "out of memory: an input file or an option asks for more than this machine has";
constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

std::string usage() {
    std::string text =
        "vila builds, trains, evaluates and runs VILA visual language models.\n\n"
        "usage: vila COMMAND [arguments]      vila COMMAND --help      vila --version\n\n";
    for (const Command& command : commands()) {
        char line[120];
        std::snprintf(line, sizeof line, "  %-12s %s\n", command.name, command.help);
        text += line;
    }
    return text;
}

std::string environment_help() {
    std::string text = "\nenvironment variables, with their defaults:\n\n";
    for (const EnvironmentSwitch& row : environment_switches()) {
        char assignment[64];
        std::snprintf(assignment, sizeof assignment, "  %-30s ",
                      str(row.name, "=", row.default_value).c_str());
        text += str(assignment, row.help, "\n");
    }
    return text;
}

int fail(const std::string& command, const char* message, int code) {
    std::fprintf(stderr, "%s\n", message_line(str("vila ", command, ": ", message)).c_str());
    if (code == kExitUsage)
        std::fprintf(stderr, "'vila %s --help' lists its arguments\n", command.c_str());
    return code;
}

// Runs a part of the program that prints results. An exception becomes a message and an exit code.
int guarded(std::string name, const ProcessSignals& signals, const std::function<int()>& run) {
    int code = kExitFailure;
    std::string message;
    try {
        const int result = run();
        close_standard_output();
        return result;
    } catch (const ActionUsageError& error) {
        code = kExitUsage;
        message = error.what();
        name = error.command();
    } catch (const UsageError& error) {
        code = kExitUsage;
        message = error.what();
    } catch (const FileError& error) {
        message = error.what();
        if (error.code() == EPIPE) signals.end_for_closed_pipe();
    } catch (const std::filesystem::filesystem_error& error) {
        message = str(error.path1().string(), ": ", error.code().message());
    } catch (const Json::exception& error) {
        message = json_error_text(error);
    } catch (const std::bad_alloc&) {
        message = kOutOfMemory;
    } catch (const std::length_error&) {
        message = kOutOfMemory;  // thrown by containers
    } catch (const std::exception& error) {
        message = error.what();
    }
    signals.wait_if_stopping();
    return fail(name, message.c_str(), code);
}

int run(const Command& command, Args& args, ProcessSignals& signals) {
    return guarded(command.name, signals, [&] {
        if (!command.handles_stop) signals.clean_up_on_stop();
        try {
            return command.run(args);
        } catch (const HelpRequested& help) {
            print_text(help.text);
            return 0;
        }
    });
}

int print_help() {
    print_text(usage() + environment_help());
    return 0;
}

int print_version() {
    print_text("vila " VILA_VERSION "\n");
    return 0;
}

int dispatch(const std::vector<std::string>& words) {
    ProcessSignals signals;
    if (words.empty()) {
        std::fputs(usage().c_str(), stderr);
        return kExitUsage;
    }
    const std::string& name = words.front();
    if (name == "--help" || name == "-h" || name == "help")
        return guarded(name, signals, print_help);
    if (name == "--version") return guarded(name, signals, print_version);
    std::vector<std::string> names;
    for (const Command& command : commands()) {
        if (name == command.name) {
            Args args(name, command.help, {words.begin() + 1, words.end()});
            return run(command, args, signals);
        }
        names.push_back(command.name);
    }
    const std::string message =
        str("vila: unknown command '", name, "'; did you mean '", nearest_name(name, names), "'?");
    std::fprintf(stderr, "%s\n\n%s", message_line(message).c_str(), usage().c_str());
    return kExitUsage;
}

}  // namespace

}  // namespace vila::tools

int main(int argc, char** argv) {
    return vila::tools::dispatch({argv + 1, argv + argc});
}
