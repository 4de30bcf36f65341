"""Makes tests/goldens/layouts/: tiny random models in the layouts in which models are published,
and the results of PyTorch on them. Needs torch, transformers and safetensors.

    vicuna/         text only; linear rope scaling in the old spelling; shards of PyTorch files, f16,
                    with the buffers that old versions saved
    llama3/         text only; llama3 rope scaling in the new spelling; shards of safetensors, bf16
    qwen2/          text only; q/k/v biases, untied, safetensors
    llava_hf/       LlavaForConditionalGeneration as transformers saves it
    llava/          the same model as LlavaLlamaForCausalLM, one PyTorch file
    adapter/        its projector alone, over ...
    parts/          ... its language model and vision tower
    vila15/         Llama-3 + SigLIP + mlp_downsample in three directories, as VILA-1.5 leaves them
    projectors/     other projectors for vila15/: linear, mlp2x_gelu, transformer, and
                    mlp_downsample in row order
    *.safetensors   inputs and expected outputs

Weights are rounded to the dtype in which they are stored; everything is computed in float64.
"""

import copy
import json
import shutil
from pathlib import Path

import torch
from make_model_goldens import (
    DownsampleProjector,
    LinearProjector,
    MlpProjector,
    TransformerProjector,
    randomise,
)
from safetensors.torch import save_file
from torch import nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

OUT = Path(__file__).parent / "layouts"
IMAGE = -200
NEW_TOKENS = 64

# One image, and three images of which two are adjacent.
SEQUENCES = {
    "one": [1, 17, IMAGE, 8, 44, 45, 2, 30],
    "three": [IMAGE, IMAGE, 20, 21, 22, 23, 24, 2, 3, IMAGE, 9],
}
TEXT = [1] + [3 + (7 * i * i + 5 * i) % 57 for i in range(39)]


