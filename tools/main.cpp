// The binary. Finds the command in a table and runs it; an exception becomes one line on stderr and
// an exit code (0 success, 1 failure, 2 usage). Read tools/README.md next.

#include <cstdio>
#include <exception>
#include <new>

#include "tensor/env.h"
#include "tensor/nearest_name.h"
#include "tools/commands.h"

namespace vila::tools {

namespace {

struct Command {
    const char* name;
    int (*run)(Args&);
    const char* help;
};

// Every command, in the order in which a newcomer needs them.
std::vector<Command> commands() {
    return {
        {"demo", cmd_demo, "train and evaluate a small model from scratch, on a miniature world"},
        {"train", cmd_train, "train one stage of a model from a recipe, or resume a run"},
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

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

void print_usage(std::FILE* out) {
    std::fprintf(
        out,
        "vila builds, trains, evaluates and runs VILA visual language models.\n\n"
        "usage: vila COMMAND [arguments]      vila COMMAND --help      vila --version\n\n");
    for (const Command& command : commands())
        std::fprintf(out, "  %-12s %s\n", command.name, command.help);
}

void print_environment(std::FILE* out) {
    std::fputs("\nenvironment variables, with their defaults:\n\n", out);
    for (const EnvironmentSwitch& row : environment_switches())
        std::fprintf(out, "  %-30s %s\n", str(row.name, "=", row.default_value).c_str(), row.help);
}

int fail(const std::string& command, const char* message, int code) {
    std::fprintf(stderr, "vila %s: %s\n", command.c_str(), one_line(message).c_str());
    if (code == kExitUsage)
        std::fprintf(stderr, "'vila %s --help' lists its arguments\n", command.c_str());
    return code;
}

int run(const Command& command, Args& args) {
    try {
        return command.run(args);
    } catch (const HelpRequested& help) {
        std::fputs(help.text.c_str(), stdout);
        return 0;
    } catch (const UsageError& error) {
        return fail(command.name, error.what(), kExitUsage);
    } catch (const std::bad_alloc&) {
        return fail(command.name, "out of memory", kExitFailure);
    } catch (const std::exception& error) {
        return fail(command.name, error.what(), kExitFailure);
    }
}

int dispatch(const std::vector<std::string>& words) {
    if (words.empty()) {
        print_usage(stderr);
        return kExitUsage;
    }
    const std::string& name = words.front();
    if (name == "--help" || name == "-h" || name == "help") {
        print_usage(stdout);
        print_environment(stdout);
        return 0;
    }
    if (name == "--version") {
        std::puts("vila " VILA_VERSION);
        return 0;
    }
    std::vector<std::string> names;
    for (const Command& command : commands()) {
        if (name == command.name) {
            Args args(name, command.help, {words.begin() + 1, words.end()});
            return run(command, args);
        }
        names.push_back(command.name);
    }
    std::fprintf(stderr, "vila: unknown command '%s'; did you mean '%s'?\n\n", name.c_str(),
                 nearest_name(name, names).c_str());
    print_usage(stderr);
    return kExitUsage;
}

}  // namespace

}  // namespace vila::tools

int main(int argc, char** argv) {
    return vila::tools::dispatch({argv + 1, argv + argc});
}
