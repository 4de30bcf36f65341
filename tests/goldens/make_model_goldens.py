"""Makes tests/goldens/models/: tiny random models in the layout of transformers, and the results
of PyTorch on them. Needs torch, transformers and safetensors.

    llama/          LlamaForCausalLM, grouped queries, untied head
    siglip/         SiglipVisionModel with its pooling head, odd patch grid
    joined/         Qwen2 (tied head, q/k/v biases) + CLIP (class token) + mlp2x_gelu
    *.safetensors   inputs and expected outputs, by name

Everything is computed in float64 and stored in float32.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
    get_cosine_schedule_with_warmup,
)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

OUT = Path(__file__).parent / "models"
IMAGE = -200
IGNORE = -100


def randomise(model, deviation=0.25):
    """Makes every weight random, norms around one, so that no mistake is hidden by a zero or a one."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            parameter.normal_(0.0, deviation)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1.0)
    return model


def save(name, tensors):
    stored = {}
    for key, value in tensors.items():
        value = value.detach().contiguous()
        stored[key] = value.to(torch.float32) if value.is_floating_point() else value
    save_file(stored, OUT / f"{name}.safetensors", metadata={"format": "pt"})


def make_llama():
    config = LlamaConfig(
        vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, head_dim=6, max_position_embeddings=128,
        rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
    model = randomise(LlamaForCausalLM(config).float(), 0.3)
    model.save_pretrained(OUT / "llama")
    model = model.double()
    ids = torch.randint(3, 61, (1, 37))
    logits = model(ids).logits[0]
    prompt = ids[:, :5]
    greedy = model.generate(prompt, max_new_tokens=64, min_new_tokens=64, do_sample=False)
    save("llama", {"ids": ids[0].int(), "logits": logits, "greedy": greedy[0, 5:].int()})


def make_rope():
    tensors = {}
    kinds = {
        "default": {"rope_type": "default", "rope_theta": 10000.0},
        "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
        "llama3": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0,
                   "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 8192},
    }
    for name, parameters in kinds.items():
        config = LlamaConfig(hidden_size=512, num_attention_heads=4, head_dim=128,
                             max_position_embeddings=131072, rope_parameters=parameters)
        if name == "default":
            exponents = torch.arange(0, 128, 2, dtype=torch.float64) / 128
            tensors[name] = 10000.0 ** -exponents
        else:
            tensors[name] = ROPE_INIT_FUNCTIONS[name](config, "cpu")[0]
    save("rope", tensors)


def make_siglip():
    config = SiglipVisionConfig(
        hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=3,
        image_size=22, patch_size=7)
    model = randomise(SiglipVisionModel(config).float())
    model.save_pretrained(OUT / "siglip")
    model = model.double()
    pixels = torch.randn(2, 3, 22, 22, dtype=torch.float64).float().double()
    states = model(pixels, output_hidden_states=True).hidden_states
    assert len(states) == 4
    save("siglip", {"pixels": pixels, **{f"hidden.{i}": s for i, s in enumerate(states)}})


def make_clip():
    sizes = {"hidden_size": 12, "intermediate_size": 20, "num_attention_heads": 3}
    model = randomise(CLIPModel(CLIPConfig(
        text_config={**sizes, "num_hidden_layers": 2, "vocab_size": 31, "eos_token_id": 30,
                     "bos_token_id": 29, "pad_token_id": 0, "max_position_embeddings": 16},
        vision_config={**sizes, "num_hidden_layers": 1, "image_size": 15, "patch_size": 7},
        projection_dim=10)).float())
    with torch.no_grad():
        model.logit_scale.fill_(1.5)
    tensors = {"weight/" + name: value.clone() for name, value in model.state_dict().items()
               if not name.endswith("position_ids")}
    model = model.double()
    captions = [[29, 4, 8, 15, 30], [29, 16, 30], [29, 23, 4, 2, 5, 7, 30]]
    width = max(map(len, captions))
    ids = torch.tensor([c + [0] * (width - len(c)) for c in captions])
    mask = torch.tensor([[1] * len(c) + [0] * (width - len(c)) for c in captions])
    pixels = torch.randn(3, 3, 15, 15).double()
    out = model(input_ids=ids, attention_mask=mask, pixel_values=pixels, return_loss=True)
    out.loss.backward()
    tensors |= {"captions": torch.cat([torch.tensor(c) for c in captions]).int(),
                "lengths": torch.tensor([len(c) for c in captions]).int(),
                "pixels": pixels, "image_embeddings": out.image_embeds,
                "text_embeddings": out.text_embeds, "loss": out.loss}
    for name, parameter in model.named_parameters():
        tensors["grad/" + name] = parameter.grad
    save("clip", tensors)


class TransformerProjector(nn.Module):
    """The block of the transformer projector, with torch's own attention as the reference."""

    def __init__(self, features, width, heads):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(features, width), nn.Module(), nn.LayerNorm(width),
             nn.Linear(width, width)])
        block = self.layers[1]
        block.layer_norm1 = nn.LayerNorm(width)
        block.self_attn = nn.Module()
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"]:
            setattr(block.self_attn, name, nn.Linear(width, width))
        block.layer_norm2 = nn.LayerNorm(width)
        block.mlp = nn.Module()
        block.mlp.fc1 = nn.Linear(width, 4 * width)
        block.mlp.fc2 = nn.Linear(4 * width, width)
        self.heads = heads

    def forward(self, x):
        block = self.layers[1]
        x = self.layers[0](x)
        normed = block.layer_norm1(x)
        split = lambda t: t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        attention = block.self_attn
        mixed = nn.functional.scaled_dot_product_attention(
            split(attention.q_proj(normed)), split(attention.k_proj(normed)),
            split(attention.v_proj(normed)))
        x = x + attention.out_proj(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp.fc2(nn.functional.gelu(block.mlp.fc1(block.layer_norm2(x))))
        return self.layers[3](self.layers[2](x))


def merge_tokens(x, order):
    """Joins 2 x 2 neighbors of the square grid x (images, tokens, width) into one token of 4 * width."""
    images, tokens, width = x.shape
    side = int(tokens ** 0.5)
    grid = x.reshape(images, side, side, width)
    even = side + side % 2
    padded = torch.zeros(images, even, even, width, dtype=x.dtype)
    padded[:, :side, :side] = grid
    merged = []
    half = even // 2
    blocks = [(i, j) for i in range(half) for j in range(half)]
    if order == "column":
        blocks = [(i, j) for j in range(half) for i in range(half)]
    for i, j in blocks:
        merged.append(torch.cat([padded[:, 2 * i, 2 * j], padded[:, 2 * i, 2 * j + 1],
                                 padded[:, 2 * i + 1, 2 * j],
                                 padded[:, 2 * i + 1, 2 * j + 1]], dim=-1))
    return torch.stack(merged, dim=1)


class DownsampleProjector(nn.Module):
    def __init__(self, features, width):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Identity(), nn.LayerNorm(4 * features), nn.Linear(4 * features, width), nn.GELU(),
             nn.Linear(width, width)])

    def forward(self, x, order):
        x = merge_tokens(x, order)
        for layer in self.layers:
            x = layer(x)
        return x


