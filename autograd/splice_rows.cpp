// Replaces some text rows by image rows.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable splice_rows(const Variable& text, const Variable& rows, const Tensor& index) {
    check_float("splice_rows", "text", text.value(), 2);
    const ActivityScope scope(text.device(), {"", "splice_rows"});
    check_index("splice_rows", "index", index, text.device());
    check_operand("splice_rows", "rows", rows.value(), {index.size(0), text.size(1)}, text.dtype(),
                  text.device());
    const Tensor y = text.value().clone();  // (R, C)
    call(text.device(), "scatter_rows", &Kernels::scatter_rows,
         {.x = rows.value().contiguous(), .index = index, .y = y});
    return record("splice_rows", y, {text, rows},
                  [dtext = text.edge(), drows = rows.edge(), index](const Tensor& dy) {
                      if (drows.wanted()) {
                          const Tensor taken =  // (M, C)
                              Tensor::empty(dy.device(), drows.shape(), dy.dtype());
                          call(dy.device(), "gather_rows", &Kernels::gather_rows,
                               {.x = dy, .index = index, .y = taken});
                          drows.add(taken);
                      }
                      if (dtext.wanted()) {
                          const Tensor kept = dy.clone();  // (R, C)
                          call(dy.device(), "scatter_rows", &Kernels::scatter_rows,
                               {.x = Tensor(), .index = index, .y = kept});
                          dtext.add(kept);
                      }
                  });
}

}  // namespace vila::autograd
