#include "dist/collective_schedule.h"

#include <algorithm>

namespace vila::dist {

Schedule make_schedule(const BucketPlan& plan, bool blocks_are_sharded, bool prefetch) {
    using Kind = ScheduleStep::Kind;
    std::vector<size_t> blocks;  // buckets of sharded blocks, in the order of backward()
    for (size_t i = 0; i < plan.buckets.size() && blocks_are_sharded; ++i)
        if (!plan.buckets[i].block.empty()) blocks.push_back(i);

    Schedule schedule;
    for (size_t i = blocks.size(); i-- > 0;) schedule.push_back({Kind::AllGather, blocks[i]});
    // Numbers of blocks whose backward all-gather, and whose reduce-scatter, are scheduled.
    size_t gathered = 0, reduced = 0;
    for (size_t i = 0; i < plan.buckets.size(); ++i) {
        if (reduced < blocks.size() && blocks[reduced] == i) {
            ++reduced;
            const size_t end = std::min(blocks.size(), reduced + (prefetch ? 1 : 0));
            for (; gathered < end; ++gathered)
                schedule.push_back({Kind::AllGather, blocks[gathered]});
        }
        schedule.push_back({Kind::ReduceScatter, i});
    }
    return schedule;
}

}  // namespace vila::dist
