#pragma once

// What the readers of data/ share, and how dataset.cpp reaches them. Nothing outside data/ needs
// it.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/records/conversation.h"
#include "data/records/dataset.h"
#include "data/records/record_file.h"
#include "tensor/json_fwd.h"

namespace vila::data {

// A dataset whose records are JSON objects: a reader only says what becomes of one.
class JsonDataset : public Dataset {
  public:
    explicit JsonDataset(const DatasetSource& source);

    int64_t size() const final { return records_.size(); }
    Sample get(int64_t index, const TemplateContext& context) const final;
    std::string where(int64_t index) const final { return records_.where(index); }

  protected:
    // Throws without saying where: get() does that.
    virtual Sample make(const Json& record, const TemplateContext& context) const = 0;
    // A file name as the record gives it, below the source's image root unless it is absolute.
    ImageRef image_named(const std::string& name) const;

  private:
    RecordFiles records_;
    std::filesystem::path images_;
};

// A sample of these segments and images.
Sample make_sample(const std::vector<Segment>& segments, std::vector<ImageRef> images,
                   const TemplateContext& context);
// One image and its caption: "<image>caption\n" under the template "plain", the sequence with its
// end-of-sequence token under any other.
Sample make_pair_sample(const ImageRef& image, const std::string& caption,
                        const TemplateContext& context);
// What `action` gives, checked; what it throws gets where() in front.
Sample at_record(const std::function<std::string()>& where, const std::function<Sample()>& action);

std::unique_ptr<Dataset> open_llava(const DatasetSource& source);
std::unique_ptr<Dataset> open_pairs(const DatasetSource& source);
std::unique_ptr<Dataset> open_mmc4(const DatasetSource& source);
std::unique_ptr<Dataset> open_instructions(const DatasetSource& source);
std::unique_ptr<Dataset> open_text(const DatasetSource& source);

}  // namespace vila::data
