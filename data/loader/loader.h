#pragma once

// Loader: the batches of a training run, prepared ahead by threads. What a step holds depends on
// the options and on the step alone, never on threads, timing or on where the run was resumed.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/loader/mixture.h"
#include "data/records/dataset.h"
#include "data/sample.h"
#include "tensor/shape.h"

namespace vila::data {

// An image as the model takes it: pixel values (3, H, W), or features (N, C) kept from before.
// Plain host memory, because loader threads make it and a Device belongs to one thread.
struct LoadedImage {
    Shape shape;
    std::vector<float> values;  // shape.numel(), row-major
};

// Decodes and preprocesses, or looks up. `draw` differs for every image of every sample of a run
// and decides whatever is random. Called from several threads at once. Throws when the image cannot
// be used.
using ImageLoader = std::function<LoadedImage(const ImageRef&, uint64_t draw)>;

// A record that could not be used and the record that took its place.
struct BadSample {
    int64_t step = 0;
    std::string where;   // file and record
    std::string reason;  // one line
};

struct LoaderOptions {
    int64_t max_length = 2048;  // positions of a sample, images spliced
    int64_t image_tokens = 1;   // N, positions an image takes
    int64_t global_batch = 1;   // samples of a step, over all ranks and micro-batches
    int64_t micro_batch = 1;    // samples that run together; with `pack`, in units of max_length
    bool pack = false;          // fill micro-batches to micro_batch * max_length positions
    uint64_t seed = 0;
    int64_t start_step = 0;
    int64_t rank = 0;
    int64_t ranks = 1;            // global_batch must be a multiple, unless rank_invariant
    bool rank_invariant = false;  // the micro-batches are those of one rank, dealt out in turn
    // What a sample costs to run, in any unit; without it, as much as it has positions. Several
    // ranks share out a batch so that they cost alike.
    std::function<double(int64_t positions, int64_t images)> cost;
    int threads = 1;              // that prepare steps; 0: prepare in next()
    int64_t prefetch = 2;         // steps ready at most
    double max_bad_share = 0.01;  // more bad samples than that stop the run
    // Told of every bad sample, in step order, on the thread that calls next().
    std::function<void(const BadSample&)> on_bad_sample;
};

struct LoadedSample {
    Sample sample;                    // at most max_length spliced positions, with targets
    std::vector<LoadedImage> images;  // one for each of sample.images
};

struct MicroBatch {
    std::vector<LoadedSample> samples;
};

// This rank's part of one optimizer step. Every rank has the same number of micro-batches (with
// rank_invariant, the last ranks may have one less), and each of them holds at least one sample.
struct StepBatch {
    int64_t step = 0;
    std::vector<MicroBatch> micro_batches;
    int64_t tokens = 0;     // spliced positions, this rank's
    int64_t targets = 0;    // loss-bearing positions, this rank's
    int64_t truncated = 0;  // samples that were cut to max_length, this rank's
    std::vector<BadSample> bad_samples;
};

// Bad samples (a record that does not parse, an image that does not open, a sample without targets
// once cut) are counted, reported and replaced by the next record of the same source. A run stops
// when they are more than max_bad_share of the samples seen, counted as at least 100 samples.
class Loader {
  public:
    // datasets: one for each source, with its weight (share of samples). Everything referred to
    // must outlive the loader. Throws for options that cannot work.
    Loader(std::vector<const Dataset*> datasets, std::vector<double> weights,
           const TemplateContext& context, ImageLoader load_image, const LoaderOptions& options);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    // The next step; waits until it is ready. Throws what went wrong while preparing it.
    StepBatch next();
    // The step that next() gives.
    int64_t step() const;
    // Goes to another step, forwards or back, in constant time.
    void skip_to(int64_t step);
    // floor(samples_per_epoch / global_batch), at least 1.
    int64_t steps_per_epoch() const;

  private:
    class Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace vila::data
