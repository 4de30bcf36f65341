#pragma once

// Dataset: random access to the records of one source as Samples. Files stay on disk: opening one
// scans it for record boundaries, and get() reads and parses one record.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/sample.h"
#include "data/text/chat_template.h"
#include "data/text/tokenizer.h"

namespace vila::data {

// The tokenizer and template that turn records into ids. Both must outlive their use.
struct TemplateContext {
    const Tokenizer& tokenizer;
    const ChatTemplate& chat;
};

// Parts of a source that are left out when it is opened, because they are not usable records.
struct LeftOut {
    std::string what;  // "samples without an image or a caption"
    int64_t count = 0;
    std::vector<std::string> examples;  // the first few, with their file: "a.tar: 7.txt"

    void add(const std::string& example);
};
// Returns "12 samples without an image or a caption: a.tar: 7.txt; a.tar: 9.txt; ...".
std::string describe(const LeftOut& left_out);

class Dataset {
  public:
    virtual ~Dataset() = default;

    virtual int64_t size() const = 0;
    // Returns record `index` as a checked Sample (source 0, index filled in), of any length. Throws
    // an error that names the file and the record. Safe to call from many threads.
    virtual Sample get(int64_t index, const TemplateContext& context) const = 0;
    // Returns the file and place of a record for messages: "train.json[12]", "pairs.jsonl:7".
    virtual std::string where(int64_t index) const = 0;
    // Returns what was left out when the source was opened, one entry for each reason. Records for
    // which get() throws are not among them.
    virtual std::vector<LeftOut> left_out() const { return {}; }
};

// The treatment of a record that names a missing or empty image file.
enum class MissingImage {
    Error,         // get() returns it; loading the image fails
    DropImage,     // it loses the image; only for format mmc4
    DropDocument,  // it is left out when the source is opened
};
// Returns "error", "drop-image" and "drop-document".
std::vector<std::string> missing_image_names();
// Returns the choice of that name. Throws for any other name.
MissingImage missing_image_named(const std::string& name);

// One [[data.sources]] table.
struct DatasetSource {
    std::string format;            // one of dataset_format_names()
    std::filesystem::path path;    // a file, or a directory whose files are read in name order
    std::filesystem::path images;  // root of relative image paths
    int64_t max_images = 6;        // mmc4: images kept of a document, the first ones
    MissingImage missing_image = MissingImage::Error;
};

// A published format: its name in recipes and options, a short description, and its reader.
struct DatasetFormat {
    const char* name;
    const char* description;
    std::unique_ptr<Dataset> (*open)(const DatasetSource& source);
};

// Returns the table of all formats, which is in dataset.cpp.
std::span<const DatasetFormat> dataset_formats();
// Returns the names of the formats in the order of the table.
std::vector<std::string> dataset_format_names();
// Returns an indented line with name and description for each format, for help texts.
std::string describe_dataset_formats();

// Opens a source with the reader of its format. Throws if the format is unknown or does not support
// `missing_image`, if a file cannot be read, or if there is no record.
std::unique_ptr<Dataset> open_dataset(const DatasetSource& source);

}  // namespace vila::data
