#include "data/loader/loader.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "data/loader/step_builder.h"
#include "data/loader/task_pool.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

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
          bad_(builder_.records(), options.max_bad_share),
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
        report_bad(ready.batch.bad_samples);
        return std::move(ready.batch);
    }

    void count_bad(std::span<const BadSample> samples) {
        for (const BadSample& sample : samples) bad_.add(sample);
        bad_.check();
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

    // Removes the records that were met before from the bad ones of a step, and reports the rest.
    void report_bad(std::vector<BadSample>& samples) {
        std::erase_if(samples, [&](const BadSample& sample) { return !bad_.add(sample); });
        if (options_.on_bad_sample)
            for (const BadSample& sample : samples) options_.on_bad_sample(sample);
        bad_.check();
    }

    StepBuilder builder_;
    LoaderOptions options_;
    BadRecords bad_;
    TaskPool pool_;
    int64_t next_step_;

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
void Loader::count_bad(std::span<const BadSample> samples) {
    implementation_->count_bad(samples);
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
