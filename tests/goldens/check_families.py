"""Checks that vila computes what transformers computes. Makes small random models of every family in
every layout, runs `vila score` for image features and logits and `vila generate` for a greedy
continuation, and compares. Needs torch, transformers, tokenizers and safetensors; the tests
do not. Exits with 1 if anything differs.

    check_families.py VILA [--only PART_OF_A_NAME] [--seed N]

Tests each model twice: with the initial weights of transformers, and with larger ones (deviation
0.15, or --deviation), which give logits that depend on every part.

Limits: a relative difference ||a - b|| / ||b|| of at most 1e-4 in f32 and 2e-2 in bf16, and 64 equal
tokens. Rounding larger weights to bf16 already costs more than half of 2e-2; for those the limit is
1.25 times the loss of PyTorch itself in bf16. The reference is computed in float64 from the weights as
they are stored.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from make_image_goldens import CLIP, SIGLIP, open_processor, pixel_values, square
from make_layout_goldens import rounded, save_safetensors, save_shards, stored, write_json
from make_model_goldens import (
    DownsampleProjector,
    LinearDownsampleProjector,
    LinearProjector,
    MlpProjector,
    TransformerProjector,
    randomise,
)
from PIL import Image
from safetensors import safe_open
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.utils import logging

IMAGE = -200
NEW_TOKENS = 64
VOCAB = 288
IMAGE_ID = 260  # the token that stands for an image in llava-hf
BARS = {"f32": 1e-4, "bf16": 2e-2, "tokens": 0}
PROMPTS = {
    "none": "The quick brown fox, 12 times.",
    "one": "Look: <image> what is it?",
    "three": "<image><image> two, then <image>\nand what?",
}


def relative(a, b):
    return (torch.linalg.norm(a.double() - b.double()) / torch.linalg.norm(b.double())).item()


@dataclass
class Case:
    """A model directory and the parts that compute its reference."""
    path: Path
    llm: torch.nn.Module
    tower: torch.nn.Module = None
    projector: torch.nn.Module = None
    processor: dict = None
    mode: str = "crop"
    layer: int = -2
    keeps_first: bool = True
    order: str = None  # of the tokens that a projector merges

    def features(self, pixels):
        with torch.no_grad():
            states = self.tower(pixels, output_hidden_states=True).hidden_states[self.layer]
            states = states if self.keeps_first else states[:, 1:]
            return self.projector(states, *([self.order] if self.order else []))

    def to(self, dtype):
        """Returns the same parts, computed in another type."""
        convert = lambda module: module and copy.deepcopy(module).to(dtype)
        return replace(self, llm=convert(self.llm), tower=convert(self.tower),
                       projector=convert(self.projector))

    def embeddings(self, ids, features):
        parts, image = [], 0
        for id in ids:
            if id == IMAGE:
                parts.append(features[image])
                image += 1
            else:
                parts.append(self.llm.get_input_embeddings()(torch.tensor([id])))
        return torch.cat(parts)[None]


def write_tokenizer(folder):
    """A tokenizer with one token per byte, and a few special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", "<pad>"])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json",
               {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>",
                "eos_token": "</s>", "pad_token": "<pad>", "add_bos_token": False})


# --- language models ---

SIZES = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=3,
             num_attention_heads=4, max_position_embeddings=512, bos_token_id=256, eos_token_id=257)
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def rope(kind="default", theta=10000.0, **others):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **others}}


LLAMA_FAMILIES = {
    "llama1": dict(rms_norm_eps=1e-6, **rope()),
    "llama2": dict(rms_norm_eps=1e-5, **rope()),
    "vicuna_linear": dict(rms_norm_eps=1e-5, **rope("linear", factor=2.0)),
    "yi": dict(num_key_value_heads=1, rms_norm_eps=1e-5, **rope(theta=5e6)),
    "llama3": dict(num_key_value_heads=2, rms_norm_eps=1e-5, **rope(theta=5e5)),
    "llama31": dict(num_key_value_heads=2, rms_norm_eps=1e-5,
                    **rope("llama3", 5e5, **{k: v for k, v in LLAMA3_ROPE.items()
                                             if k != "rope_type"})),
    "llama32_tied": dict(num_key_value_heads=2, rms_norm_eps=1e-5, tie_word_embeddings=True,
                         head_dim=16, **rope("llama3", 5e5, **{
                             k: v for k, v in LLAMA3_ROPE.items() if k != "rope_type"})),
    "llama_biases": dict(attention_bias=True, mlp_bias=True, **rope()),
}
QWEN2_FAMILIES = {
    "qwen2": dict(num_key_value_heads=2, **rope(theta=1e6)),
    "qwen2_tied": dict(num_key_value_heads=1, tie_word_embeddings=True, **rope(theta=1e6)),
}


