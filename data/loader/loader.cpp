#include "data/loader/loader.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "data/loader/step_builder.h"
#include "data/loader/task_pool.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

constexpr size_t kListedSamples = 5;

struct Ready {
    StepBatch batch;
    std::exception_ptr error;
};

}  // namespace

// One thread builds steps in order, with helper threads for the loops inside; next() returns them
// in order.
class Loader::Implementation {
  public:
    Implementation(StepBuilder builder, const LoaderOptions& options)
        : builder_(std::move(builder)),
          options_(options),
          pool_(std::max(options.threads - 1, 0)),
          next_step_(options.start_step),
          next_built_(options.start_step) {
        check_step(options.start_step);
        if (options.threads > 0) thread_ = std::thread([this] { build_ahead(); });
    }

    ~Implementation() {
        {
            const std::lock_guard lock(mutex_);
            stops_ = true;
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
    }

    StepBatch next() {
        Ready ready = options_.threads > 0 ? wait_for_next() : build(next_step_);
        if (ready.error) std::rethrow_exception(ready.error);
        ++next_step_;
        count(ready.batch);
        return std::move(ready.batch);
    }

    int64_t step() const { return next_step_; }
    int64_t steps_per_epoch() const { return builder_.steps_per_epoch(); }

    void skip_to(int64_t step) {
        check_step(step);
        {
            const std::lock_guard lock(mutex_);
            next_step_ = next_built_ = step;
            ready_.clear();
            ++jumps_;
        }
        changed_.notify_all();
    }

  private:
    static void check_step(int64_t step) {
        VILA_CHECK(step >= 0, "training step ", step, ": expected 0 or more");
    }

    Ready build(int64_t step) {
        try {
            return {builder_.build(step, pool_), nullptr};
        } catch (...) {
            return {{}, std::current_exception()};
        }
    }

    // A failed step stays in the queue, so that every later call throws again.
    Ready wait_for_next() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !ready_.empty(); });
        if (ready_.front().error) return {{}, ready_.front().error};
        Ready ready = std::move(ready_.front());
        ready_.pop_front();
        changed_.notify_all();
        return ready;
    }

    void build_ahead() {
        std::unique_lock lock(mutex_);
        while (true) {
            changed_.wait(lock, [&] {
                const bool failed = !ready_.empty() && ready_.back().error;
                return stops_ ||
                       (static_cast<int64_t>(ready_.size()) < options_.prefetch && !failed);
            });
            if (stops_) return;
            const int64_t step = next_built_++;
            const int64_t jumps = jumps_;
            lock.unlock();
            Ready ready = build(step);
            lock.lock();
            if (jumps == jumps_) ready_.push_back(std::move(ready));
            changed_.notify_all();
        }
    }

    // Counts the records of a step, and removes the bad ones that were met before.
    void count(StepBatch& batch) {
        for (const MicroBatch& micro_batch : batch.micro_batches)
            for (const LoadedSample& loaded : micro_batch.samples) ++seen_[loaded.sample.source];
        std::erase_if(batch.bad_samples, [&](const BadSample& sample) {
            return !bad_.emplace(sample.source, sample.index).second;
        });
        for (const BadSample& sample : batch.bad_samples) {
            if (first_bad_.size() < kListedSamples) first_bad_.push_back(sample);
            if (options_.on_bad_sample) options_.on_bad_sample(sample);
        }
        const int64_t seen = records_seen();
        const double allowed =
            options_.max_bad_share * static_cast<double>(std::max(seen, kLeastRecordsOfShare));
        if (static_cast<double>(bad_.size()) <= allowed) return;
        std::string list;
        for (const BadSample& sample : first_bad_)
            list += str(list.empty() ? "" : "; ", sample.where, ": ", sample.reason);
        throw Error(str(bad_.size(), " records could not be used while ", seen,
                        " were read, more than the ", options_.max_bad_share * 100,
                        " % allowed (max_bad_share); the first: ", list));
    }

    // Returns how many records were met, each counted once: an epoch visits each of them.
    int64_t records_seen() const {
        int64_t records = 0;
        for (const auto& [source, samples] : seen_)
            records += std::min(samples, builder_.records_of(source));
        return records;
    }

    StepBuilder builder_;
    LoaderOptions options_;
    TaskPool pool_;
    int64_t next_step_;
    std::map<int32_t, int64_t> seen_;            // samples of each source so far
    std::set<std::pair<int32_t, int64_t>> bad_;  // source and index of the bad records so far
    std::vector<BadSample> first_bad_;

    std::mutex mutex_;  // guards the members below
    std::condition_variable changed_;
    std::deque<Ready> ready_;  // starts at next_step_
    int64_t next_built_;
    int64_t jumps_ = 0;  // calls of skip_to(); a step begun before the last one is discarded
    bool stops_ = false;
    std::thread thread_;
};

Loader::Loader(std::vector<const Dataset*> datasets, std::vector<double> weights,
               const TemplateContext& context, ImageLoader load_image, const LoaderOptions& options)
    : implementation_(
          std::make_unique<Implementation>(StepBuilder(std::move(datasets), std::move(weights),
                                                       context, std::move(load_image), options),
                                           options)) {}

Loader::~Loader() = default;

StepBatch Loader::next() {
    return implementation_->next();
}
int64_t Loader::step() const {
    return implementation_->step();
}
void Loader::skip_to(int64_t step) {
    implementation_->skip_to(step);
}
int64_t Loader::steps_per_epoch() const {
    return implementation_->steps_per_epoch();
}

}  // namespace vila::data
