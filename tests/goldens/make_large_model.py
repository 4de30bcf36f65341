"""Writes a model of random weights in VILA's three folders and bf16, for measuring time and memory:
Llama-2-7B with CLIP-L/336 (14 GB), or a small relative. It writes one tensor at a time, so it needs little
memory. Needs torch, transformers, tokenizers, and the check scripts beside it.

    make_large_model.py OUT [--size 7b|1b]
"""

import argparse
import struct
import json
from pathlib import Path

import torch
from check_families import write_tokenizer
from check_preprocess import NEW_CLIP
from make_image_goldens import square
from make_layout_goldens import write_json
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

SIZES = {
    "7b": dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
               num_attention_heads=32, num_key_value_heads=32),
    "1b": dict(hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
               num_attention_heads=32, num_key_value_heads=4),
}
SHARD_BYTES = 5 << 30


def random_tensor(name, shape):
    """Draws weights like trained ones: norms around one, matrices that keep the size of their input."""
    if "norm" in name or "layrnorm" in name:
        return torch.full(shape, 1.0 if name.endswith("weight") else 0.0).to(torch.bfloat16)
    return torch.empty(shape, dtype=torch.bfloat16).normal_(0.0, 0.02)


def write_file(path, shapes):
    """Writes a safetensors file, tensor by tensor."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 2 * shape.numel()
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            file.write(random_tensor(name, shape).view(torch.uint8).numpy().data)


def write_shards(folder, shapes):
    shards, size = [{}], 0
    for name, shape in shapes.items():
        if size + 2 * shape.numel() > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = shape
        size += 2 * shape.numel()
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_file(folder / file, shard)
        weight_map |= {name: file for name in shard}
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": sum(2 * s.numel() for s in shapes.values())},
                "weight_map": weight_map})


def shapes_of(model):
    return {name: value.shape for name, value in model.state_dict().items()
            if value.is_floating_point() and not name.endswith("inv_freq")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=SIZES, default="7b")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    out = arguments.out
    for part in ["llm", "vision_tower", "mm_projector"]:
        (out / part).mkdir(parents=True)
    llm = LlamaConfig(vocab_size=32000, max_position_embeddings=4096, rms_norm_eps=1e-5,
                      tie_word_embeddings=False, **SIZES[arguments.size])
    tower = CLIPVisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
                             num_attention_heads=16, image_size=336, patch_size=14,
                             projection_dim=768)
    with torch.device("meta"):
        llm_shapes, tower_shapes = shapes_of(LlamaForCausalLM(llm)), shapes_of(CLIPVisionModel(tower))
    write_shards(out / "llm", llm_shapes)
    write_json(out / "llm/config.json", {**llm.to_dict(), "architectures": ["LlamaForCausalLM"],
                                         "dtype": "bfloat16"})
    write_tokenizer(out / "llm")
    write_file(out / "vision_tower/model.safetensors", tower_shapes)
    write_json(out / "vision_tower/config.json",
               {**tower.to_dict(), "architectures": ["CLIPVisionModel"], "dtype": "bfloat16"})
    write_json(out / "vision_tower/preprocessor_config.json",
               NEW_CLIP | {"size": {"shortest_edge": 336}, "crop_size": square(336)})
    width, features = llm.hidden_size, tower.hidden_size
    write_file(out / "mm_projector/model.safetensors", {
        "layers.0.weight": torch.Size([width, features]), "layers.0.bias": torch.Size([width]),
        "layers.2.weight": torch.Size([width, width]), "layers.2.bias": torch.Size([width])})
    write_json(out / "mm_projector/config.json",
               {"model_type": "v2l_projector", "mm_projector_type": "mlp2x_gelu"})
    write_json(out / "config.json", {
        "architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "hidden_size": width,
        "mm_hidden_size": features, "image_aspect_ratio": "pad", "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch"})


if __name__ == "__main__":
    main()
