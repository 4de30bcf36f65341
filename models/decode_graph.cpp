#include "models/decode_graph.h"

#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace vila::models {

DecodeGraph::DecodeGraph(const VilaModel& model, KvCache& cache)
    : model_(model),
      cache_(cache),
      state_(Tensor::zeros(model.device(), {4}, DType::I32)),
      cu_seqlens_q_(autograd::equal_cu_seqlens(model.device(), 1, 1)),
      logits_(Tensor::empty(model.device(), {1, model.config().llm.vocab_size}, model.dtype())),
      argmax_(Tensor::empty(model.device(), {1}, DType::I32)) {}

void DecodeGraph::run(int32_t id) {
    const int64_t position = cache_.length();
    const int64_t max_positions = model_.config().llm.max_position_embeddings;
    VILA_CHECK(position < cache_.capacity(), "the key-value cache holds ", cache_.capacity(),
               " positions, ", position + 1, " are needed");
    VILA_CHECK(position < max_positions, "[decode] ", position + 1, " positions: the model has ",
               max_positions);
    const int32_t state[] = {id, static_cast<int32_t>(position), 0,
                             static_cast<int32_t>(position + 1)};
    state_.copy_from_host(state);
    if (replay_) {
        replay_();
    } else {
        replay_ = model_.device().capture([this] { compute(); });
    }
    cache_.advance(1);
}

void DecodeGraph::compute() const {
    const autograd::NoGrad no_grad(model_.device());
    const Llama& llm = model_.llm();
    const DevicePosition position = {.position = state_.slice(0, 1, 2),
                                     .cu_seqlens_q = cu_seqlens_q_,
                                     .cu_seqlens_k = state_.slice(0, 2, 4)};
    const Tensor embedding = llm.embed(state_.slice(0, 0, 1)).value();    // (1, C)
    const Tensor hidden = llm.decode_token(embedding, position, cache_);  // (1, C)
    logits_.copy_from(llm.logits(autograd::Variable(hidden)).value());    // (1, V)
    call(model_.device(), "argmax", &Kernels::argmax, {.x = logits_, .index = argmax_});
}

}  // namespace vila::models
