#include "dist/mpi_ranks.h"

#include <dlfcn.h>
#include <mpi.h>

#include <algorithm>

#include "dist/launcher.h"
#include "tensor/check.h"

namespace vila::dist {

namespace {

// MPI counts are int: larger blocks are sent in pieces.
constexpr int64_t kMaxPieceBytes = int64_t{1} << 30;

// An MPI datatype: `bytes` bytes of each of several blocks that are `stride` bytes apart.
class PieceType {
  public:
    PieceType(int64_t bytes, int64_t stride) {
        MPI_Datatype plain;
        MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &plain);
        MPI_Type_create_resized(plain, 0, static_cast<MPI_Aint>(stride), &type_);
        MPI_Type_commit(&type_);
        MPI_Type_free(&plain);
    }
    ~PieceType() { MPI_Type_free(&type_); }
    PieceType(const PieceType&) = delete;
    PieceType& operator=(const PieceType&) = delete;

    MPI_Datatype get() const { return type_; }

  private:
    MPI_Datatype type_;
};

// Cuts blocks of `bytes` bytes into pieces, and calls move(offset in the block, datatype) for each.
template <typename Move>
void in_pieces(int64_t bytes, const Move& move) {
    for (int64_t offset = 0; offset < bytes; offset += kMaxPieceBytes) {
        const PieceType piece(std::min(kMaxPieceBytes, bytes - offset), bytes);
        move(offset, piece.get());
    }
}

const char* at(const void* data, int64_t offset) {
    return static_cast<const char*>(data) + offset;
}
char* at(void* data, int64_t offset) {
    return static_cast<char*>(data) + offset;
}

// Open MPI calls MPI_Abort in a rank that loses its launcher. Sets the seconds that MPI_Abort waits
// first; a negative number means for ever. Other implementations of MPI lack the variable.
void set_abort_delay(int seconds) {
    if (void* const delay = ::dlsym(RTLD_DEFAULT, "opal_abort_delay"))
        *static_cast<int*>(delay) = seconds;
}

class MpiRanks final : public Collectives {
  public:
    MpiRanks() {
        int provided = 0;
        MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
        VILA_CHECK(provided >= MPI_THREAD_SERIALIZED,
                   "this MPI cannot be called from more than one thread in turn (level ", provided,
                   "); use an Open MPI built with thread support");
        MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
        MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
    }
    // After an error the other ranks may never reach MPI_Finalize: abort_ranks() ends such a job.
    ~MpiRanks() override { MPI_Finalize(); }

    int64_t rank() const override { return rank_; }
    int64_t ranks() const override { return ranks_; }
    std::string name() const override { return "mpi"; }

  private:
    void do_barrier() override { MPI_Barrier(MPI_COMM_WORLD); }

    void do_broadcast(void* data, int64_t bytes, int64_t root) override {
        in_pieces(bytes, [&](int64_t offset, MPI_Datatype piece) {
            MPI_Bcast(at(data, offset), 1, piece, static_cast<int>(root), MPI_COMM_WORLD);
        });
    }

    void do_all_gather(const void* in, void* out, int64_t bytes) override {
        in_pieces(bytes, [&](int64_t offset, MPI_Datatype piece) {
            MPI_Allgather(at(in, offset), 1, piece, at(out, offset), 1, piece, MPI_COMM_WORLD);
        });
    }

    void do_all_to_all(const void* in, void* out, int64_t bytes) override {
        in_pieces(bytes, [&](int64_t offset, MPI_Datatype piece) {
            MPI_Alltoall(at(in, offset), 1, piece, at(out, offset), 1, piece, MPI_COMM_WORLD);
        });
    }

    int rank_ = 0, ranks_ = 1;
};

}  // namespace

bool mpi_available() {
    return true;
}

std::unique_ptr<Collectives> join_ranks() {
    const int64_t expected = read_launcher().ranks;
    if (expected == 1) return one_process();
    auto ranks = std::make_unique<MpiRanks>();
    VILA_CHECK(ranks->ranks() > 1, "the launcher started ", expected,
               " processes, but MPI does not connect them; under Slurm start with srun "
               "--mpi=pmix, or with the mpirun of the MPI this program was built with");
    return ranks;
}

void outlive_launcher() {
    set_abort_delay(-1);
}

void abort_ranks(int exit_code) {
    set_abort_delay(0);
    int begun = 0, ended = 0;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (begun != 0 && ended == 0) MPI_Abort(MPI_COMM_WORLD, exit_code);
}

}  // namespace vila::dist