def make_llm(family, dtype, deviation):
    if family in LLAMA_FAMILIES:
        model = LlamaForCausalLM(LlamaConfig(**{**SIZES, **LLAMA_FAMILIES[family]}))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**{**SIZES, **QWEN2_FAMILIES[family]}))
    model = model.float()
    if deviation:
        randomise(model, deviation)
    return rounded(model, dtype).eval()


def older_spelling(config):
    """Returns a configuration as transformers 4 wrote it."""
    config = dict(config)
    scaling = dict(config.pop("rope_parameters"))
    config["rope_theta"] = scaling.pop("rope_theta")
    config["rope_scaling"] = scaling if scaling["rope_type"] != "default" else None
    if config["rope_scaling"] and scaling["rope_type"] == "linear":
        scaling["type"] = scaling.pop("rope_type")
    config["torch_dtype"] = config.pop("dtype", "float32")
    return config


def save_part(model, folder, dtype):
    # A copy, because the conversion also rounds the rotary frequencies.
    copy.deepcopy(model).to(dtype).save_pretrained(folder)


# --- vision towers ---

TOWER = dict(hidden_size=36, intermediate_size=52, num_attention_heads=3)
TOWERS = {
    "clip": (CLIPVisionModel, CLIPVisionConfig(
        **TOWER, num_hidden_layers=3, image_size=28, patch_size=14)),
    "clip_rest": (CLIPVisionModel, CLIPVisionConfig(
        **TOWER, num_hidden_layers=3, image_size=31, patch_size=9)),
    "clip_gelu": (CLIPVisionModel, CLIPVisionConfig(
        **TOWER, num_hidden_layers=2, image_size=24, patch_size=6, hidden_act="gelu")),
    "siglip": (SiglipVisionModel, SiglipVisionConfig(
        **TOWER, num_hidden_layers=3, image_size=27, patch_size=5)),
    "siglip_even": (SiglipVisionModel, SiglipVisionConfig(
        **TOWER, num_hidden_layers=3, image_size=32, patch_size=8)),
}


def make_tower(name, dtype, deviation):
    kind, config = TOWERS[name]
    model = kind(config).float()
    if deviation:
        randomise(model, deviation)
    return rounded(model, dtype).eval()


def processor_config(tower):
    side = tower.config.image_size
    if isinstance(tower, SiglipVisionModel):
        return SIGLIP | {"size": square(side)}
    return CLIP | {"size": {"shortest_edge": side}, "crop_size": square(side), "do_rescale": True,
                   "rescale_factor": 1 / 255, "do_convert_rgb": True}


# --- layouts ---

def text_cases(root, dtype, deviation):
    for family in [*LLAMA_FAMILIES, *QWEN2_FAMILIES]:
        for spelling in ["newer", "older"]:
            path = root / f"text-{family}-{spelling}"
            llm = make_llm(family, dtype, deviation)
            save_part(llm, path, dtype)
            if spelling == "older":
                config = json.loads((path / "config.json").read_text())
                write_json(path / "config.json", older_spelling(config))
            write_tokenizer(path)
            yield Case(path, llm)


PROJECTORS = {
    "linear": (LinearProjector, {}),
    "mlp2x_gelu": (MlpProjector, {}),
    "transformer": (lambda a, b: TransformerProjector(a, b, 4), {"num_attention_heads": 4}),
    "linear_downsample": (LinearDownsampleProjector, {}),
    "mlp_downsample": (DownsampleProjector, {}),
}


