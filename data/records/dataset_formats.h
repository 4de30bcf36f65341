#pragma once

// Shared by the readers of dataset formats. Also declares the functions that open them, which
// dataset.cpp calls. Not for files outside data/records.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/records/conversation.h"
#include "data/records/dataset.h"
#include "data/records/record_file.h"
#include "tensor/json_fwd.h"

namespace vila::data {

// A dataset whose records are JSON objects. A reader only implements make().
class JsonDataset : public Dataset {
  public:
    explicit JsonDataset(const DatasetSource& source);

    int64_t size() const final { return records_.size(); }
    Sample get(int64_t index, const TemplateContext& context) const final;
    std::string where(int64_t index) const final { return records_.where(index); }

  protected:
    // Makes the sample of one record. Errors need not name the record; get() does.
    virtual Sample make(const Json& record, const TemplateContext& context) const = 0;
    // Returns the image of a file name in a record, which is relative to the source's image root
    // unless it is absolute.
    ImageRef image_named(const std::string& name) const;

  private:
    RecordFiles records_;
    std::filesystem::path images_;
};

// Returns the sample of these segments and images.
Sample make_sample(const std::vector<Segment>& segments, std::vector<ImageRef> images,
                   const TemplateContext& context);
// Returns the sample of an image and its caption: "<image>caption\n" under the template "plain",
// else the beginning of sequence, image, caption and end of sequence.
Sample make_pair_sample(const ImageRef& image, const std::string& caption,
                        const TemplateContext& context);
// Returns the result of `action`, checked. Its errors get where() in front.
Sample at_record(const std::function<std::string()>& where, const std::function<Sample()>& action);

std::unique_ptr<Dataset> open_llava(const DatasetSource& source);
std::unique_ptr<Dataset> open_pairs(const DatasetSource& source);
std::unique_ptr<Dataset> open_mmc4(const DatasetSource& source);
std::unique_ptr<Dataset> open_instructions(const DatasetSource& source);
std::unique_ptr<Dataset> open_text(const DatasetSource& source);

}  // namespace vila::data
