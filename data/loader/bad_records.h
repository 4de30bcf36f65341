#pragma once

// Bad records: how many a training run tolerates, and which ones it has met.

#include <cstdint>
#include <set>
#include <string>
#include <utility>

namespace vila::data {

// A record that could not be used.
struct BadSample {
    int64_t step = 0;
    int32_t source = 0;
    int64_t index = 0;   // of the record in its source
    std::string where;   // file and record
    std::string reason;  // one line
};

// Returns how many of `records` records may be bad before a run stops: the share `max_bad_share`
// of them, or of 100 records if there are fewer. So one bad record does not stop a run on a small
// data set if the share is 0.01 or more. `records` counts the records of all sources together,
// whether they have been read or not.
int64_t allowed_bad_records(int64_t records, double max_bad_share);

// Returns "5 of 200 records cannot be used, more than the 2 allowed (data.max_bad_share = 0.01)".
// Empty if no more are bad than allowed_bad_records().
std::string too_many_bad_records(int64_t bad, int64_t records, double max_bad_share);

// The bad records that a run has met so far, each counted once.
class BadRecords {
  public:
    // `records`: of all sources together.
    BadRecords(int64_t records, double max_bad_share)
        : records_(records), max_bad_share_(max_bad_share) {}

    // Adds a record. Returns false if it was added before.
    bool add(const BadSample& sample);
    // Throws if there are more than allowed.
    void check() const;

  private:
    int64_t records_;
    double max_bad_share_;
    std::set<std::pair<int32_t, int64_t>> known_;  // source and index
    BadSample first_;                              // of the earliest step
};

}  // namespace vila::data
