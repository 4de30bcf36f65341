#pragma once

// Options of one command, each declared once: the declaration drives parsing, the default, --help
// and the check for unknown names. Built on CLI11.
//
//   int cmd_greet(Args& args) {
//       std::string name = "world";
//       args.option("--name", name, "whom to greet");
//       args.parse();
//       ...
//   }
//
// What every command may share (--device, --dtype, --threads, --seed) is in CommonOptions below.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tensor/check.h"
#include "tensor/device.h"
#include "tensor/dtype.h"

namespace vila::tools {

// Thrown by Args::parse() for --help; `main` prints the text on stdout and exits 0.
struct HelpRequested {
    std::string text;
};

class Args {
  public:
    // `arguments` are those after the command's name. `description` opens the help text.
    Args(const std::string& command, const std::string& description,
         std::vector<std::string> arguments);

    const std::string& command() const { return command_; }
    // Everything after the command's name, as given: for messages that say how to repeat it.
    const std::vector<std::string>& raw() const { return arguments_; }
    // More text for --help, after the options: formats, examples, exit codes.
    void footer(const std::string& text) { app_.footer(text); }

    // An option with a value: option("--steps", steps, "..."). The variable's value at this moment
    // is the default; std::optional stays empty when the option is absent. A std::vector takes one
    // value each time the option is given. Returns CLI11's handle for ->required() and checks.
    template <typename T>
    CLI::Option* option(const std::string& name, T& value, const std::string& help) {
        CLI::Option* declared = app_.add_option(name, value, help);
        if constexpr (requires {
                          value.push_back(*value.begin());
                          value.begin()->size();
                      })
            declared->allow_extra_args(false);
        else if constexpr (!requires { value.has_value(); })
            declared->capture_default_str();
        return declared;
    }
    // A switch: false unless given.
    CLI::Option* flag(const std::string& name, bool& value, const std::string& help) {
        return app_.add_flag(name, value, help);
    }
    // An argument without a name, required; see optional_positional for the rest.
    template <typename T>
    CLI::Option* positional(const std::string& name, T& value, const std::string& help) {
        return app_.add_option(name, value, help)->required();
    }
    template <typename T>
    CLI::Option* optional_positional(const std::string& name, T& value, const std::string& help) {
        return app_.add_option(name, value, help);
    }

    // Fills the declared variables. Throws UsageError (a misspelt option is answered with the
    // nearest one) or HelpRequested.
    void parse();

  private:
    void refuse_unknown(const std::vector<std::string>& unknown) const;

    std::string command_;
    std::vector<std::string> arguments_;
    CLI::App app_;
};

// The options that commands which compute have in common.
struct CommonOptions {
    std::string device = "cpu";
    std::optional<std::string> dtype;
    int threads = 0;  // 0: all cores this process may use
    std::optional<uint64_t> seed;

    // Declares the four of them.
    void declare(Args& args);
    // The device asked for. Throws UsageError for a name that is none, Error when it is not there.
    std::unique_ptr<Device> make_device() const;
    // --dtype, or `fallback` when it was not given.
    DType dtype_or(DType fallback) const;
};

}  // namespace vila::tools
