// The table of environment switches.

#include "tensor/env.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/driver.h"

namespace vila::testing {

TEST(TensorEnv, DescribesEverySwitch) {
    EXPECT_FALSE(environment_switches().empty());
    for (const EnvironmentSwitch& row : environment_switches()) {
        const std::string help = row.help;
        EXPECT_GT(help.size(), 10U) << row.name;
        const bool by_launcher = help.starts_with("set by ");
        EXPECT_NE(std::string(row.name).starts_with("VILA_"), by_launcher) << row.name;
    }
}

TEST(TensorEnv, ReadsValuesAndDefaults) {
    const char* name = "VILA_TEST_SEED";
    const std::string before = environment(name);
    unsetenv(name);
    EXPECT_EQ(environment(name), "1");
    setenv(name, "", 1);
    EXPECT_EQ(environment_int(name), 1);
    setenv(name, "42", 1);
    EXPECT_EQ(environment_int(name), 42);
    setenv(name, "4x", 1);
    EXPECT_EQ(expect_error("environment variable VILA_TEST_SEED=4x: expected an integer",
                           [&] { environment_int(name); }),
              "");
    setenv(name, before.c_str(), 1);
    EXPECT_EQ(expect_error("VILA_UNKNOWN is not in the table", [] { environment("VILA_UNKNOWN"); }),
              "");
}

}  // namespace vila::testing
