#pragma once

// Contrastive training of a vision tower (Radford et al. 2021, CLIP). The tower and a small text
// tower map images and captions to one embedding space. The loss asks each image to find its
// caption among those of the batch, and each caption its image. Only the vision tower is kept
// afterwards.
//
// Names and arithmetic follow CLIPModel in transformers. With a SigLIP tower, which has no class
// token, the embedding of an image is the mean of its patches.

#include <vector>

#include "models/batch.h"
#include "models/vit.h"
#include "nn/embedding.h"

namespace vila::models {

// The configuration of the text tower and the embedding space.
struct ClipTextConfig {
    int64_t vocab_size = 0;               // V
    int64_t hidden_size = 0;              // C
    int64_t intermediate_size = 0;        // F
    int64_t num_hidden_layers = 0;        // L
    int64_t num_attention_heads = 0;      // H
    int64_t max_position_embeddings = 0;  // longest caption, in tokens
    int64_t projection_dim = 0;           // width of the embedding space
    double layer_norm_eps = 1e-5;
    GeluKind activation = GeluKind::Quick;
    VisionInit init;
    double logit_scale = 2.6592;  // initial log(1 / temperature): ln(1 / 0.07)

    // A small text tower for this vision tower: the same width and heads, 2 layers.
    static ClipTextConfig for_tower(const VisionConfig& vision, int64_t vocab_size,
                                    int64_t max_positions);
};

// Images with one caption each.
struct ClipBatch {
    Tensor pixels;      // (B, 3, height, width) f32
    Tensor ids;         // (R) i32: captions end to end
    Tensor positions;   // (R) i32
    Tensor cu_seqlens;  // (B + 1) i32
    Tensor last_rows;  // (B) i32: the row of the last token of each caption; it gives the embedding
    int64_t longest = 0;  // tokens of the longest caption

    int64_t pairs() const { return last_rows.size(0); }
};

// Makes a batch of sequences with one image each. Drops placeholders and ignores labels. Throws
// when a sequence does not have exactly one image of pixels, or has no text.
ClipBatch make_clip_batch(Device& device, const std::vector<Sequence>& sequences);

class ClipModel {
  public:
    // Weights have no values yet.
    ClipModel(const VisionConfig& vision, const ClipTextConfig& text, Device& device, DType dtype);
    ClipModel(const ClipModel&) = delete;
    ClipModel& operator=(const ClipModel&) = delete;

    const VisionConfig& vision_config() const { return vit_.config(); }
    const ClipTextConfig& text_config() const { return text_; }
    Device& device() const { return device_; }
    DType dtype() const { return dtype_; }
    // The weights of the vision tower, and all others: text tower, projections, temperature.
    nn::ParameterTable& vision_table() { return vision_table_; }
    nn::ParameterTable& text_table() { return text_table_; }
    // Gives all weights new values and makes them trainable.
    void initialize(uint64_t seed);
    std::vector<nn::Parameter*> trainable_parameters();

    // See VilaModel::set_activation_checkpointing. Applies to the vision tower.
    void set_activation_checkpointing(bool enabled) { activation_checkpointing_ = enabled; }

    // Pixels (B, 3, height, width), or captions -> unit vectors (B, projection_dim).
    autograd::Variable image_embeddings(const Tensor& pixels) const;
    autograd::Variable text_embeddings(const ClipBatch& batch) const;
    // The softmax cross-entropy, averaged over both directions and all pairs, times loss_scale:
    // shape (1).
    autograd::Variable loss(const ClipBatch& batch, double loss_scale) const;
    // The same loss from embeddings (B, projection_dim). Trains the temperature unless
    // `fixed_temperature`.
    autograd::Variable loss(const autograd::Variable& images, const autograd::Variable& texts,
                            double loss_scale, bool fixed_temperature = false) const;
    // Cosine similarities (B, B) f32: images in rows, captions in columns. Records no gradient.
    Tensor similarity(const ClipBatch& batch) const;
    // Clamps the learned temperature to at least 1 / 100, as CLIP does. Call it after every step.
    void cap_temperature();

  private:
    ClipTextConfig text_;
    Device& device_;
    DType dtype_;
    nn::ParameterTable vision_table_, text_table_;
    Vit vit_;
    nn::Embedding token_embedding_;
    nn::Embedding position_embedding_;
    std::vector<nn::EncoderBlock> layers_;
    nn::LayerNorm final_layer_norm_;
    nn::Linear visual_projection_, text_projection_;
    nn::Parameter* logit_scale_;  // owned by text_table_; shape ()
    bool activation_checkpointing_ = false;
};

}  // namespace vila::models
