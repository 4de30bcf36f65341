#include "dist/gradient_reducer.h"

#include <cmath>

#include "tensor/check.h"

namespace vila::dist {

GradientReducer::GradientReducer(Collectives& collectives, const BucketPlan& plan,
                                 std::vector<nn::Parameter*> parameters)
    : collectives_(collectives), plan_(plan), parameters_(std::move(parameters)) {
    VILA_ASSERT(plan_.ranks == collectives_.ranks() &&
                plan_.bucket_of.size() == parameters_.size());
    for (const Bucket& bucket : plan_.buckets) {
        Device& device = parameters_[bucket.pieces.front().parameter]->variable.device();
        sums_.push_back(Tensor::zeros(device, {bucket.size / plan_.ranks},
                                      bucket.dtype == DType::F64 ? DType::F64 : DType::F32));
        missing_.push_back(bucket.pieces.size());
    }
    for (size_t i = 0; i < parameters_.size(); ++i)
        parameters_[i]->variable.on_grad_complete([this, i](const Tensor&) { complete(i); });
}

GradientReducer::~GradientReducer() {
    for (nn::Parameter* parameter : parameters_) parameter->variable.on_grad_complete(nullptr);
}

void GradientReducer::begin_step() {
    VILA_ASSERT(next_ == 0);
    for (const Tensor& sum : sums_) sum.fill(0.0);
}

void GradientReducer::complete(size_t parameter) {
    --missing_[plan_.bucket_of[parameter]];
    send(false);
}

void GradientReducer::end_micro_batch() {
    send(true);
    next_ = 0;
    for (size_t i = 0; i < missing_.size(); ++i) missing_[i] = plan_.buckets[i].pieces.size();
}

void GradientReducer::send(bool all) {
    for (; next_ < plan_.buckets.size() && (all || missing_[next_] == 0); ++next_) reduce(next_);
}

void GradientReducer::reduce(size_t index) {
    const Bucket& bucket = plan_.buckets[index];
    const Tensor& sum = sums_[index];
    const Tensor values = Tensor::empty(sum.device(), {bucket.size}, sum.dtype());
    int64_t filled = 0;
    const auto zero_until = [&](int64_t end) {
        if (end > filled) values.slice(0, filled, end).fill(0.0);
    };
    for (const Bucket::Piece& piece : bucket.pieces) {
        autograd::Variable& variable = parameters_[piece.parameter]->variable;
        zero_until(piece.begin);
        filled = piece.begin + piece.count;
        const Tensor mine = values.slice(0, piece.begin, filled);
        if (variable.grad().defined())
            mine.copy_from(variable.grad().reshape({piece.count}));
        else
            mine.fill(0.0);
        variable.clear_grad();
    }
    zero_until(bucket.size);
    reduce_scatter(collectives_, values, sum, true);
}

double GradientReducer::norm() const {
    ExactSum squares;
    for (const Tensor& sum : sums_) add_squares(sum, squares);
    sum_over_ranks(collectives_, {&squares, 1});
    return std::sqrt(squares.value());
}

}  // namespace vila::dist
