#pragma once

// The options --template and --system, shared by the commands that give a model conversations.

#include <string>

#include "tools/base/args.h"
#include "tools/base/model_template.h"
#include "tools/base/option_checks.h"
#include "tools/base/output_guard.h"
#include "tools/run/loaded_model.h"

namespace vila::tools {

struct TemplateOptions {
    std::string name, system;

    void declare(Args& args) {
        args.option(
            "--template", name,
            "chat template to use instead of the model's: a name, or a file with Jinja source");
        args.option("--system", system, "system message of conversations that have none");
    }
    // Throws if an output of the command is the file of the template.
    void check_not_written(const OutputGuard& outputs) const {
        outputs.check_input("--template", name);
    }
    bool given() const { return !name.empty() || !system.empty(); }
    // Sets the template and the system message that were given. Throws if the message is not text.
    void apply(LoadedModel& loaded) const {
        check_utf8("--system", system);
        if (!name.empty()) loaded.prompts().use_template(find_template(name, loaded.directory()));
        loaded.prompts().use_system(system);
    }
};

}  // namespace vila::tools
