#include "tools/base/args.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <type_traits>

#include <CLI/CLI.hpp>

#include "cuda/cuda_device.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/name_list.h"
#include "tensor/nearest_name.h"

namespace vila::tools {

namespace {

// Returns whether the whole text is a number of type T for which `holds` is true.
template <typename T>
bool is_number(const std::string& text, const std::function<bool(T)>& holds) {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && holds(number);
}

// Throws unless a number that was given is one that commands can compute with: finite, and an
// integer within 2^40 of zero, or a seed below 2^64. CLI11 accepts infinity and NaN, and clamps
// integers that do not fit into 64 bits.
void check_number(const CLI::Option& option, const std::string& text) {
    constexpr int64_t kLargest = int64_t{1} << 40;
    const std::string type = option.get_type_name();
    const auto refuse = [&](const std::string& expected) {
        throw UsageError(str(option.get_name(), ": expected ", expected, ", got '", text, "'"));
    };
    if (type.starts_with("FLOAT") &&
        !is_number<double>(text, [](double number) { return std::isfinite(number); }))
        refuse("a finite number");
    if (type.starts_with("INT") && !is_number<int64_t>(text, [](int64_t number) {
            return number >= -kLargest && number <= kLargest;
        }))
        refuse("an integer within 2^40 of zero");
    if (type.starts_with("UINT") && !is_number<uint64_t>(text, [](uint64_t) { return true; }))
        refuse(str("a number from 0 to ", UINT64_MAX));
}

// Returns an error message for an empty value, or nothing.
std::string not_empty(const std::string& value) {
    return value.empty() ? "expected a name, got an empty one" : "";
}

// Declares `value`. Its default is not yet shown.
CLI::Option* add(CLI::App& app, const std::string& name, OptionTarget value,
                 const std::string& help) {
    return std::visit(
        [&]<typename T>(T* target) {
            CLI::Option* declared = app.add_option(name, *target, help);
            if constexpr (std::is_same_v<T, std::filesystem::path>) declared->check(not_empty);
            return declared;
        },
        value);
}

template <typename T>
constexpr bool is_vector = false;
template <typename T>
constexpr bool is_vector<std::vector<T>> = true;
template <typename T>
constexpr bool is_optional = false;
template <typename T>
constexpr bool is_optional<std::optional<T>> = true;

// Adds the rule that each value of `option` is a number for which `holds` is true. `shown` stands
// beside the option in --help, `expected` in the error message.
void check_values(CLI::Option& option, const std::string& shown, const std::string& expected,
                  const std::function<bool(double)>& holds) {
    const auto check = [=](const std::string& text) {
        return is_number<double>(text, holds) ? ""
                                              : "expected " + expected + ", got '" + text + "'";
    };
    option.check(CLI::Validator(check, shown));
}

// A bound as --help shows it: 16384, 0.0001.
std::string shown_bound(double bound) {
    char text[32];
    const auto [end, error] =
        std::to_chars(text, text + sizeof text, bound, std::chars_format::general, 15);
    return {text, end};
}

}  // namespace

Option& Option::required() {
    option_->required();
    return *this;
}

Option& Option::positive() {
    check_values(*option_, "POSITIVE", "a number above 0",
                 [](double number) { return number > 0; });
    return *this;
}

Option& Option::non_negative() {
    check_values(*option_, "NONNEGATIVE", "a number of at least 0",
                 [](double number) { return number >= 0; });
    return *this;
}

Option& Option::range(double least, double most) {
    const std::string bounds = "[" + shown_bound(least) + ", " + shown_bound(most) + "]";
    check_values(*option_, bounds, "a number in " + bounds,
                 [=](double number) { return number >= least && number <= most; });
    return *this;
}

Option& Option::one_of(const std::vector<std::string>& values) {
    const std::string list = name_list(values);
    const auto check = [=](const std::string& text) {
        const bool listed = std::find(values.begin(), values.end(), text) != values.end();
        return listed ? "" : "expected " + list + ", got '" + text + "'";
    };
    option_->check(CLI::Validator(check, "{" + list + "}"));
    return *this;
}

Args::Args(const std::string& command, const std::string& description,
           std::vector<std::string> arguments)
    : command_(command),
      arguments_(std::move(arguments)),
      app_(std::make_unique<CLI::App>(description, "vila " + command)) {
    app_->allow_extras();
}

Args::~Args() = default;

void Args::footer(const std::string& text) {
    app_->footer(text);
}

bool Args::is_given(const std::string& name) const {
    const CLI::Option* declared = app_->get_option_no_throw(name);
    VILA_ASSERT(declared != nullptr);
    return declared->count() > 0;
}

void Args::flag(const std::string& name, bool& value, const std::string& help) {
    app_->add_flag(name, value, help);
}

Option Args::declare_option(const std::string& name, OptionTarget value, const std::string& help) {
    CLI::Option* declared = add(*app_, name, value, help);
    std::visit(
        [&]<typename T>(T*) {
            // One value at a time, as often as the option is given.
            if constexpr (is_vector<T>)
                declared->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
            else if constexpr (!is_optional<T>)
                declared->capture_default_str();
        },
        value);
    return Option(declared);
}

Option Args::declare_positional(const std::string& name, OptionTarget value,
                                const std::string& help) {
    return Option(add(*app_, name, value, help));
}

void Args::parse() {
    std::string problem;
    try {
        app_->parse(std::vector<std::string>(arguments_.rbegin(), arguments_.rend()));
    } catch (const CLI::CallForHelp&) {
        throw HelpRequested{app_->help()};
    } catch (const CLI::ParseError& error) {
        problem = error.what();
    }
    // Report a misspelled option first: it may be the reason why a required one is missing. Then
    // values that are not numbers, for which CLI11's own message says less.
    refuse_unknown(app_->remaining());
    for (const CLI::Option* option : app_->get_options())
        for (const std::string& text : option->results()) check_number(*option, text);
    if (!problem.empty()) {
        for (const CLI::Option* option : app_->get_options())
            if (option->results().size() > 1 && option->get_items_expected_max() == 1)
                throw UsageError(str(option->get_name(), " is given ", option->results().size(),
                                     " times: expected once"));
        throw UsageError(problem);
    }
}

void Args::refuse_unknown(const std::vector<std::string>& unknown) const {
    if (unknown.empty()) return;
    const std::string& first = unknown.front();
    if (first.empty() || first[0] != '-')
        throw UsageError(str("unexpected argument '", first, "': an option takes one value"));
    std::vector<std::string> names;
    for (const CLI::Option* option : app_->get_options())
        if (!option->get_lnames().empty()) names.push_back("--" + option->get_lnames().front());
    const std::string given = first.substr(0, first.find('='));
    throw UsageError(
        str("unknown option ", given, "; did you mean ", nearest_name(given, names), "?"));
}

void CommonOptions::declare(Args& args) {
    args.option("--device", device, "device to compute on: cpu, cuda or cuda:N");
    args.option("--dtype", dtype,
                "dtype of weights and activations (default: f32; train: as in the recipe; bench on "
                "a GPU: "
                "bf16)")
        .one_of({"f32", "bf16"});
    args.option("--threads", threads, "CPU threads; 0 uses all cores").range(0, 4096);
    args.option("--seed", seed,
                "seed of all random numbers (default: 0; demo: 1; train: as in the recipe)");
}

std::unique_ptr<Device> CommonOptions::make_device() const {
    if (device == "cpu") return make_cpu_device(threads);
    const bool cuda = device == "cuda" ||
                      (device.starts_with("cuda:") && device.size() > 5 && device.size() < 9 &&
                       std::all_of(device.begin() + 5, device.end(),
                                   [](char c) { return c >= '0' && c <= '9'; }));
    if (!cuda) throw UsageError(str("--device ", device, ": expected cpu, cuda or cuda:N"));
    return make_cuda_device(device == "cuda" ? 0 : std::stoi(device.substr(5)));
}

DType CommonOptions::dtype_or(DType fallback) const {
    return dtype ? dtype_from_name(*dtype) : fallback;
}

}  // namespace vila::tools
