#include "models/decode_graph.h"

#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace vila::models {

DecodeGraph::DecodeGraph(const VilaModel& model, const KvCache& cache, CachedSequence& sequence)
    : model_(model),
      cache_(cache),
      sequence_(sequence),
      state_(Tensor::zeros(model.device(), {5}, DType::I32)),
      pages_(Tensor::from_values(model.device(), {1, static_cast<int64_t>(sequence.pages.size())},
                                 sequence.pages)),
      cu_seqlens_q_(autograd::equal_cu_seqlens(model.device(), 1, 1)),
      logits_(Tensor::empty(model.device(), {1, model.config().llm.vocab_size}, model.dtype())),
      argmax_(Tensor::empty(model.device(), {1}, DType::I32)) {}

void DecodeGraph::run(int32_t id) {
    sequence_.check_room(1, model_.config().llm.max_position_embeddings);
    const int64_t position = sequence_.length;
    const int32_t state[] = {id, static_cast<int32_t>(position),
                             static_cast<int32_t>(sequence_.cache_row(position)), 0,
                             static_cast<int32_t>(position + 1)};
    state_.copy_from_host(state);
    if (replay_) {
        replay_();
    } else {
        replay_ = model_.device().capture([this] { compute(); });
    }
    ++sequence_.length;
}

void DecodeGraph::compute() const {
    const autograd::NoGrad no_grad(model_.device());
    const Llama& llm = model_.llm();
    const CachedRows row = {.positions = state_.slice(0, 1, 2),
                            .cache_rows = state_.slice(0, 2, 3),
                            .cu_seqlens_q = cu_seqlens_q_,
                            .cu_seqlens_k = state_.slice(0, 3, 5),
                            .pages = pages_};
    const Tensor embedding = llm.embed(state_.slice(0, 0, 1)).value();  // (1, C)
    const Tensor hidden = llm.decode(embedding, row, cache_);           // (1, C)
    logits_.copy_from(llm.logits(autograd::Variable(hidden)).value());  // (1, V)
    call(model_.device(), "argmax", &Kernels::argmax, {.x = logits_, .index = argmax_});
}

}  // namespace vila::models
