#include "cuda/fault.h"

#include "tensor/check.h"

namespace vila::cuda {

namespace {

std::string index_text(const char* op, int lowest, int64_t position, int32_t value,
                       int64_t highest) {
    return str("[", op, "] index ", value, " at position ", position, ": expected ", lowest, " to ",
               highest);
}

std::string order_text(const char* op, int64_t sequence, int32_t begin, int64_t end) {
    return str("[", op, "] cu_seqlens decrease from ", begin, " to ", end, " at sequence ",
               sequence);
}

// For these faults the position field holds the number of rows.
std::string ends_text(const char* op, int64_t rows, int32_t begin, int64_t end) {
    return str("[", op, "] cu_seqlens run from ", begin, " to ", end,
               ": expected values within 0 to ", rows);
}

std::string cover_text(const char* name, int64_t rows, int32_t begin, int64_t end) {
    return str("[attention] ", name, " run from ", begin, " to ", end, ": expected 0 to ", rows);
}

std::string fault_text(FaultKind kind, int64_t position, int32_t value, int64_t other) {
    switch (kind) {
        case FaultKind::Embedding:
            return index_text("embedding", 0, position, value, other);
        case FaultKind::GatherRows:
            return index_text("gather_rows", -1, position, value, other);
        case FaultKind::ScatterAddRows:
            return index_text("scatter_add_rows", -1, position, value, other);
        case FaultKind::ScatterRows:
            return index_text("scatter_rows", 0, position, value, other);
        case FaultKind::Rope:
            return index_text("rope", 0, position, value, other);
        case FaultKind::CrossEntropy:
            return index_text("linear_cross_entropy", 0, position, value, other);
        case FaultKind::MeanRowsEnds:
            return ends_text("mean_rows", position, value, other);
        case FaultKind::MeanRowsOrder:
            return order_text("mean_rows", position, value, other);
        case FaultKind::AttentionEnds:
            return ends_text("attention", position, value, other);
        case FaultKind::AttentionOrder:
            return order_text("attention", position, value, other);
        case FaultKind::AttentionQueries:
            return cover_text("cu_seqlens_q", position, value, other);
        case FaultKind::AttentionKeys:
            return cover_text("cu_seqlens_k", position, value, other);
        case FaultKind::Count:
            break;
    }
    return "internal error: unknown fault";
}

}  // namespace

void throw_fault(const Faults& faults) {
    for (int kind = 0; kind < static_cast<int>(FaultKind::Count); ++kind) {
        const Fault& fault = faults.kinds[kind];
        if (fault.first == kNoFault) continue;
        throw Error(fault_text(static_cast<FaultKind>(kind),
                               static_cast<int64_t>(fault.first >> 32),
                               static_cast<int32_t>(fault.first & 0xffffffffU), fault.other));
    }
}

}  // namespace vila::cuda
