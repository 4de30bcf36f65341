#pragma once

// A hook that models call before and after every use of a block's weights: in the forward pass, and
// when backward() recomputes the block. Between uses the weights may be absent
// (dist/sharded_adamw.h).

#include <string>

namespace vila::nn {

class BlockHook {
  public:
    virtual ~BlockHook() = default;
    // `block` is the prefix of the names of the block's parameters: "model.layers.3.".
    virtual void enter(const std::string& block) = 0;
    virtual void leave(const std::string& block) = 0;
};

// Calls enter() in its constructor and leave() in its destructor. Does nothing if `hook` is null.
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
