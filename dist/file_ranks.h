#pragma once

// Ranks that exchange messages through files in a folder which all of them can access. Slow, but
// independent of MPI: when a signal stops a job, its ranks save through files, because a training
// thread may be inside an MPI call that will never return.
//
// Every rank appends its messages to a file of its own, "messages-RANK", and polls the files of the
// other ranks.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "dist/collectives.h"
#include "tensor/check.h"

namespace vila::dist {

// Thrown when a rank has ended without sending a message that this rank waits for.
class RankEnded : public Error {
  public:
    using Error::Error;
};

class FileRanks final : public Collectives {
  public:
    // Creates the file of this rank in `folder`, in place of one that an earlier job left. All
    // ranks must have done so before the first of them calls a collective. One rank alone needs
    // neither files nor folder.
    FileRanks(std::filesystem::path folder, int64_t rank, int64_t ranks);
    // Removes the file of this rank.
    ~FileRanks() override;

    int64_t rank() const override { return rank_; }
    int64_t ranks() const override { return static_cast<int64_t>(read_.size()); }
    std::string name() const override { return "files"; }

    // Tests whether the ranks see each other's file locks. If they do, later collectives throw
    // RankEnded when a rank has ended. Call it on all ranks, once all have their files; `ranks`
    // connects the same ranks.
    void try_locks(Collectives& ranks);
    // Later collectives throw, naming the rank, if a message takes longer than this many seconds.
    // 0, the initial value: no limit.
    void set_limit(double seconds) { limit_ = seconds; }
    // Sends this rank's part of an all_gather() without waiting for the other ranks, for a rank
    // that is about to end. The next collective of the others must be an all_gather() of as many
    // bytes.
    void send(const void* data, int64_t bytes);

  private:
    void do_barrier() override;
    void do_broadcast(void* data, int64_t bytes, int64_t root) override;
    void do_all_gather(const void* in, void* out, int64_t bytes) override;
    void do_all_to_all(const void* in, void* out, int64_t bytes) override;
    // Waits for the next message of a rank and reads it. It must have `bytes` bytes.
    void receive(int64_t rank, void* data, int64_t bytes);
    // Reads the next message of a rank if it is complete; otherwise returns false.
    bool try_receive(int64_t rank, void* data, int64_t bytes);
    // Returns whether the process of a rank still holds the lock on its file, so still exists.
    bool is_locked(int64_t rank) const;
    std::filesystem::path file_of(int64_t rank) const;

    std::filesystem::path folder_;
    int64_t rank_;
    int lock_ = -1;  // the file of this rank, locked as long as the process exists
    bool sees_locks_ = false;
    std::vector<int64_t> read_;  // bytes of each rank's file that were read
    double limit_ = 0.0;
};

}  // namespace vila::dist