def make_projector(kind, width, dtype, deviation):
    module = PROJECTORS[kind][0](width, SIZES["hidden_size"]).float()
    return rounded(randomise(module, deviation or 0.1), dtype)


def vila_case(root, name, family, tower_name, kind, dtype, deviation, **options):
    """Writes the three folders of VILA-1.5."""
    path = root / f"vila-{name}"
    llm = make_llm(family, dtype, deviation)
    tower = make_tower(tower_name, dtype, deviation)
    projector = make_projector(kind, TOWER["hidden_size"], dtype, deviation)
    save_part(llm, path / "llm", dtype)
    write_tokenizer(path / "llm")
    save_part(tower, path / "vision_tower", dtype)
    write_json(path / "vision_tower/preprocessor_config.json", processor_config(tower))
    (path / "mm_projector").mkdir()
    save_safetensors(stored(projector, dtype), path / "mm_projector/model.safetensors")
    order = options.get("order")
    write_json(path / "mm_projector/config.json", {
        "model_type": "v2l_projector", "mm_projector_type": kind, **PROJECTORS[kind][1],
        **({"token_order": order} if order else {})})
    mode, layer = options.get("mode", "resize"), options.get("layer", -2)
    has_class = isinstance(tower, CLIPVisionModel)
    keeps = options.get("keeps_class", not has_class)
    write_json(path / "config.json", {
        "architectures": ["LlavaLlamaModel"], "model_type": "llava_llama",
        "hidden_size": SIZES["hidden_size"], "mm_hidden_size": TOWER["hidden_size"],
        "image_aspect_ratio": {"crop": "square"}.get(mode, mode), "mm_vision_select_layer": layer,
        "mm_vision_select_feature": "cls_patch" if keeps else "patch", "s2": False,
        "llm_cfg": {}, "vision_tower_cfg": {}, "mm_projector_cfg": {}})
    if kind.endswith("downsample"):
        order = order or "column"
    return Case(path, llm, tower, projector, processor_config(tower), mode, layer, keeps, order)


def vila_cases(root, dtype, deviation):
    make = lambda *a, **k: vila_case(root, *a, dtype, deviation, **k)
    yield make("siglip-down", "llama31", "siglip", "mlp_downsample")
    yield make("siglip-down-row", "llama3", "siglip", "mlp_downsample", order="row")
    yield make("siglip-even-down", "yi", "siglip_even", "mlp_downsample", mode="pad")
    yield make("siglip-linear-down", "llama2", "siglip", "linear_downsample", order="row")
    yield make("clip-linear", "llama2", "clip", "linear", mode="pad")
    yield make("clip-mlp", "qwen2_tied", "clip_rest", "mlp2x_gelu", mode="crop")
    yield make("clip-class", "qwen2", "clip_gelu", "mlp2x_gelu", keeps_class=True)
    yield make("clip-transformer", "llama1", "clip_rest", "transformer", mode="pad")
    yield make("siglip-transformer", "vicuna_linear", "siglip", "transformer")
    for layer in [-1, -3, 0, 2]:
        yield make(f"clip-layer{layer}", "llama2", "clip", "linear", layer=layer)
        yield make(f"siglip-layer{layer}", "llama2", "siglip", "linear", layer=layer)


def llava_case(root, name, family, tower_name, kind, dtype, deviation, tower_inside=False,
               sharded=False):
    """Writes LLaVA-1.5 or VILA-1.0: language model and projector in one flat directory."""
    path = root / f"llava-{name}"
    llm = make_llm(family, dtype, deviation)
    tower = make_tower(tower_name, dtype, deviation)
    projector = make_projector(kind, TOWER["hidden_size"], dtype, deviation)
    tensors = stored(llm, dtype)
    for key, value in stored(projector, dtype).items():
        tensors["model.mm_projector." + key.removeprefix("layers.")] = value
    save_part(tower, path / "clip", dtype)
    if tower_inside:
        for key, value in stored(tower, dtype).items():
            key = key if key.startswith("vision_model.") else "vision_model." + key
            tensors["model.vision_tower.vision_tower." + key] = value
        (path / "clip/model.safetensors").unlink()
    write_json(path / "clip/preprocessor_config.json", processor_config(tower))
    if sharded:
        save_shards(path, tensors, "pytorch_model", "bin", torch.save)
    else:
        torch.save(tensors, path / "pytorch_model.bin")
    write_json(path / "config.json", {
        **older_spelling(llm.config.to_dict()), "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama", "mm_vision_tower": "clip", "mm_projector_type": kind,
        "mm_hidden_size": TOWER["hidden_size"], "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch", "image_aspect_ratio": "pad", "use_mm_proj": True,
        "mm_use_im_start_end": False, "mm_use_im_patch_token": False})
    write_tokenizer(path)
    return Case(path, llm, tower, projector, processor_config(tower), "pad", -2, False)


