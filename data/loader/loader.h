#pragma once

// Loader: prepares the batches of a training run ahead of time, on threads. The content of a step
// depends only on the options and the step, never on threads, timing or the point of resumption.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/loader/bad_records.h"
#include "data/loader/mixture.h"
#include "data/records/dataset.h"
#include "data/sample.h"
#include "tensor/shape.h"

namespace vila::data {

// The model's input for an image: pixel values (3, H, W), or (tiles, 3, H, W) for an image that is
// cut into tiles, or features (N, Cv) of a vision tower. It is plain host memory, because loader
// threads create it and a Device belongs to one thread.
struct LoadedImage {
    Shape shape;
    std::vector<float> values;  // shape.numel(), row-major
    int64_t tokens = 0;         // positions that the image takes in a sequence
};

// Decodes and preprocesses an image, or finds its cached features. LoadedImage::tokens must equal
// the count of LoaderOptions::image_tokens. `draw` is a random number that differs for every image
// of every sample of a run; it must be the only source of randomness. Called from several threads
// at once. Throws if the image cannot be used.
using ImageLoader = std::function<LoadedImage(const ImageRef&, uint64_t draw)>;

struct LoaderOptions {
    int64_t max_length = 2048;  // positions of a sample, images spliced
    // Counts the positions of an image, before it is loaded. Called from several threads at once.
    ImageTokens image_tokens;
    int64_t global_batch = 1;  // samples of a step, over all ranks and micro-batches
    int64_t micro_batch = 1;   // samples that run together; with `pack`, in units of max_length
    bool pack = false;         // fill micro-batches up to micro_batch * max_length positions
    uint64_t seed = 0;
    int64_t start_step = 0;
    int64_t rank = 0;
    int64_t ranks = 1;            // global_batch must be a multiple, unless rank_invariant
    bool rank_invariant = false;  // one rank's micro-batches, dealt to the ranks in turn
    // Returns the cost, in any unit, of running a sample with `positions` positions, of which
    // `image_positions` are those of images; by default the number of positions. Several ranks
    // divide a batch so that their costs are similar.
    std::function<double(int64_t positions, int64_t image_positions)> cost;
    int threads = 1;              // threads that prepare steps; 0: prepare in next()
    int64_t prefetch = 2;         // the most steps prepared ahead
    double max_bad_share = 0.01;  // of all records: see allowed_bad_records()
    // Called once for every bad record that this rank meets, in step order, by next().
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
// rank_invariant, the last ranks may have one less), each with at least one sample.
struct StepBatch {
    int64_t step = 0;
    std::vector<MicroBatch> micro_batches;
    int64_t tokens = 0;                  // spliced positions of this rank
    int64_t targets = 0;                 // positions with loss of this rank
    int64_t truncated = 0;               // samples of this rank that were cut to max_length
    std::vector<BadSample> bad_samples;  // of this rank's samples; none that was counted before
};

// A bad record (one that does not parse, whose image does not open, or that has no targets after
// truncation) is replaced by the next record of the same source. Each is reported and counted once,
// however often it is met. The run stops as soon as more are known than allowed_bad_records().
class Loader {
  public:
    // `datasets` and `weights` have one element per source; a weight is a share of the samples.
    // Referenced objects must outlive the loader. Throws if the options are invalid.
    Loader(std::vector<const Dataset*> datasets, std::vector<double> weights,
           const TemplateContext& context, ImageLoader load_image, const LoaderOptions& options);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    // Returns the next step; waits until it is ready. Rethrows errors of its preparation, and
    // throws if too many records are bad.
    StepBatch next();
    // Counts bad records of all ranks, those of this rank included. Throws if too many are bad.
    void count_bad(std::span<const BadSample> samples);
    // Returns the number of the step that next() will return.
    int64_t step() const;
    // Jumps to another step, forward or back, in constant time.
    void skip_to(int64_t step);
    // Returns floor(samples_per_epoch / global_batch), at least 1.
    int64_t steps_per_epoch() const;

  private:
    class Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace vila::data
