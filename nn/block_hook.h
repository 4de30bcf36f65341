#pragma once

// Told around every use of a block's weights, in the forward pass and when backward() runs the
// block again: lets somebody keep the weights elsewhere in the meantime (dist/sharded_adamw.h).

#include <string>

namespace vila::nn {

class BlockHook {
  public:
    virtual ~BlockHook() = default;
    // `block` opens the names of the block's parameters: "model.layers.3.".
    virtual void enter(const std::string& block) = 0;
    virtual void leave(const std::string& block) = 0;
};

// Calls both; without a hook, neither.
class BlockScope {
  public:
    BlockScope(BlockHook* hook, std::string block) : hook_(hook), block_(std::move(block)) {
        if (hook_ != nullptr) hook_->enter(block_);
    }
    ~BlockScope() {
        if (hook_ != nullptr) hook_->leave(block_);
    }
    BlockScope(const BlockScope&) = delete;
    BlockScope& operator=(const BlockScope&) = delete;

  private:
    BlockHook* hook_;
    std::string block_;
};

}  // namespace vila::nn