class LinearDownsampleProjector(nn.Module):
    def __init__(self, features, width):
        super().__init__()
        self.layers = nn.ModuleList([nn.Identity(), nn.Linear(4 * features, width)])

    def forward(self, x, order):
        return self.layers[1](merge_tokens(x, order))


class MlpProjector(nn.Module):
    def __init__(self, features, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x):
        return self.layers(x)


class LinearProjector(nn.Module):
    def __init__(self, features, width):
        super().__init__()
        self.layers = nn.Linear(features, width)

    def forward(self, x):
        return self.layers(x)


def make_projectors():
    features = torch.randn(2, 9, 12, dtype=torch.float64).float().double()
    tensors = {"features": features}
    modules = {"linear": LinearProjector(12, 16), "mlp2x_gelu": MlpProjector(12, 16),
               "transformer": TransformerProjector(12, 16, 4),
               "mlp_downsample": DownsampleProjector(12, 16)}
    for kind, module in modules.items():
        module = randomise(module).double()
        with torch.no_grad():  # weights are stored in float32
            for parameter in module.parameters():
                parameter.copy_(parameter.float().double())
        for name, value in module.state_dict().items():
            tensors[f"{kind}/{name}"] = value
        if kind == "mlp_downsample":
            for order in ["row", "column"]:
                tensors[f"{kind}.{order}"] = module(features, order)
        else:
            tensors[kind] = module(features)
    save("projectors", tensors)


def make_linear_downsample():
    """The projector of table 7 of the paper, and six steps that fit it to random targets."""
    torch.manual_seed(7)
    features = torch.randn(2, 9, 12).double()
    targets = torch.randn(2, 4, 16).double()
    module = randomise(LinearDownsampleProjector(12, 16)).double()
    tensors = {"features": features, "targets": targets}
    tensors |= {"linear_downsample/" + name: value.clone()
                for name, value in module.state_dict().items()}
    for order in ["row", "column"]:
        tensors[f"linear_downsample.{order}"] = module(features, order)
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-2, betas=(0.9, 0.95), eps=1e-8,
                                  weight_decay=0.0)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = (module(features, "row") - targets).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    tensors["train.losses"] = torch.stack(losses)
    save("linear_downsample", tensors)


