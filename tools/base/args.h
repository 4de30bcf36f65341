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
#include <variant>
#include <vector>

#include "tensor/check.h"
#include "tensor/device.h"
#include "tensor/dtype.h"

// CLI11 is compiled once, in args.cpp: its header costs every file that includes it seconds.
namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace vila::tools {

// Thrown by Args::parse() for --help; `main` prints the text on stdout and exits 0.
struct HelpRequested {
    std::string text;
};

// A variable that an option sets.
using OptionTarget =
    std::variant<int*, int64_t*, uint64_t*, double*, std::string*, std::filesystem::path*,
                 std::optional<int>*, std::optional<int64_t>*, std::optional<uint64_t>*,
                 std::optional<double>*, std::optional<std::string>*,
                 std::optional<std::filesystem::path>*, std::vector<std::string>*,
                 std::vector<std::filesystem::path>*>;

// A declared option, for adding rules that parse() checks. --help shows them.
class Option {
  public:
    explicit Option(CLI::Option* option) : option_(option) {}
    Option& required();
    // The value must be a number > 0.
    Option& positive();
    // The value must be a number >= 0.
    Option& non_negative();
    // The value must be a number from `least` to `most`.
    Option& range(double least, double most);
    // The value must be one of `values`.
    Option& one_of(const std::vector<std::string>& values);

  private:
    CLI::Option* option_;
};

class Args {
  public:
    // `arguments` are the words after the command's name. `description` starts the help text.
    Args(const std::string& command, const std::string& description,
         std::vector<std::string> arguments);
    ~Args();

    const std::string& command() const { return command_; }
    // The words after the command's name, unparsed.
    const std::vector<std::string>& raw() const { return arguments_; }
    // Adds text after the options in --help: formats, examples, exit codes.
    void footer(const std::string& text);

    // Declares an option with a value: option("--steps", steps, "..."). The current value of the
    // variable is the default; a std::optional stays empty if the option is absent. A std::vector
    // takes one value each time the option is given.
    template <typename T>
    Option option(const std::string& name, T& value, const std::string& help) {
        return declare_option(name, &value, help);
    }
    // Declares a switch, false unless given.
    void flag(const std::string& name, bool& value, const std::string& help);
    // Declares a required positional argument.
    template <typename T>
    void positional(const std::string& name, T& value, const std::string& help) {
        declare_positional(name, &value, help).required();
    }
    // Declares an optional positional argument.
    template <typename T>
    void optional_positional(const std::string& name, T& value, const std::string& help) {
        declare_positional(name, &value, help);
    }

    // After parse(): whether the command line has the option or switch, which must be declared.
    bool is_given(const std::string& name) const;

    // Fills the declared variables. Throws UsageError, which names the nearest option for a
    // misspelled one, or HelpRequested.
    void parse();

  private:
    Option declare_option(const std::string& name, OptionTarget value, const std::string& help);
    Option declare_positional(const std::string& name, OptionTarget value, const std::string& help);
    void refuse_unknown(const std::vector<std::string>& unknown) const;

    std::string command_;
    std::vector<std::string> arguments_;
    std::unique_ptr<CLI::App> app_;
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
