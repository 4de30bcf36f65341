#include "tools/base/output_guard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tensor/file.h"
#include "tests/support/temporary_directory.h"

namespace vila::tools {
namespace {

namespace fs = std::filesystem;

class OutputGuardTest : public ::testing::Test {
  protected:
    OutputGuardTest() {
        fs::create_directories(at("model/llm"));
        for (const char* name : {"input", "other", "model/config.json"})
            write_file_atomic(at(name), "{}");
        fs::create_symlink("input", at("link"));
        fs::create_hard_link(at("input"), at("twin"));
        fs::create_directory_symlink("model", at("way"));
    }
    fs::path at(const std::string& name) const { return folder_.path() / name; }

    // The message for an output and an input; "" if they may be used together.
    std::string refusal(const fs::path& output, const fs::path& input) const {
        try {
            const OutputGuard guard("--output", output);
            guard.check_input("--input", input);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }
    void expect_refused(const std::string& output, const std::string& input,
                        const std::string& reason) const {
        const std::string message = refusal(at(output), at(input));
        EXPECT_TRUE(message.starts_with("--output " + at(output).string() + reason))
            << output << ", " << input << ": " << message;
    }

    TemporaryDirectory folder_;
};

TEST_F(OutputGuardTest, RefusesTheSameFileByAnyName) {
    for (const char* name : {"input", "link", "twin", "model/../input", "way/../input"}) {
        expect_refused(name, "input", ": is also --input ");
        expect_refused("input", name, ": is also --input ");
    }
    EXPECT_EQ(refusal(at("other"), at("input")), "");
    EXPECT_EQ(refusal(at("new"), at("input")), "");
    EXPECT_EQ(refusal(at("input"), at("absent")), "");
    EXPECT_EQ(refusal("", at("input")), "");
    EXPECT_EQ(refusal(at("input"), ""), "");
}

TEST_F(OutputGuardTest, RefusesPlacesInsideADirectoryThatIsRead) {
    for (const char* input : {"model", "way", "model/", "model/llm/.."})
        for (const char* output : {"model/config.json", "model/new", "model", "model/",
                                   "model/llm/new", "way/new", "model/absent/new"})
            expect_refused(output, input, ": lies inside --input ");
    fs::create_symlink("model/new", at("dangling"));
    expect_refused("dangling", "model", ": lies inside --input ");
    expect_refused("model", "model", ": lies inside --input ");
    for (const char* output : {"modelx", "model.json", "new/model", "model/../new"})
        EXPECT_EQ(refusal(at(output), at("model")), "") << output;
    EXPECT_EQ(refusal(at("model"), at("model/config.json")), "");
}

TEST_F(OutputGuardTest, DevicesAndPipesMayBeBoth) {
    ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
    EXPECT_EQ(refusal("/dev/null", "/dev/null"), "");
    EXPECT_EQ(refusal(at("pipe"), at("pipe")), "");
    const OutputGuard guard({{"--output", "/dev/null"}, {"--dump", "/dev/null"}});
}

TEST_F(OutputGuardTest, RefusesOneFileForTwoOutputs) {
    const auto refused = [&](const char* first, const char* second) {
        try {
            const OutputGuard guard({{"--output", at(first)}, {"--dump", at(second)}});
        } catch (const Error& error) {
            return std::string(error.what()).find("name two different files") != std::string::npos;
        }
        return false;
    };
    EXPECT_TRUE(refused("new", "new"));
    EXPECT_TRUE(refused("new", "model/../new"));
    EXPECT_TRUE(refused("input", "twin"));
    EXPECT_TRUE(refused("link", "input"));
    EXPECT_FALSE(refused("new", "newer"));
    EXPECT_FALSE(refused("input", "other"));
}

TEST_F(OutputGuardTest, StandardStreamsAreComparedByWhatTheyAre) {
    const int before = ::dup(STDOUT_FILENO);
    const int file = ::open(at("input").c_str(), O_WRONLY | O_APPEND);
    ASSERT_GE(::dup2(file, STDOUT_FILENO), 0);
    const std::string same = refusal("-", at("input")), other = refusal("-", at("other"));
    const std::string by_name = refusal("/dev/stdout", at("input"));
    ::dup2(before, STDOUT_FILENO);
    ::close(before);
    ::close(file);
    EXPECT_TRUE(same.starts_with("--output: is also --input ")) << same;
    EXPECT_TRUE(by_name.starts_with("--output /dev/stdout: is also --input ")) << by_name;
    EXPECT_EQ(other, "");
}

}  // namespace
}  // namespace vila::tools