class Joined(nn.Module):
    """Computes the joined model step by step with the parts of transformers."""

    def __init__(self):
        super().__init__()
        self.llm = randomise(Qwen2ForCausalLM(Qwen2Config(
            vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=96,
            rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
            tie_word_embeddings=True, bos_token_id=1, eos_token_id=2)).float(), 0.3)
        self.vision_tower = randomise(CLIPVisionModel(CLIPVisionConfig(
            hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=3,
            image_size=15, patch_size=7)).float())
        self.mm_projector = randomise(MlpProjector(12, 16).float())

    def features(self, pixels):
        states = self.vision_tower(pixels, output_hidden_states=True).hidden_states
        assert len(states) == 4
        return states[-2][:, 1:]

    def embeddings(self, ids, pixels):
        parts, image = [], 0
        tokens = self.mm_projector(self.features(pixels)) if len(pixels) else None
        for id in ids:
            if id == IMAGE:
                parts.append(tokens[image])
                image += 1
            else:
                parts.append(self.llm.get_input_embeddings()(torch.tensor([id])))
        return torch.cat(parts)[None]

    def logits(self, ids, pixels):
        return self.llm(inputs_embeds=self.embeddings(ids, pixels)).logits[0]

    def loss_sum(self, ids, labels, pixels):
        spliced = []
        for label, id in zip(labels, ids):
            spliced += [IGNORE] * 4 if id == IMAGE else [label]
        logits = self.logits(ids, pixels)
        return nn.functional.cross_entropy(
            logits[:-1], torch.tensor(spliced[1:]), ignore_index=IGNORE, reduction="sum")


# No image, one, and three: two adjacent at the start, one at the end.
SEQUENCES = [
    [1, 5, 9, 12, 33, 60, 7],
    [1, 17, IMAGE, 8, 44, 45, 2],
    [IMAGE, IMAGE, 20, 21, 22, 23, 24, 2, 3, IMAGE],
]
LABELS = [
    [IGNORE, 5, 9, 12, 33, 60, 7],
    [IGNORE, IGNORE, IGNORE, 8, 44, IGNORE, 2],
    [IGNORE, IGNORE, 20, IGNORE, 22, 23, 24, 2, IGNORE, IGNORE],
]


def make_joined():
    model = Joined()
    directory = OUT / "joined"
    model.llm.save_pretrained(directory / "llm")
    model.vision_tower.save_pretrained(directory / "vision_tower")
    (directory / "mm_projector").mkdir()
    save_file(model.mm_projector.state_dict(), directory / "mm_projector/model.safetensors",
              metadata={"format": "pt"})
    (directory / "mm_projector/config.json").write_text(json.dumps(
        {"model_type": "v2l_projector", "mm_projector_type": "mlp2x_gelu"}, indent=2) + "\n")
    (directory / "config.json").write_text(json.dumps(
        {"architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "hidden_size": 16,
         "mm_hidden_size": 12, "image_aspect_ratio": "resize", "mm_vision_select_layer": -2,
         "mm_vision_select_feature": "patch"}, indent=2) + "\n")

    model = model.double()
    pixels = [torch.randn(sum(id == IMAGE for id in ids), 3, 15, 15).double() for ids in SEQUENCES]
    tensors = {}
    for i, ids in enumerate(SEQUENCES):
        tensors[f"ids.{i}"] = torch.tensor(ids, dtype=torch.int32)
        tensors[f"labels.{i}"] = torch.tensor(LABELS[i], dtype=torch.int32)
        tensors[f"pixels.{i}"] = pixels[i]
        tensors[f"logits.{i}"] = model.logits(ids, pixels[i])
    tensors["features"] = model.features(pixels[2])
    # Greedy continuation of the second sequence.
    embeddings = model.embeddings(SEQUENCES[1], pixels[1])
    greedy = model.llm.generate(inputs_embeds=embeddings, max_new_tokens=64, min_new_tokens=64,
                                do_sample=False)
    tensors["greedy"] = greedy[0].int()

    targets = sum(label != IGNORE for labels in LABELS for label in labels)
    unused = ("layers.2.", "post_layernorm")  # after the selected layer
    trained = {name: p for name, p in model.named_parameters()
               if not (name.startswith("vision_tower") and any(u in name for u in unused))}

    def loss():
        return sum(model.loss_sum(ids, labels, images)
                   for ids, labels, images in zip(SEQUENCES, LABELS, pixels)) / targets

    loss().backward()
    for name, parameter in trained.items():
        tensors[f"grad/{name}"] = parameter.grad

    decays = lambda name: "norm" not in name and not name.endswith("bias")
    optimizer = torch.optim.AdamW([
        {"params": [p for n, p in trained.items() if decays(n)], "weight_decay": 0.1},
        {"params": [p for n, p in trained.items() if not decays(n)], "weight_decay": 0.0},
    ], lr=5e-3, betas=(0.9, 0.98), eps=1e-8)
    schedule = get_cosine_schedule_with_warmup(optimizer, 2, 10)
    losses, norms, rates = [], [], []
    for _ in range(10):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        norms.append(nn.utils.clip_grad_norm_(trained.values(), 1.0))
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
        losses.append(value.detach())
    tensors["train.losses"] = torch.stack(losses)
    tensors["train.norms"] = torch.stack(norms)
    tensors["train.rates"] = torch.tensor(rates, dtype=torch.float64)
    print("losses", [round(x.item(), 4) for x in losses], "norms",
          [round(x.item(), 3) for x in norms])
    save("joined", tensors)


def main():
    torch.manual_seed(20231212)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    make_llama()
    make_rope()
    make_siglip()
    make_projectors()
    make_joined()
    make_clip()
    make_linear_downsample()
    for leftover in OUT.rglob("generation_config.json"):
        leftover.unlink()


if __name__ == "__main__":
    main()
