"""Checks that transformers reads what vila writes. Opens each part of a model directory in the vila
layout (or a whole one in llava-hf) and compares its results with those of vila. Needs torch, transformers
and safetensors; the tests do not.

    check_transformers_loads.py VILA MODEL     MODEL: a directory in layout vila, e.g. RUN/model

Exits with 1 if a weight is missing or left over, or a relative difference exceeds 1e-4.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlavaForConditionalGeneration,
)

PROMPT = "The red circle is left of the blue square."


def relative(a, b):
    return (torch.linalg.norm((a - b).double()) / torch.linalg.norm(b.double())).item()


def report(what, ours, theirs):
    difference = relative(ours, theirs)
    print(what, difference)
    assert difference <= 1e-4, what


def whole(loading):
    """Checks that no weight is missing or left over, except the post-norm and head of a tower, which this
    model does not have."""
    for kind in ["missing_keys", "unexpected_keys", "mismatched_keys"]:
        assert not loading[kind], (kind, loading[kind])


def run(*arguments):
    subprocess.run([str(a) for a in arguments], check=True)


def score(vila, model, prompt, folder):
    """Returns the ids and logits of a prompt, computed by vila."""
    (folder / "request.jsonl").write_text(json.dumps({"id": "a", "prompt": prompt}) + "\n")
    run(vila, "score", "--model", model, "--input", folder / "request.jsonl",
        "--output", folder / "answer.jsonl", "--dump", folder / "dump.safetensors",
        "--dtype", "f32")
    ids = json.loads((folder / "answer.jsonl").read_text())["input_ids"]
    with safe_open(folder / "dump.safetensors", "pt") as file:
        return torch.tensor([ids]), file.get_tensor("a.logits")


def main():
    vila, model = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ids, logits = score(vila, model, PROMPT, folder)
        llm, loading = AutoModelForCausalLM.from_pretrained(
            model / "llm", dtype=torch.float32, output_loading_info=True)
        whole(loading)
        with torch.no_grad():
            report("llm: relative difference of the logits", logits, llm(ids).logits[0])
        theirs = AutoTokenizer.from_pretrained(model / "llm")(PROMPT)["input_ids"]
        assert theirs == ids[0].tolist(), "the tokenizer gives other ids"
        print("llm: the same ids")
        if not (model / "vision_tower").exists():
            return
        tower, loading = AutoModel.from_pretrained(
            model / "vision_tower", dtype=torch.float32, output_loading_info=True)
        whole(loading)
        stored = sum(p.numel() for p in tower.parameters())
        print("vision_tower:", type(tower).__name__, stored, "weights, all found")
        compare_joined(vila, model, tower, folder)


def compare_joined(vila, model, tower, folder):
    """Maps pixels to projected features; an MLP projector is written out here."""
    from PIL import Image

    joined = json.loads((model / "config.json").read_text())
    picture = folder / "picture.png"
    torch.manual_seed(1)
    Image.fromarray((torch.rand(48, 48, 3) * 255).byte().numpy()).save(picture)
    run(vila, "preprocess", "--model", model, picture, "--output", folder / "pixels.safetensors")
    (folder / "request.jsonl").write_text(json.dumps(
        {"id": "a", "prompt": "<image>" + PROMPT, "images": [str(picture)]}) + "\n")
    run(vila, "score", "--model", model, "--input", folder / "request.jsonl",
        "--output", folder / "answer.jsonl", "--dump", folder / "dump.safetensors",
        "--dtype", "f32")
    with safe_open(folder / "pixels.safetensors", "pt") as file:
        pixels = file.get_tensor("pixel_values")
    with safe_open(folder / "dump.safetensors", "pt") as file:
        ours = file.get_tensor("a.image_features")
    with torch.no_grad():
        states = tower(pixels, output_hidden_states=True).hidden_states
    features = states[joined["mm_vision_select_layer"]]
    if joined["mm_vision_select_feature"] == "patch":
        features = features[:, 1:]
    kind = json.loads((model / "mm_projector/config.json").read_text())["mm_projector_type"]
    with safe_open(model / "mm_projector/model.safetensors", "pt") as file:
        weight = lambda name: file.get_tensor(name).float()
        if kind == "linear":
            features = features @ weight("layers.weight").T + weight("layers.bias")
        elif kind == "mlp2x_gelu":
            hidden = features @ weight("layers.0.weight").T + weight("layers.0.bias")
            features = (torch.nn.functional.gelu(hidden) @ weight("layers.2.weight").T
                        + weight("layers.2.bias"))
        else:
            print("projector", kind, "is not spelt out here")
            return
    report("vision_tower: relative difference of the image features", ours, features)
    if kind != "mlp2x_gelu":
        return
    hf = folder / "hf"
    run(vila, "convert", model, hf, "--to", "llava-hf", "--image-token", 0)
    _, loading = LlavaForConditionalGeneration.from_pretrained(
        hf, dtype=torch.float32, output_loading_info=True)
    whole(loading)
    print("llava-hf: every weight found, none left over")


if __name__ == "__main__":
    main()
