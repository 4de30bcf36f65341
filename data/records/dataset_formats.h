#pragma once

// Shared by the readers of dataset formats. Also declares the functions that open them, which
// dataset.cpp calls. Not for files outside data/records.

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "data/records/conversation.h"
#include "data/records/dataset.h"
#include "data/records/record_file.h"
#include "tensor/json_fwd.h"

namespace vila::data {

// A dataset whose records are JSON objects. A reader implements make() and, if its records name
// image files, image_names().
class JsonDataset : public Dataset {
  public:
    explicit JsonDataset(const DatasetSource& source);
    // Looks for the images of all records, and leaves out records or images as
    // DatasetSource::missing_image says; does nothing if that is Error. Throws if no record is
    // left.
    void leave_out_missing();

    int64_t size() const final {
        return missing_image_ == MissingImage::Error ? records_.size()
                                                     : static_cast<int64_t>(kept_.size());
    }
    Sample get(int64_t index, const TemplateContext& context) const final;
    std::string where(int64_t index) const final { return records_.where(record_of(index)); }
    std::vector<LeftOut> left_out() const final;

  protected:
    // Makes the sample of one record. Errors need not name the record; get() does.
    virtual Sample make(const Json& record, const TemplateContext& context) const = 0;
    // Returns the names of the image files that a record needs; with MissingImage::DropImage, all
    // that it may use.
    virtual std::vector<std::string> image_names(const Json&) const { return {}; }
    // Returns whether the image file `name` is missing or empty. Only with MissingImage::DropImage.
    bool is_missing(const std::string& name) const { return missing_.contains(name); }
    MissingImage missing_image() const { return missing_image_; }
    // Returns the image of a file name in a record, which is relative to the source's image root
    // unless it is absolute.
    ImageRef image_named(const std::string& name) const;

  private:
    // Returns the index in records_ of record `index` of this dataset.
    int64_t record_of(int64_t index) const {
        return missing_image_ == MissingImage::Error ? index : kept_.at(static_cast<size_t>(index));
    }

    RecordFiles records_;
    std::filesystem::path images_;
    MissingImage missing_image_;
    std::vector<int64_t> kept_;  // the records that are not left out
    std::unordered_set<std::string> missing_;
    LeftOut left_out_;
};

// Returns an entry of Dataset::left_out() for the files without a record; none if there is no such
// file.
std::vector<LeftOut> left_out_files(const std::vector<std::filesystem::path>& empty_files);

// Opens a source with a reader derived from JsonDataset.
template <typename Reader>
std::unique_ptr<Dataset> open_json(const DatasetSource& source) {
    auto dataset = std::make_unique<Reader>(source);
    dataset->leave_out_missing();
    return dataset;
}

// Returns the sample of these segments and images.
Sample make_sample(const std::vector<Segment>& segments, std::vector<ImageRef> images,
                   const TemplateContext& context);
// Returns the sample of an image and its caption: "<image>caption\n" under the template "plain",
// else the beginning of sequence, image, caption and end of sequence.
Sample make_pair_sample(const ImageRef& image, const std::string& caption,
                        const TemplateContext& context);
// Returns the sample that `action` returns, after check_sample(). Errors get where() as a prefix.
Sample at_record(const std::function<std::string()>& where, const std::function<Sample()>& action);

std::unique_ptr<Dataset> open_llava(const DatasetSource& source);
std::unique_ptr<Dataset> open_pairs(const DatasetSource& source);
std::unique_ptr<Dataset> open_mmc4(const DatasetSource& source);
std::unique_ptr<Dataset> open_instructions(const DatasetSource& source);
std::unique_ptr<Dataset> open_text(const DatasetSource& source);

}  // namespace vila::data