def rounded(model, dtype):
    """Rounds every weight to `dtype`; the arithmetic is in float64."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype).to(parameter.dtype))
    return model.double()


def save_part(model, directory):
    """Saves it as transformers does, in bf16. Works on a copy, because that also rounds the rotary frequencies."""
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(directory)


def stored(model, dtype):
    return {name: value.to(dtype).contiguous() for name, value in model.state_dict().items()
            if not name.endswith("position_ids")}


def save(name, tensors):
    save_file({key: value.detach().contiguous().to(torch.float32)
               if value.is_floating_point() else value.detach().contiguous()
               for key, value in tensors.items()},
              OUT / f"{name}.safetensors", metadata={"format": "pt"})


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def save_shards(directory, tensors, stem, extension, write):
    """Writes the tensors into two files and the index that lists them."""
    directory.mkdir(parents=True, exist_ok=True)
    names = sorted(tensors)
    half = len(names) // 2
    weight_map = {}
    for number, part in enumerate([names[:half], names[half:]], 1):
        file = f"{stem}-{number:05}-of-00002.{extension}"
        write({name: tensors[name] for name in part}, directory / file)
        weight_map |= {name: file for name in part}
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    write_json(directory / f"{stem}.{extension}.index.json",
               {"metadata": {"total_size": size}, "weight_map": weight_map})


def save_safetensors(tensors, path):
    save_file(tensors, path, metadata={"format": "pt"})


def greedy(model, **inputs):
    """Returns the continuation without the given ids. It does not stop at end tokens."""
    model.generation_config.eos_token_id = None
    ids = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
    return ids[0, -NEW_TOKENS:].int()


def save_text(name, model):
    ids = torch.tensor([TEXT])
    embeddings = model.get_input_embeddings()(ids[:, :7])
    save(name, {"ids": ids[0].int(), "logits": model(ids).logits[0],
                "greedy": greedy(model, inputs_embeds=embeddings)})


def make_vicuna():
    sizes = dict(vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                 num_attention_heads=4, max_position_embeddings=128, rms_norm_eps=1e-6,
                 bos_token_id=1, eos_token_id=2, pad_token_id=0)
    config = LlamaConfig(**sizes, tie_word_embeddings=False, rope_parameters={
        "rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0})
    model = rounded(randomise(LlamaForCausalLM(config).float(), 0.2), torch.float16)
    tensors = stored(model, torch.float16)
    for layer in range(2):
        tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    save_shards(OUT / "vicuna", tensors, "pytorch_model", "bin", torch.save)
    write_json(OUT / "vicuna/config.json", {
        "_name_or_path": "somebody/vicuna", "architectures": ["LlamaForCausalLM"],
        "hidden_act": "silu", "initializer_range": 0.02, "model_type": "llama",
        "pretraining_tp": 1, "rope_scaling": {"factor": 4.0, "type": "linear"},
        "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.31.0", "use_cache": True, **sizes})
    save_text("vicuna", model)


def llama3_config():
    return LlamaConfig(
        vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=6, max_position_embeddings=128,
        rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=[2, 60],
        rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0,
                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 32})


def make_llama3():
    model = rounded(randomise(LlamaForCausalLM(llama3_config()).float(), 0.2), torch.bfloat16)
    save_shards(OUT / "llama3", stored(model, torch.bfloat16), "model", "safetensors",
                save_safetensors)
    write_json(OUT / "llama3/config.json", model.config.to_dict())
    save_text("llama3", model)


def make_qwen2():
    config = Qwen2Config(
        vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=1, max_position_embeddings=128,
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    model = rounded(randomise(Qwen2ForCausalLM(config).float(), 0.2), torch.bfloat16)
    (OUT / "qwen2").mkdir()
    save_safetensors(stored(model, torch.bfloat16), OUT / "qwen2/model.safetensors")
    write_json(OUT / "qwen2/config.json", model.config.to_dict())
    save_text("qwen2", model)


# --- LLaVA-1.5 in its layouts ---

LLAVA_IMAGE_TOKEN = 59


def make_llava():
    config = LlavaConfig(
        text_config=LlamaConfig(
            vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=128, rms_norm_eps=1e-5,
            bos_token_id=1, eos_token_id=2),
        vision_config=CLIPVisionConfig(
            hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=3,
            image_size=15, patch_size=7, projection_dim=8),
        image_token_index=LLAVA_IMAGE_TOKEN, image_seq_length=4)
    model = rounded(randomise(LlavaForConditionalGeneration(config).float(), 0.2), torch.bfloat16)
    model.eval()
    save_part(model, OUT / "llava_hf")

    tensors = {}
    for name, ids in SEQUENCES.items():
        pixels = torch.randn(ids.count(IMAGE), 3, 15, 15).double()
        flat = []
        for id in ids:
            flat += [LLAVA_IMAGE_TOKEN] * 4 if id == IMAGE else [id]
        out = model(input_ids=torch.tensor([flat]), pixel_values=pixels)
        features = model.get_image_features(pixels)
        features = features.pooler_output if hasattr(features, "pooler_output") else features
        tensors |= {f"{name}.ids": torch.tensor(ids, dtype=torch.int32), f"{name}.pixels": pixels,
                    f"{name}.image_features": torch.stack(list(features)),
                    f"{name}.logits": out.logits[0],
                    f"{name}.greedy": greedy(model, input_ids=torch.tensor([flat]),
                                             pixel_values=pixels)}
    save("llava", tensors)

    # The same weights under the names of the original.
    inner = model.model
    llm = {"model." + name: value for name, value in
           stored(inner.language_model, torch.bfloat16).items()}
    llm["lm_head.weight"] = model.lm_head.weight.detach().to(torch.bfloat16).clone()
    projector = {}
    for ours, theirs in [("linear_1", "0"), ("linear_2", "2")]:
        for name, value in stored(getattr(inner.multi_modal_projector, ours),
                                  torch.bfloat16).items():
            projector[f"model.mm_projector.{theirs}.{name}"] = value
    tower = {("" if name.startswith("vision_model.") else "vision_model.") + name: value
             for name, value in stored(inner.vision_tower, torch.bfloat16).items()}
    base = {"hidden_act": "silu", "vocab_size": 61, "hidden_size": 16, "intermediate_size": 24,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
            "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "bos_token_id": 1,
            "eos_token_id": 2, "pad_token_id": 0, "rope_scaling": None, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
    joint = {"mm_hidden_size": 12, "mm_projector_type": "mlp2x_gelu",
             "mm_vision_select_feature": "patch", "mm_vision_select_layer": -2,
             "mm_vision_tower": "../parts/vision_tower", "mm_use_im_start_end": False,
             "mm_use_im_patch_token": False, "image_aspect_ratio": "pad", "use_mm_proj": True,
             "tune_mm_mlp_adapter": False, "freeze_mm_mlp_adapter": False}
    write_json(OUT / "llava/config.json", {
        "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava", **base, **joint})
    torch.save(llm | projector, OUT / "llava/pytorch_model.bin")
    write_json(OUT / "adapter/config.json", {
        "_name_or_path": "../parts/llm", "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama", **base, **joint, "tune_mm_mlp_adapter": True})
    torch.save(projector, OUT / "adapter/mm_projector.bin")
    write_json(OUT / "parts/llm/config.json",
               {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **base})
    save_safetensors(llm, OUT / "parts/llm/model.safetensors")
    write_json(OUT / "parts/vision_tower/config.json",
               {"architectures": ["CLIPVisionModel"], **config.vision_config.to_dict()})
    save_safetensors(tower, OUT / "parts/vision_tower/model.safetensors")


# --- VILA-1.5 ---

def spliced(llm, tokens, ids):
    parts, image = [], 0
    for id in ids:
        if id == IMAGE:
            parts.append(tokens[image])
            image += 1
        else:
            parts.append(llm.get_input_embeddings()(torch.tensor([id])))
    return torch.cat(parts)[None]


def make_vila15():
    llm = rounded(randomise(LlamaForCausalLM(llama3_config()).float(), 0.2), torch.bfloat16)
    tower = rounded(randomise(SiglipVisionModel(SiglipVisionConfig(
        hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=3,
        image_size=22, patch_size=7)).float(), 0.2), torch.bfloat16)
    root = OUT / "vila15"
    for part, model in [("llm", llm), ("vision_tower", tower)]:
        save_part(model, root / part)

    kinds = {"mlp_downsample": DownsampleProjector(12, 16), "linear": LinearProjector(12, 16),
             "mlp2x_gelu": MlpProjector(12, 16), "transformer": TransformerProjector(12, 16, 4)}
    pixels = {name: torch.randn(ids.count(IMAGE), 3, 22, 22).double()
              for name, ids in SEQUENCES.items()}
    tensors = {}
    for name, ids in SEQUENCES.items():
        tensors |= {f"{name}.ids": torch.tensor(ids, dtype=torch.int32),
                    f"{name}.pixels": pixels[name]}
    for kind, module in kinds.items():
        module = rounded(randomise(module.float(), 0.2), torch.bfloat16)
        orders = ["column", "row"] if kind == "mlp_downsample" else [None]
        for order in orders:
            label = kind if order != "row" else kind + "_row"
            directory = root / "mm_projector" if order == "column" else OUT / "projectors" / label
            config = {"architectures": ["MultimodalProjector"], "model_type": "v2l_projector",
                      "mm_projector_type": kind, "torch_dtype": "bfloat16"}
            if order == "row":
                config["token_order"] = "row"
            if kind == "transformer":
                config["num_attention_heads"] = 4
            write_json(directory / "config.json", config)
            save_safetensors(stored(module, torch.bfloat16), directory / "model.safetensors")
            for name, ids in SEQUENCES.items():
                states = tower(pixels[name], output_hidden_states=True).hidden_states[-2]
                tokens = module(states, order) if order else module(states)
                embeddings = spliced(llm, tokens, ids)
                tensors |= {f"{label}.{name}.image_features": tokens,
                            f"{label}.{name}.logits": llm(inputs_embeds=embeddings).logits[0],
                            f"{label}.{name}.greedy": greedy(llm, inputs_embeds=embeddings)}
    save("vila15", tensors)
    write_json(root / "config.json", {
        "architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "hidden_size": 16,
        "mm_hidden_size": 12, "image_aspect_ratio": "resize", "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "cls_patch", "s2": False, "vision_resolution": -1,
        "interpolate_mode": "linear", "num_video_frames": 8, "model_dtype": "torch.bfloat16",
        "mm_use_im_start_end": False, "mm_use_im_patch_token": False})


def make_positions():
    """Interpolates position embeddings for other image sizes, as transformers does."""
    table = torch.randn(10, 5).double()
    grid = table[1:].reshape(1, 3, 3, 5).permute(0, 3, 1, 2)
    tensors = {"table": table}
    for side in [1, 2, 3, 4, 7]:
        resized = nn.functional.interpolate(grid, size=(side, side), mode="bicubic",
                                            align_corners=False)
        tensors[f"side.{side}"] = resized.permute(0, 2, 3, 1).reshape(side * side, 5)
    save("positions", tensors)


def main():
    torch.manual_seed(20240503)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    make_vicuna()
    make_llama3()
    make_qwen2()
    make_llava()
    make_vila15()
    make_positions()
    for leftover in OUT.rglob("generation_config.json"):
        leftover.unlink()


if __name__ == "__main__":
    main()
