#include "data/loader/step_builder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/loader/packer.h"
#include "data/records/record_file.h"
#include "tensor/check.h"
#include "tensor/random.h"

namespace vila::data {

namespace {

// Returns the number of unusable records in a row at which the run stops. If `bad_share` of the
// records are bad, so many in a row have a probability of 10^-12; the number is at least 20 and at
// most 1000.
int64_t max_attempts(double bad_share) {
    constexpr double kLeast = 20, kMost = 1000, kChance = 1e-12;
    if (bad_share <= 0.0) return static_cast<int64_t>(kLeast);
    if (bad_share >= 1.0) return static_cast<int64_t>(kMost);
    const double attempts = std::log(kChance) / std::log(bad_share);
    return static_cast<int64_t>(std::clamp(attempts, kLeast, kMost));
}

// The largest number of records that are tried as the replacement of one.
constexpr int64_t kMaxReplacements = 100000;

std::vector<int64_t> sizes_of(const std::vector<const Dataset*>& datasets) {
    std::vector<int64_t> sizes;
    for (size_t i = 0; i < datasets.size(); ++i) {
        sizes.push_back(datasets[i]->size());
        VILA_CHECK(sizes.back() > 0, "data source ", i, " is empty: expected at least one record");
    }
    VILA_CHECK(!sizes.empty(), "there is no data source: expected at least one");
    return sizes;
}

// Removes the place of a record from the front of its error, leaving the reason.
std::string without_prefix(const std::string& message, const std::string& where) {
    return message.starts_with(where + ": ") ? message.substr(where.size() + 2) : message;
}

}  // namespace

StepBuilder::StepBuilder(std::vector<const Dataset*> datasets, std::vector<double> weights,
                         const TemplateContext& context, ImageLoader load_image,
                         const LoaderOptions& options)
    : datasets_(std::move(datasets)),
      mixture_(sizes_of(datasets_), std::move(weights), options.seed),
      context_(context),
      load_image_(std::move(load_image)),
      options_(options) {
    check();
}

void StepBuilder::check() const {
    const auto at_least = [](int64_t value, int64_t least, const char* name) {
        VILA_CHECK(value >= least, name, " is ", value, ": expected at least ", least);
    };
    at_least(options_.max_length, 2, "max_length");
    at_least(options_.global_batch, 1, "global_batch");
    at_least(options_.micro_batch, 1, "micro_batch");
    at_least(options_.ranks, 1, "the number of ranks");
    at_least(options_.threads, 0, "the number of loader threads");
    at_least(options_.prefetch, 1, "the number of prefetched steps");
    VILA_CHECK(options_.image_tokens != nullptr, "no function counts the tokens of an image");
    VILA_CHECK(options_.rank >= 0 && options_.rank < options_.ranks, "rank ", options_.rank, " of ",
               options_.ranks);
    VILA_CHECK(options_.rank_invariant || options_.global_batch % options_.ranks == 0,
               "global_batch is ", options_.global_batch, ": expected a multiple of the ",
               options_.ranks, " ranks");
}

int64_t StepBuilder::steps_per_epoch() const {
    return std::max(mixture_.samples_per_epoch() / options_.global_batch, int64_t{1});
}

void StepBuilder::note(Place& place, const SampleAddress& address,
                       const std::string& reason) const {
    const std::string where = datasets_[address.source]->where(address.index);
    place.bad.push_back({place.position / options_.global_batch, address.source, address.index,
                         where, without_prefix(reason, where)});
    ++place.attempt;
    const int64_t most = max_attempts(options_.max_bad_share);
    VILA_CHECK(static_cast<int64_t>(place.bad.size()) < most, most,
               " records in a row could not be used, the last of them ", where, ": ",
               place.bad.back().reason);
}

void StepBuilder::draw(Place& place, int64_t limit) const {
    while (true) {
        const SampleAddress address = place.attempt == 0
                                          ? mixture_.at(place.position)
                                          : mixture_.replacement(place.position, place.attempt);
        const Dataset& dataset = *datasets_[address.source];
        try {
            Sample sample = dataset.get(address.index, context_);
            count_image_tokens(sample, options_.image_tokens);
            const int64_t length = spliced_length(sample);
            place.truncated = truncate_sample(sample, options_.max_length);
            VILA_CHECK(count_targets(sample) > 0, "no target is left of its ", length,
                       " positions within max_length ", options_.max_length);
            if (truncate_sample(sample, limit)) place.truncated = true;
            sample.source = address.source;
            sample.index = address.index;
            place.loaded = {std::move(sample), {}};
        } catch (const Error& error) {
            rethrow_system_failure(error);
            note(place, address, error.what());
            continue;
        }
        if (count_targets(place.loaded.sample) > 0) return;
        // The record is good, but its question does not fit into the length of the record that it
        // replaces.
        ++place.attempt;
        VILA_CHECK(place.attempt < kMaxReplacements, "no record near ",
                   dataset.where(address.index), " has a target within ", limit,
                   " positions, the length of the record that it replaces: set data.pack = false");
    }
}

void StepBuilder::load(Place& place) const {
    // With packing, a replacement must not be longer than the sample it replaces, or it would not
    // fit.
    const int64_t limit = options_.pack ? spliced_length(place.loaded.sample) : options_.max_length;
    while (true) {
        const Sample& sample = place.loaded.sample;
        try {
            for (size_t i = 0; i < sample.images.size(); ++i) {
                const uint64_t draw =
                    random_key(options_.seed, static_cast<uint64_t>(place.position), i);
                place.loaded.images.push_back(load_image_(sample.images[i], draw));
                VILA_CHECK_EQ(place.loaded.images[i].tokens, sample.image_tokens[i],
                              sample.images[i].path, ": tokens of the image");
            }
            return;
        } catch (const std::exception& error) {
            rethrow_system_failure(error);
            note(place, {sample.source, sample.index}, error.what());
        }
        draw(place, limit);
    }
}

std::vector<double> StepBuilder::costs_of(const std::vector<Place>& places) const {
    std::vector<double> costs;
    for (const Place& place : places) {
        const Sample& sample = place.loaded.sample;
        const int64_t length = spliced_length(sample);
        costs.push_back(options_.cost ? options_.cost(length, image_positions(sample))
                                      : static_cast<double>(length));
    }
    return costs;
}

std::vector<std::vector<int64_t>> StepBuilder::share(const std::vector<Place>& places) const {
    std::vector<std::vector<int64_t>> micro_batches;
    const auto count = static_cast<int64_t>(places.size());
    const int64_t multiple_of = options_.rank_invariant ? 1 : options_.ranks;
    if (options_.pack) {
        std::vector<int64_t> lengths;
        for (const Place& place : places) lengths.push_back(spliced_length(place.loaded.sample));
        const int64_t budget = options_.micro_batch * options_.max_length;
        micro_batches = balances() ? pack_evenly(lengths, costs_of(places), budget, multiple_of)
                                   : pack(lengths, budget);
    } else if (balances()) {
        micro_batches = group_evenly(costs_of(places), options_.micro_batch, multiple_of);
    } else {
        for (int64_t begin = 0; begin < count; begin += options_.micro_batch) {
            micro_batches.emplace_back();
            for (int64_t i = begin; i < std::min(begin + options_.micro_batch, count); ++i)
                micro_batches.back().push_back(i);
        }
    }
    // Deal the micro-batches in turn: adjacent ones have similar costs, so ranks wait little for
    // one another.
    std::vector<std::vector<int64_t>> mine;
    for (size_t i = options_.rank; i < micro_batches.size(); i += options_.ranks)
        mine.push_back(micro_batches[i]);
    return mine;
}

StepBatch StepBuilder::build(int64_t step, TaskPool& pool) const {
    // Every rank draws the whole global batch to find its own part, and loads images for that part.
    const int64_t first = step * options_.global_batch;
    std::vector<Place> places(options_.global_batch);
    const auto on_all = [&](const std::vector<int64_t>& indices, const auto& action) {
        pool.run(static_cast<int64_t>(indices.size()), [&](int64_t i) {
            Place& place = places[indices[i]];
            try {
                action(place);
            } catch (...) {
                place.error = std::current_exception();
            }
        });
        for (const int64_t index : indices)
            if (places[index].error) std::rethrow_exception(places[index].error);
    };
    std::vector<int64_t> indices;
    for (int64_t i = 0; i < options_.global_batch; ++i) {
        places[i].position = first + i;
        indices.push_back(i);
    }
    on_all(indices, [&](Place& place) { draw(place, options_.max_length); });
    const auto micro_batches = share(places);
    indices.clear();
    for (const auto& micro_batch : micro_batches)
        indices.insert(indices.end(), micro_batch.begin(), micro_batch.end());
    on_all(indices, [&](Place& place) { load(place); });

    StepBatch batch;
    batch.step = step;
    for (const auto& micro_batch : micro_batches) {
        batch.micro_batches.emplace_back();
        for (const int64_t index : micro_batch) {
            Place& place = places[index];
            batch.tokens += spliced_length(place.loaded.sample);
            batch.targets += count_targets(place.loaded.sample);
            batch.truncated += place.truncated ? 1 : 0;
            batch.bad_samples.insert(batch.bad_samples.end(), place.bad.begin(), place.bad.end());
            batch.micro_batches.back().samples.push_back(std::move(place.loaded));
        }
    }
    return batch;
}

}  // namespace vila::data
