#include "tensor/shortened.h"

#include <gtest/gtest.h>

namespace vila {
namespace {

TEST(Shortened, KeepsBeginningAndEnd) {
    EXPECT_EQ(shortened("0123456789", 10), "0123456789");
    EXPECT_EQ(shortened("0123456789a", 10), "0123...89a");
    EXPECT_EQ(shortened("", 10), "");
    const std::string text =
        "r.toml:3: unknown key '" + std::string(100000, 'x') + "'; did you mean?";
    const std::string line = shortened(text);
    EXPECT_EQ(line.size(), kMaxMessage);
    EXPECT_TRUE(line.starts_with("r.toml:3: unknown key 'xxx"));
    EXPECT_TRUE(line.ends_with("xxx'; did you mean?"));
}

TEST(Shortened, KeepsCharactersWhole) {
    std::string text;
    for (int i = 0; i < 20; ++i) text += "\u65e5";  // three bytes each
    for (size_t most = 10; most < 60; ++most) {
        const std::string line = shortened(text, most);
        EXPECT_LE(line.size(), most);
        EXPECT_GT(line.size(), most - 6);
        EXPECT_EQ(line.size() % 3, 0u) << line;
    }
    EXPECT_EQ(shortened(std::string(100, '\x80'), 10).size(), 4u) << "not UTF-8";
}

}  // namespace
}  // namespace vila
