#include "models/token_step.h"

#include "nn/encoder_block.h"
#include "tensor/kernels.h"

namespace vila::models {

TokenStep::TokenStep(const VilaModel& model, KvCache& cache)
    : model_(model),
      cache_(cache),
      state_(Tensor::zeros(model.device(), {4}, DType::I32)),
      cu_seqlens_q_(nn::equal_cu_seqlens(model.device(), 1, 1)),
      logits_(Tensor::empty(model.device(), {1, model.config().llm.vocab_size}, model.dtype())),
      most_probable_(Tensor::empty(model.device(), {1}, DType::I32)) {}

void TokenStep::run(int32_t id) {
    const int64_t position = cache_.length(), most = model_.config().llm.max_position_embeddings;
    VILA_CHECK(position < cache_.capacity(), "the key-value cache holds ", cache_.capacity(),
               " positions, ", position + 1, " are needed");
    VILA_CHECK(position < most, "[decode] ", position + 1, " positions: the model has ", most);
    const int32_t state[] = {id, static_cast<int32_t>(position), 0,
                             static_cast<int32_t>(position + 1)};
    state_.copy_from_host(state);
    if (again_) {
        again_();
    } else {
        again_ = model_.device().capture([this] { compute(); });
    }
    cache_.advance(1);
}

void TokenStep::compute() const {
    const autograd::NoGrad no_grad(model_.device());
    const Llama& llm = model_.llm();
    const TokenPlace place = {.position = state_.slice(0, 1, 2),
                              .cu_seqlens_q = cu_seqlens_q_,
                              .cu_seqlens_k = state_.slice(0, 2, 4)};
    const Tensor hidden = llm.decode_token(llm.embed(state_.slice(0, 0, 1)).value(), place, cache_);
    logits_.copy_from(llm.logits(autograd::Variable(hidden)).value());
    call(model_.device(), "argmax", &Kernels::argmax, {.x = logits_, .index = most_probable_});
}

}  // namespace vila::models
