"""Checks that `vila score` gives published chat templates the ids that apply_chat_template of transformers
gives: for each template a tokenizer of bytes and one of SentencePiece pieces, with the special tokens that
the template spells added, and 40 conversations, a third of them with images. The ids of bytes are also decoded
and compared with the rendered text. Needs transformers, tokenizers, sentencepiece, jinja2, numpy and
safetensors; the tests do not. Exits with 1 if anything differs.

    check_templates.py VILA SOURCE... [--conversations 40] [--seed 1] [--pieces prepend|metaspace]

A SOURCE is a folder with .jinja files (models/templates in the sources of llama.cpp), or a C++ file with
templates as strings (its tests/test-chat-template.cpp).
"""

import argparse
import collections
import functools
import json
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from piece_tokenizers import LLAMA, tokenizer_json, train_model
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

TEXTS = ["Hello", "what is red?", "  spaced  ", "Line\nbreak", "a \"quote\" and 'one'", "\u00e9 \u00fc \u65e5\u672c",
         "1 < 2 & 3", "[TOOL]", "{{ x }}", "\u2581mark", "tab\there", "\u00c9T\u00c9 stra\u00dfe", "<think>\nhm\n</think>\n\nanswer"]
IMAGE_LINE = "<image>\n"
IMAGE_ID = -200


def templates_of(source):
    """Returns (name, template) pairs."""
    if source.is_dir():
        return [(path.name, path.read_text(encoding="utf-8")) for path in sorted(source.glob("*.jinja"))]
    text = source.read_text(encoding="utf-8")
    string = r'(?:R"(\w*)\(((?:.|\n)*?)\)\1"|((?:"(?:\\.|[^"\\])*"\s*)+))'
    found = []
    for match in re.finditer(r"\.template_str\s*=? ?\*/\s*(?:U8C\()?" + string, text):
        parts = re.findall(r'"((?:\\.|[^"\\])*)"', match.group(3) or "")
        literal = "".join(part.encode().decode("unicode_escape").encode("latin-1").decode("utf-8") for part in parts)
        found.append((f"{source.name}[{len(found)}]", match.group(2) if match.group(2) is not None else literal))
    return found


def conversation(rng):
    """Messages as text, in which <image> stands for an image."""
    messages = [{"role": "system", "content": rng.choice(TEXTS)}] if rng.random() < 0.5 else []
    has_images = rng.random() < 0.33
    for turn in range(rng.randint(1, 5)):
        if turn:
            messages.append({"role": "assistant", "content": rng.choice(TEXTS)})
        images = rng.randint(0, 2) if has_images else 0
        messages.append({"role": "user", "content": IMAGE_LINE * images + rng.choice(TEXTS)})
    return messages


def count_images(messages):
    return sum(message["content"].count("<image>") for message in messages)


def as_parts(messages, every=True):
    """The same messages with lists as content: every message, or those with images."""
    def parts(text):
        images = text.count(IMAGE_LINE)
        if images == 0 and not every:
            return text
        return [{"type": "image"}] * images + [{"type": "text", "text": text.replace(IMAGE_LINE, "")}]
    return [{"role": message["role"], "content": parts(message["content"])} for message in messages]


def special_tokens(template):
    spelled = set(re.findall(r"<[|\uff5c][^<>\s{}'\"]{1,40}[|\uff5c]>|\[/?[A-Z_]{3,}\]|<(?:start|end)_of_turn>|"
                             r"<(?:im_patch|start_of_image|image_soft_token|image|IMG_CONTEXT|REKA_IMG_TOKEN)>|"
                             r"\]<\]\w+\[>\[", template))
    return sorted(spelled | {"<image>"})


def rendered(tokenizer, messages):
    try:
        return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except Exception:  # noqa: BLE001
        return None


def image_token(tokenizer, tokens):
    """The token that the template writes for an image part; None if it reads images as text."""
    ask = [{"role": "user", "content": IMAGE_LINE + "probe"}]
    with_image, without = (rendered(tokenizer, as_parts(one)) for one in (ask, [{"role": "user", "content": "probe"}]))
    if not with_image or not without or "'type'" in without:
        return None
    added = [token for token in tokens if with_image.count(token) == without.count(token) + 1]
    return min(added, key=lambda token: ("ima" not in token.lower() and "img" not in token.lower(),
                                         "pad" not in token, token), default=None)


def byte_tokenizer(tokens):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in ["<s>", "</s>", *tokens]])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@functools.cache
def piece_model():
    return train_model(TEXTS * 20, 400, **LLAMA)


def piece_tokenizer(tokens, generation):
    tokenizer = tokenizer_json(piece_model(), generation)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in tokens])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def block(prefix, names, size):
    return {prefix + name: (size, size) for name in names}


