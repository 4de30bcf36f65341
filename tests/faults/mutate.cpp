// Runs the program on damaged files of every kind that it reads. Whatever a file contains, the
// program must end with exit code 0, 1 or 2 within 5 s of processor time and with less than 1 GB of
// memory, and a failure must be one line of at most 300 bytes that names the file and has no words
// of a library.
//
//   mutate BINARY FOLDER CASES SEED [FIRST]
//
// FOLDER holds whole files, as tests/cli/mutations.sh makes them. Two processes run the cases FIRST
// (0) to FIRST + CASES - 1, each in a copy of FOLDER. A case is a function of SEED and its number.
// The files of a case that failed stay in FOLDER/found.

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tensor/check.h"
#include "tensor/random.h"
#include "tests/faults/mutation.h"
#include "tests/faults/mutation_targets.h"

namespace vila {

namespace {

namespace fs = std::filesystem;

constexpr int kProcesses = 2;
constexpr rlim_t kProcessorSeconds = 5;
constexpr int kWallSeconds = 60;  // for a process that waits instead of computing
constexpr long kMostKilobytes = 1'000'000;
constexpr rlim_t kMostBytes = rlim_t{4} << 30;  // so that a mistake does not stop the machine
constexpr size_t kLongestMessage = 300;

std::string contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Damages the file, or puts something else in its place.
void damage(const fs::path& file, const MutationTarget& target, Dice& dice) {
    std::string bytes = contents(file);
    if (dice.below(100) == 0) {
        fs::remove(file);
        switch (dice.below(5)) {
            case 0:
                ::mkfifo(file.c_str(), 0666);
                return;
            case 1:
                fs::create_directory(file);
                return;
            case 2:
                fs::create_symlink("/dev/zero", file);
                return;
            case 3:
                fs::create_symlink(file.filename(), file);
                return;
            default:
                bytes.clear();
        }
    } else {
        for (size_t changes = 1 + dice.below(3); changes > 0; --changes) {
            if (target.is_text && dice.below(3) > 0)
                change_value(bytes, dice);
            else
                change_bytes(bytes, dice);
        }
    }
    std::ofstream(file, std::ios::binary) << bytes;
}

// The words of a command; checkpoints have no fixed name.
std::vector<std::string> words_of(const MutationTarget& target, const fs::path& checkpoint) {
    std::vector<std::string> words;
    std::istringstream in(target.command);
    for (std::string word; in >> word;)
        words.push_back(word == "{}"           ? target.file
                        : word == "checkpoint" ? checkpoint.string()
                                               : word);
    return words;
}

struct Outcome {
    int status = 0;
    long kilobytes = 0;
    bool blocked = false;
    std::string errors;  // what it wrote to stderr
};

[[noreturn]] void execute(const std::string& binary, std::vector<std::string> words) {
    const rlimit processor = {kProcessorSeconds, kProcessorSeconds + 1}, none = {0, 0};
    const rlimit memory = {kMostBytes, kMostBytes};
    ::setrlimit(RLIMIT_CPU, &processor);
    ::setrlimit(RLIMIT_CORE, &none);
    ::setrlimit(RLIMIT_DATA, &memory);
    ::setenv("OMP_NUM_THREADS", "1", 1);
    ::dup2(::open("input.txt", O_RDONLY), STDIN_FILENO);
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    ::dup2(::open("errors", O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
    words.insert(words.begin(), binary);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(binary.c_str(), arguments.data());
    std::_Exit(126);
}

Outcome run(const std::string& binary, const std::vector<std::string>& words) {
    Outcome outcome;
    const pid_t child = ::fork();
    if (child == 0) execute(binary, words);
    constexpr useconds_t kPause = 2000;
    rusage usage = {};
    for (int waited = 0; ::wait4(child, &outcome.status, WNOHANG, &usage) == 0; ++waited) {
        outcome.blocked = waited > kWallSeconds * 1'000'000 / static_cast<int>(kPause);
        if (outcome.blocked) ::kill(child, SIGKILL);
        ::usleep(kPause);
    }
    outcome.kilobytes = usage.ru_maxrss;
    outcome.errors = contents("errors");
    return outcome;
}

// Returns what is wrong with a message; empty if nothing is.
std::string fault_of_message(const std::string& errors, const std::vector<std::string>& names) {
    for (const char* words : {"json.exception", "std::", "vector::", "basic_string", "bad_alloc"})
        if (errors.find(words) != std::string::npos) return "words of a library";
    std::istringstream lines(errors);
    int messages = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.size() > kLongestMessage) return str("a line of ", line.size(), " bytes");
        if (one_line(line) != line) return "control characters";
        if (!line.starts_with("vila ")) continue;
        ++messages;
        const auto is_in = [&](const std::string& name) {
            return line.find(name) != std::string::npos;
        };
        if (std::none_of(names.begin(), names.end(), is_in)) return "the file is not named";
    }
    return messages == 1 ? "" : str(messages, " messages");
}

std::string fault_of(const Outcome& outcome, const std::vector<std::string>& names) {
    if (outcome.blocked) return "it never ends";
    if (WIFSIGNALED(outcome.status)) return str("signal ", WTERMSIG(outcome.status));
    const int code = WEXITSTATUS(outcome.status);
    if (code > 2) return str("exit code ", code);
    if (outcome.kilobytes > kMostKilobytes) return str(outcome.kilobytes, " kB of memory");
    return code == 0 ? "" : fault_of_message(outcome.errors, names);
}

class Worker {
  public:
    Worker(std::string binary, const fs::path& folder, uint64_t seed, int number)
        : binary_(std::move(binary)),
          found_(folder / "found"),
          own_(folder.parent_path() / str(folder.filename().string(), ".", number)),
          seed_(seed),
          targets_(mutation_targets(folder)) {
        fs::remove_all(own_);
        fs::copy(folder, own_, fs::copy_options::recursive);
        fs::current_path(own_);
        for (const auto& entry : fs::directory_iterator("sft/checkpoints"))
            checkpoint_ = std::max(checkpoint_, entry.path());
    }
    ~Worker() {
        std::error_code ignored;
        fs::remove_all(own_, ignored);
    }