def llava_cases(root, dtype, deviation):
    make = lambda *a, **k: llava_case(root, *a, dtype, deviation, **k)
    yield make("mlp", "llama2", "clip", "mlp2x_gelu")
    yield make("linear", "llama1", "clip_rest", "linear", sharded=True)
    yield make("tuned-tower", "vicuna_linear", "clip", "mlp2x_gelu", tower_inside=True)


def newer_names(tensors):
    """Names tensors as LlavaForConditionalGeneration does in memory since 4.52."""
    renamed = {}
    for key, value in tensors.items():
        if key == "language_model.lm_head.weight":
            key = "lm_head.weight"
        elif key.startswith("language_model.model."):
            key = "model.language_model." + key.removeprefix("language_model.model.")
        elif key.startswith("vision_tower.vision_model."):
            key = "model.vision_tower." + key.removeprefix("vision_tower.")
        else:
            key = "model." + key
        renamed[key] = value
    return renamed


def llava_hf_cases(root, dtype, deviation):
    for family, tower_name, strategy in [("llama2", "clip", "default"), ("qwen2", "clip", "full"),
                                         ("llama31", "siglip", "full")]:
        text = make_llm(family, dtype, deviation).config
        config = LlavaConfig(text_config=text, vision_config=TOWERS[tower_name][1],
                             image_token_index=IMAGE_ID, vision_feature_select_strategy=strategy)
        model = LlavaForConditionalGeneration(config).float()
        model = rounded(randomise(model, deviation or 0.05), dtype).eval()
        inner = model.model

        class Text(torch.nn.Module):
            """Returns the language model with its head."""

            def __init__(self):
                super().__init__()
                self.whole = model
                self.generation_config = model.generation_config

            def get_input_embeddings(self):
                return self.whole.get_input_embeddings()

            def forward(self, inputs_embeds):
                return self.whole(inputs_embeds=inputs_embeds)

            def generate(self, inputs_embeds, **options):
                return self.whole.generate(inputs_embeds=inputs_embeds, **options)

        for nesting in ["older", "newer"]:
            path = root / f"hf-{family}-{tower_name}-{nesting}"
            save_part(model, path, dtype)
            if nesting == "newer":
                with safe_open(path / "model.safetensors", "pt") as file:
                    tensors = {name: file.get_tensor(name) for name in file.keys()}
                save_safetensors(newer_names(tensors), path / "model.safetensors")
            processor = processor_config(inner.vision_tower)
            write_json(path / "preprocessor_config.json", processor)
            write_tokenizer(path)
            projector = inner.multi_modal_projector
            yield Case(path, Text(), inner.vision_tower, projector, processor, "crop", -2,
                       strategy == "full")


# --- the comparison ---