def write_model(folder, vocab_size, image_id):
    """A LLaVA of one tiny block each for text and images: only its input ids matter."""
    size, text, tower = 16, "language_model.model.", "vision_tower.vision_model."
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "image_token_index": image_id,
        "vision_feature_layer": -1, "torch_dtype": "float32",
        "text_config": {"model_type": "llama", "hidden_size": size, "intermediate_size": size, "num_hidden_layers": 1,
                        "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": vocab_size,
                        "max_position_embeddings": 1 << 20, "rms_norm_eps": 1e-5, "rope_theta": 1e4},
        "vision_config": {"model_type": "clip_vision_model", "hidden_size": size, "intermediate_size": size,
                          "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 8, "patch_size": 8}}))
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 8},
        "crop_size": {"height": 8, "width": 8}}))
    shapes = {text + "embed_tokens": (vocab_size, size), "language_model.lm_head": (vocab_size, size),
              text + "norm": (size,), text + "layers.0.input_layernorm": (size,),
              text + "layers.0.post_attention_layernorm": (size,)}
    shapes |= block(text + "layers.0.self_attn.", ("q_proj", "k_proj", "v_proj", "o_proj"), size)
    shapes |= block(text + "layers.0.mlp.", ("gate_proj", "up_proj", "down_proj"), size)
    biased = {tower + name: (size,) for name in ("pre_layrnorm", "post_layernorm", "encoder.layers.0.layer_norm1",
                                                 "encoder.layers.0.layer_norm2")}
    biased |= block(tower + "encoder.layers.0.self_attn.", ("q_proj", "k_proj", "v_proj", "out_proj"), size)
    biased |= block(tower + "encoder.layers.0.mlp.", ("fc1", "fc2"), size)
    biased |= block("multi_modal_projector.", ("linear_1", "linear_2"), size)
    shapes |= biased | {tower + "embeddings.patch_embedding": (size, 3, 8, 8),
                        tower + "embeddings.position_embedding": (2, size)}
    tensors = {name + ".weight": np.ones(shape, np.float32) for name, shape in shapes.items()}
    tensors |= {name + ".bias": np.ones(size, np.float32) for name in biased}
    tensors[tower + "embeddings.class_embedding"] = np.ones(size, np.float32)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "image.bmp").write_bytes(b"BM" + struct.pack("<IIIIiiHHIIiiII", 58, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)
                                       + b"\0\0\0\0")


def ids_by_vila(binary, folder, conversations):
    """Returns a list of ids for each conversation, None where it is refused."""
    answers = folder.parent / "answers.jsonl"
    (folder / "requests.jsonl").write_text("".join(
        json.dumps({"id": str(i), "messages": messages, "images": ["image.bmp"] * count_images(messages)}) + "\n"
        for i, messages in enumerate(conversations)))
    run = subprocess.run([binary, "score", "--model", folder, "--input", folder / "requests.jsonl", "--output",
                          answers, "--threads", "1"], capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return [json.loads(line)["input_ids"] for line in answers.read_text().splitlines()]
    if len(conversations) == 1:
        return [None]
    return [ids_by_vila(binary, folder, [one])[0] for one in conversations]


def check_template(binary, template, kind, conversations):
    """Returns (what transformers gives, what vila gives) for each conversation: the text and the ids, or None where
    it is refused."""
    tokens = special_tokens(template)
    tokenizer = byte_tokenizer(tokens) if kind == "bytes" else piece_tokenizer(tokens, kind)
    tokenizer.chat_template = template
    token = image_token(tokenizer, tokens) or "<image>"
    reads_parts = image_token(tokenizer, tokens) is not None
    reads_text = "probe" in (rendered(tokenizer, [{"role": "user", "content": "probe"}]) or "")
    image_id = tokenizer.convert_tokens_to_ids(token)
    wanted = []
    for messages in conversations:
        text = rendered(tokenizer, messages)
        if reads_parts and (not reads_text or count_images(messages) > 0):
            text = rendered(tokenizer, as_parts(messages, every=not reads_text))
        ids = None if text is None else tokenizer.encode(text, add_special_tokens=False)
        # A template that drops an image is refused.
        if text is None or text.count(token) != count_images(messages):
            text = ids = None
        wanted.append((text, ids and [IMAGE_ID if one == image_id else one for one in ids]))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        tokenizer.save_pretrained(folder)
        write_model(folder, len(tokenizer), image_id)
        # The refused ones end a run, so that each has one of its own.
        taken = [i for i, (text, _) in enumerate(wanted) if text is not None]
        got = [None] * len(conversations)
        for i, ids in zip(taken, ids_by_vila(binary, folder, [conversations[i] for i in taken]) if taken else []):
            got[i] = ids
        for i in set(range(len(conversations))) - set(taken) if kind == "bytes" else []:
            got[i] = ids_by_vila(binary, folder, [conversations[i]])[0]
    def text_of(ids):
        return None if ids is None else tokenizer.decode([image_id if one == IMAGE_ID else one for one in ids])
    # Pieces do not keep all text: only bytes give it back.
    return [(want, (text_of(ids) if kind == "bytes" else want[0], ids)) for want, ids in zip(wanted, got)], reads_parts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--conversations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pieces", choices=["prepend", "metaspace"], default="prepend",
                        help="the older or the newer form of tokenizer.json for SentencePiece")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    conversations = [conversation(rng) for _ in range(options.conversations)]
    templates = [pair for source in options.sources for pair in templates_of(source)]
    totals = collections.Counter()
    with_images = set()
    for name, template in templates:
        for kind in ("bytes", options.pieces):
            pairs, reads_parts = check_template(options.binary, template, kind, conversations)
            if reads_parts:
                with_images.add(name)
            wrong = [pair for pair in pairs if pair[0] != pair[1]]
            kind = "bytes" if kind == "bytes" else "pieces"
            totals[kind, "equal"] += sum(want == got and want[0] is not None for want, got in pairs)
            totals[kind, "refused"] += sum(want == got and want[0] is None for want, got in pairs)
            totals["differ"] += len(wrong)
            totals["images"] += sum(want == got and IMAGE_ID in (want[1] or []) for want, got in pairs)
            if wrong:
                print(f"{name} ({kind}): {len(wrong)} differ, first {wrong[0][0]} != {wrong[0][1]}"[:600], flush=True)
    print(f"{len(templates)} templates, {len(with_images)} of which mark images, {len(conversations)} conversations: "
          f"bytes {totals['bytes', 'equal']} equal, {totals['bytes', 'refused']} refused by both; "
          f"pieces {totals['pieces', 'equal']} equal, {totals['pieces', 'refused']} refused by transformers; "
          f"{totals['images']} of the equal ones with images; {totals['differ']} differ")
    return 1 if totals["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
