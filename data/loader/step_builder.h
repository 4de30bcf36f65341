#pragma once

// StepBuilder: the part of the loader that is a pure function of the options and the step. Threads
// and waiting are in loader.cpp.

#include <cstdint>
#include <vector>

#include "data/loader/loader.h"
#include "data/loader/mixture.h"
#include "data/loader/task_pool.h"

namespace vila::data {

class StepBuilder {
  public:
    // Throws if the options are invalid.
    StepBuilder(std::vector<const Dataset*> datasets, std::vector<double> weights,
                const TemplateContext& context, ImageLoader load_image,
                const LoaderOptions& options);

    // Prepares one step on the threads of `pool`. Throws when a record cannot be replaced.
    StepBatch build(int64_t step, TaskPool& pool) const;
    int64_t steps_per_epoch() const;
    // Returns the number of records of all sources.
    int64_t records() const { return mixture_.samples_per_epoch(); }

  private:
    // A slot of the global batch while the batch is filled.
    struct Place {
        int64_t position = 0;  // in the mixture's stream
        int64_t attempt = 0;   // number of records that failed before
        bool truncated = false;
        LoadedSample loaded;
        std::vector<BadSample> bad;
        std::exception_ptr error;
    };
    void check() const;
    // Finds the first usable record from `place.attempt` on that has targets within `limit`
    // positions, and cuts it to `limit` positions.
    void draw(Place& place, int64_t limit) const;
    // Loads the images of the drawn record; on failure draws the next record.
    void load(Place& place) const;
    // Adds a record to the bad ones of `place` and moves `place` to the next record. Throws if too
    // many records of this place were bad.
    void note(Place& place, const SampleAddress& address, const std::string& reason) const;
    // Divides the global batch and returns the places of this rank's micro-batches.
    std::vector<std::vector<int64_t>> share(const std::vector<Place>& places) const;
    // Returns whether micro-batches are balanced by cost; a single rank keeps the order.
    bool balances() const { return options_.ranks > 1 || options_.rank_invariant; }
    std::vector<double> costs_of(const std::vector<Place>& places) const;

    std::vector<const Dataset*> datasets_;
    Mixture mixture_;
    TemplateContext context_;
    ImageLoader load_image_;
    LoaderOptions options_;
};

}  // namespace vila::data