    // Returns whether the program did what it must.
    bool run_case(uint64_t number) {
        Dice dice(random_key(seed_, 0, number));
        MutationTarget target = targets_[number % targets_.size()];
        if (target.file == "sft/manifest") target.file = checkpoint_ / "manifest.json";
        if (target.file == "sft/rank") target.file = checkpoint_ / "rank-00000.safetensors";
        const std::string whole = contents(target.file);
        damage(target.file, target, dice);
        const std::vector<std::string> words = words_of(target, checkpoint_);
        std::vector<std::string> names = {fs::path(target.file).filename().string()};
        for (const std::string& name : target.also_named)
            names.push_back(name == "checkpoint" ? checkpoint_.string() : name);
        // A damaged recipe may name any file instead of the right one.
        if (fs::path(target.file).extension() == ".toml") names.push_back(own_.string());
        const Outcome outcome = run(binary_, words);
        const std::string fault = fault_of(outcome, names);
        if (!fault.empty()) report(number, target, words, fault, outcome);
        fs::remove_all(target.file);
        std::ofstream(target.file, std::ios::binary) << whole;
        for (const char* made : {"out", "page.html", "exported"}) fs::remove_all(made);
        return fault.empty();
    }

  private:
    void report(uint64_t number, const MutationTarget& target,
                const std::vector<std::string>& words, const std::string& fault,
                const Outcome& outcome) const {
        fs::create_directories(found_);
        const fs::path kept = found_ / str(number, "-", fs::path(target.file).filename().string());
        std::error_code ignored;
        if (fs::is_regular_file(target.file))
            fs::copy_file(target.file, kept, fs::copy_options::overwrite_existing, ignored);
        std::string command;
        for (const std::string& word : words) command += " " + word;
        std::fprintf(stdout, "seed %llu case %llu: %s:%s (%s)\n    %s\n",
                     static_cast<unsigned long long>(seed_),
                     static_cast<unsigned long long>(number), fault.c_str(), command.c_str(),
                     kept.c_str(), one_line(outcome.errors.substr(0, 400)).c_str());
        std::fflush(stdout);
    }

    std::string binary_;
    fs::path found_, own_, checkpoint_;
    uint64_t seed_;
    std::vector<MutationTarget> targets_;
};

// Runs every kProcesses-th case; returns the exit code.
int work(const std::string& binary, const fs::path& folder, uint64_t seed, uint64_t first,
         uint64_t cases, int number) {
    Worker worker(binary, folder, seed, number);
    uint64_t failed = 0;
    for (uint64_t i = first; i < first + cases; ++i)
        if (i % kProcesses == static_cast<uint64_t>(number) && !worker.run_case(i)) ++failed;
    return failed == 0 ? 0 : 1;
}

int run_all(int argc, char** argv) {
    if (argc != 5 && argc != 6) {
        std::fprintf(stderr, "usage: mutate BINARY FOLDER CASES SEED [FIRST]\n");
        return 2;
    }
    const std::string binary = fs::absolute(argv[1]);
    const fs::path folder = fs::absolute(argv[2]).lexically_normal();
    const uint64_t cases = std::strtoull(argv[3], nullptr, 10);
    const uint64_t seed = std::strtoull(argv[4], nullptr, 10);
    const uint64_t first = argc == 6 ? std::strtoull(argv[5], nullptr, 10) : 0;
    fs::remove_all(folder / "found");
    std::printf("%llu damaged files, seed %llu\n", static_cast<unsigned long long>(cases),
                static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    std::vector<pid_t> workers;
    for (int number = 0; number < kProcesses; ++number) {
        const pid_t child = ::fork();
        if (child == 0) std::_Exit(work(binary, folder, seed, first, cases, number));
        workers.push_back(child);
    }
    bool good = true;
    for (const pid_t worker : workers) {
        int status = 0;
        ::waitpid(worker, &status, 0);
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good ? 0 : 1;
}

}  // namespace

}  // namespace vila

int main(int argc, char** argv) {
    return vila::run_all(argc, argv);
}
