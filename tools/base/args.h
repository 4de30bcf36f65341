#pragma once

// The command line of one command. An option is declared once; the declaration drives parsing, the
// default value, --help and the check for unknown names. Built on CLI11.
//
//   int cmd_greet(Args& args) {
//       std::string name = "world";
//       args.option("--name", name, "person to greet");
//       args.parse();
//       ...
//   }
//
// CommonOptions below declares the options that many commands share: --device, --dtype, --threads
// and --seed.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
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
    // `arguments` are the words after the command's name. `description` starts the help text.
    Args(const std::string& command, const std::string& description,
         std::vector<std::string> arguments);

    const std::string& command() const { return command_; }
    // The words after the command's name, unparsed.
    const std::vector<std::string>& raw() const { return arguments_; }
    // Adds text after the options in --help: formats, examples, exit codes.
    void footer(const std::string& text) { app_.footer(text); }

    // Declares an option with a value: option("--steps", steps, "..."). The current value of the
    // variable is the default; a std::optional stays empty if the option is absent. A std::vector
    // takes one value each time the option is given. Returns CLI11's handle, for ->required() and
    // ->check().
    template <typename T>
    CLI::Option* option(const std::string& name, T& value, const std::string& help) {
        CLI::Option* declared = add(name, value, help);
        if constexpr (requires {
                          value.push_back(*value.begin());
                          value.begin()->size();
                      })
            declared->allow_extra_args(false);
        else if constexpr (!requires { value.has_value(); })
            declared->capture_default_str();
        return declared;
    }
    // Declares a switch, false unless given.
    CLI::Option* flag(const std::string& name, bool& value, const std::string& help) {
        return app_.add_flag(name, value, help);
    }
    // Declares a required positional argument.
    template <typename T>
    CLI::Option* positional(const std::string& name, T& value, const std::string& help) {
        return add(name, value, help)->required();
    }
    // Declares an optional positional argument.
    template <typename T>
    CLI::Option* optional_positional(const std::string& name, T& value, const std::string& help) {
        return add(name, value, help);
    }

    // Fills the declared variables. Throws UsageError, which names the nearest option for a
    // misspelled one, or HelpRequested.
    void parse();

  private:
    // A path must not be empty.
    template <typename T>
    CLI::Option* add(const std::string& name, T& value, const std::string& help) {
        CLI::Option* declared = app_.add_option(name, value, help);
        if constexpr (std::is_same_v<T, std::filesystem::path>) declared->check(not_empty);
        return declared;
    }
    // Returns an error message, or nothing for a valid value.
    static std::string not_empty(const std::string& value);
    void refuse_unknown(const std::vector<std::string>& unknown) const;

    std::string command_;
    std::vector<std::string> arguments_;
    CLI::App app_;
};

// The options of commands that compute.
struct CommonOptions {
    std::string device = "cpu";
    std::optional<std::string> dtype;
    int threads = 0;  // 0 uses all cores that this process may use
    std::optional<uint64_t> seed;

    // Declares the four options.
    void declare(Args& args);
    // Makes the requested device. Throws UsageError for an unknown name, Error if the machine does
    // not have the device.
    std::unique_ptr<Device> make_device() const;
    // The value of --dtype, or `fallback` if it is absent.
    DType dtype_or(DType fallback) const;
};

}  // namespace vila::tools