def run(vila, *arguments):
    answer = subprocess.run([vila, *map(str, arguments)], capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(f"vila {' '.join(map(str, arguments))}: {answer.stderr.strip()}")
    return answer.stdout


def pictures(folder):
    rng = np.random.default_rng(3)
    names = []
    for width, height in [(40, 31), (23, 57), (28, 28)]:
        names.append(str(folder / f"{width}x{height}.png"))
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(names[-1])
    return names


def check(case, vila, images):
    """The largest difference of each kind."""
    worst = {}
    def note(what, value):
        worst[what] = max(worst.get(what, 0), value)

    path = case.path
    prompts = {"none": PROMPTS["none"]} if case.tower is None else PROMPTS
    requests = [{"id": name, "prompt": text, "images": images[:text.count("<image>")]}
                for name, text in prompts.items()]
    (path / "requests.jsonl").write_text("".join(json.dumps(r) + "\n" for r in requests))
    # Beside the model: a command writes nothing into a model that it reads.
    answered = path.with_name(path.name + "-answers.jsonl")
    dumped = path.with_name(path.name + "-dump.safetensors")
    expected = {}
    for dtype in ["f32", "bf16"]:
        run(vila, "score", "--model", path, "--input", path / "requests.jsonl", "--output",
            answered, "--dump", dumped, "--dtype", dtype)
        answers = [json.loads(line) for line in answered.read_text().splitlines()]
        with safe_open(dumped, "pt") as dump, torch.no_grad():
            for request, answer in zip(requests, answers):
                name = request["id"]
                if name not in expected:
                    expected[name] = reference(case, request, answer["input_ids"])
                features, embeddings, logits = expected[name]
                if features is not None:
                    note(f"features {dtype}",
                         relative(dump.get_tensor(name + ".image_features"), features))
                note(f"logits {dtype}", relative(dump.get_tensor(name + ".logits"), logits))
                if dtype == "bf16":
                    half = reference(case.to(torch.bfloat16), request, answer["input_ids"],
                                     torch.bfloat16)
                    note("PyTorch", relative(half[2], logits))
    for request in requests:
        options = [x for image in request["images"] for x in ("--image", image)]
        out = run(vila, "generate", "--model", path, "--prompt", request["prompt"], *options,
                  "--raw", "--json", "--temperature", 0, "--max-tokens", NEW_TOKENS, "--dtype",
                  "f32")
        embeddings = expected[request["id"]][1]
        case.llm.generation_config.eos_token_id = 257
        with torch.no_grad():
            ids = case.llm.generate(inputs_embeds=embeddings, max_new_tokens=NEW_TOKENS,
                                    do_sample=False)[0].tolist()
        ids = ids[:ids.index(257)] if 257 in ids else ids
        note("other tokens", sum(a != b for a, b in zip(json.loads(out)["ids"], ids))
             + abs(len(json.loads(out)["ids"]) - len(ids)))
    return worst


def reference(case, request, ids, dtype=torch.float64):
    features = None
    if request["images"]:
        processor = open_processor(case.processor)
        pixels = torch.tensor(np.stack([
            pixel_values(processor, case.processor, Image.open(image).convert("RGB"), case.mode)
            for image in request["images"]])).to(dtype)
        with torch.no_grad():
            features = case.features(pixels)
    embeddings = case.embeddings(ids, features)
    return features, embeddings, case.llm(inputs_embeds=embeddings).logits[0]


def cases(root, dtype, deviation):
    for make in [text_cases, vila_cases, llava_cases, llava_hf_cases]:
        yield from make(root, dtype, deviation)


def report(name, case, vila, images, deviation):
    """Returns whether every difference is below its limit."""
    try:
        worst = check(case, vila, images)
    except RuntimeError as error:
        print(f"FAILED {name}: {error}", flush=True)
        return False
    lost = worst.pop("PyTorch")
    bar = BARS | ({"bf16": max(BARS["bf16"], 1.25 * lost)} if deviation else {})
    bad = [what for what, value in worst.items() if value > bar[what.split()[-1]]]
    print("FAILED" if bad else "ok    ", name, ", ".join(f"{k} {v:.2g}" for k, v in worst.items()),
          f"(PyTorch in bf16 {lost:.2g})", flush=True)
    return not bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vila")
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deviation", type=float, default=0.15)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    failures, count = 0, 0
    for deviation in [0.0, arguments.deviation]:
        with tempfile.TemporaryDirectory() as temporary:
            images = pictures(Path(temporary))
            for dtype in [torch.float32, torch.bfloat16]:
                root = Path(temporary) / str(dtype).split(".")[1]
                root.mkdir()
                for case in cases(root, dtype, deviation):
                    name = f"deviation {deviation} {root.name}/{case.path.name}"
                    if arguments.only in name:
                        count += 1
                        failures += not report(name, case, arguments.vila, images, deviation)
    print(f"{count} models, {failures} failed")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
