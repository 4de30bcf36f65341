// The command line of a command: what options accept, and the message for each value that they
// refuse.

#include "tools/base/args.h"

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tools/base/option_checks.h"

namespace vila::tools {
namespace {

struct Values {
    int count = 3;
    uint64_t seed = 0;
    double share = 0.5;
    std::optional<std::string> dtype;
    std::vector<std::string> images;
    std::filesystem::path folder;
    bool quiet = false;
};

Values parse(const std::vector<std::string>& words) {
    Values values;
    Args args("greet", "greets", words);
    args.option("--count", values.count, "how often").positive();
    args.option("--seed", values.seed, "seed");
    args.option("--share", values.share, "share").range(0, 0.75);
    args.option("--dtype", values.dtype, "dtype").one_of({"f32", "bf16", "f16"});
    args.option("--image", values.images, "images");
    args.option("--folder", values.folder, "folder");
    args.flag("--quiet", values.quiet, "say nothing");
    args.parse();
    return values;
}

std::string error_of(const std::vector<std::string>& words) {
    try {
        parse(words);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

TEST(Args, KeepsDefaultsAndReadsValues) {
    const Values defaults = parse({});
    EXPECT_EQ(defaults.count, 3);
    EXPECT_EQ(defaults.dtype, std::nullopt);
    EXPECT_FALSE(defaults.quiet);
    const Values given =
        parse({"--count", "7", "--seed=18446744073709551615", "--share", "1e-1", "--dtype", "bf16",
               "--image", "a", "--image", "b", "--folder", "x", "--quiet"});
    EXPECT_EQ(given.count, 7);
    EXPECT_EQ(given.seed, UINT64_MAX);
    EXPECT_EQ(given.share, 0.1);
    EXPECT_EQ(given.dtype, "bf16");
    EXPECT_EQ(given.images, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(given.folder, "x");
    EXPECT_TRUE(given.quiet);
}

TEST(Args, SaysWhatAnOptionExpects) {
    EXPECT_EQ(error_of({"--count", "0"}), "--count: expected a number above 0, got '0'");
    EXPECT_EQ(error_of({"--count", "2.5"}),
              "--count: expected an integer within 2^40 of zero, "
              "got '2.5'");
    EXPECT_EQ(error_of({"--share", "0.76"}), "--share: expected a number in [0, 0.75], got '0.76'");
    EXPECT_EQ(error_of({"--share", "nan"}), "--share: expected a finite number, got 'nan'");
    EXPECT_EQ(error_of({"--dtype", "f64"}), "--dtype: expected f32, bf16 or f16, got 'f64'");
    EXPECT_EQ(error_of({"--seed", "-1"}),
              "--seed: expected a number from 0 to "
              "18446744073709551615, got '-1'");
    EXPECT_EQ(error_of({"--folder", ""}), "--folder: expected a name, got an empty one");
    EXPECT_EQ(error_of({"--cuont", "1"}), "unknown option --cuont; did you mean --count?");
}

TEST(Args, TellsWhetherAnOptionWasGiven) {
    int value = 0;
    Args args("greet", "greets", {"--a", "1"});
    args.option("--a", value, "");
    args.option("--b", value, "");
    args.parse();
    EXPECT_TRUE(args.is_given("--a"));
    EXPECT_FALSE(args.is_given("--b"));
}

TEST(Args, TakesNoValueForAnOption) {
    const auto error_of_check = [](const std::vector<std::string>& words) -> std::string {
        std::string prompt;
        int batch = 1;
        bool quiet = false;
        Args args("greet", "greets", words);
        args.option("--prompt", prompt, "");
        args.option("--batch", batch, "");
        args.flag("--quiet", quiet, "");
        args.parse();
        try {
            refuse_options(args, {"--batch", "--quiet"}, "today");
        } catch (const UsageError& error) {
            return error.what();
        }
        return "no error";
    };
    EXPECT_EQ(error_of_check({"--prompt", "--batch"}), "no error");
    EXPECT_EQ(error_of_check({"--prompt", "--batch=2"}), "no error");
    EXPECT_EQ(error_of_check({"--batch", "1"}), "--batch has no effect today: leave it out");
    EXPECT_EQ(error_of_check({"--prompt", "x", "--quiet"}),
              "--quiet has no effect today: leave it out");
}

TEST(Args, ShowsRulesInTheHelp) {
    double scale = 1;
    Args args("greet", "greets", {"--help"});
    args.option("--scale", scale, "size").range(1e-4, 16384);
    try {
        args.parse();
        FAIL() << "--help does not return";
    } catch (const HelpRequested& help) {
        EXPECT_NE(help.text.find("[0.0001, 16384]"), std::string::npos) << help.text;
    }
}

}  // namespace
}  // namespace vila::tools
