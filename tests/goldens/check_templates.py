"""Checks that `vila score` gives published chat templates the ids that apply_chat_template of transformers
gives: for each template a tokenizer of bytes and one of SentencePiece pieces, with the special tokens that
the template spells added, and 40 conversations. Needs transformers, tokenizers, sentencepiece, jinja2, numpy
and safetensors; the tests do not. Exits with 1 if anything differs.

    check_templates.py VILA SOURCE... [--conversations 40] [--seed 1]

A SOURCE is a folder with .jinja files (models/templates in the sources of llama.cpp), or a C++ file with
templates as strings (its tests/test-chat-template.cpp).
"""

import argparse
import json
import random
import re
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
         "1 < 2 & 3", "[TOOL]", "{{ x }}", "\u2581mark", "tab\there", "<think>\nhm\n</think>\n\nanswer"]


def templates_of(source):
    """Returns (name, template) pairs."""
    if source.is_dir():
        return [(path.name, path.read_text(encoding="utf-8")) for path in sorted(source.glob("*.jinja"))]
    text = source.read_text(encoding="utf-8")
    string = r'(?:R"(\w*)\(((?:.|\n)*?)\)\1"|((?:"(?:\\.|[^"\\])*"\s*)+))'
    found = []
    for match in re.finditer(r"\.template_str\s*= \*/\s*(?:U8C\()?" + string, text):
        parts = re.findall(r'"((?:\\.|[^"\\])*)"', match.group(3) or "")
        literal = "".join(part.encode().decode("unicode_escape").encode("latin-1").decode("utf-8") for part in parts)
        found.append((f"{source.name}[{len(found)}]", match.group(2) if match.group(2) is not None else literal))
    return found


def conversation(rng):
    messages = [{"role": "system", "content": rng.choice(TEXTS)}] if rng.random() < 0.5 else []
    for turn in range(rng.randint(1, 5)):
        if turn:
            messages.append({"role": "assistant", "content": rng.choice(TEXTS)})
        messages.append({"role": "user", "content": rng.choice(TEXTS)})
    return messages


def special_tokens(template):
    spelled = set(re.findall(r"<[|\uff5c][^<>\s{}'\"]{1,40}[|\uff5c]>|\[/?[A-Z_]{3,}\]|<(?:start|end)_of_turn>", template))
    return sorted(spelled)


def byte_tokenizer(tokens):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in ["<s>", "</s>", *tokens]])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def piece_tokenizer(tokens):
    tokenizer = tokenizer_json(train_model(TEXTS * 20, 400, **LLAMA), "prepend")
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in tokens])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def write_model(folder, vocab_size):
    """A Llama of one tiny block: only its input ids matter."""
    size = 16
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": size, "intermediate_size": size,
        "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": vocab_size,
        "max_position_embeddings": 1 << 20, "rms_norm_eps": 1e-5, "rope_theta": 1e4, "torch_dtype": "float32"}))
    block = "model.layers.0."
    shapes = {"model.embed_tokens": (vocab_size, size), "lm_head": (vocab_size, size), "model.norm": (size,),
              block + "input_layernorm": (size,), block + "post_attention_layernorm": (size,)}
    shapes |= {block + "self_attn." + name: (size, size) for name in ("q_proj", "k_proj", "v_proj", "o_proj")}
    shapes |= {block + "mlp." + name: (size, size) for name in ("gate_proj", "up_proj", "down_proj")}
    save_file({name + ".weight": np.ones(shape, np.float32) for name, shape in shapes.items()},
              folder / "model.safetensors", {"format": "pt"})


def expected_ids(tokenizer, messages):
    try:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
        return list(ids)
    except Exception:  # noqa: BLE001
        return None


def ids_by_vila(binary, folder, conversations):
    """Returns a list of ids for each conversation, None where it is refused."""
    (folder / "requests.jsonl").write_text("".join(
        json.dumps({"id": str(i), "messages": messages}) + "\n" for i, messages in enumerate(conversations)))
    run = subprocess.run([binary, "score", "--model", folder, "--input", folder / "requests.jsonl", "--output", folder / "answers"],
                         capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return [json.loads(line)["input_ids"] for line in (folder / "answers").read_text().splitlines()]
    if len(conversations) == 1:
        return [None]
    return [ids_by_vila(binary, folder, [one])[0] for one in conversations]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--conversations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    conversations = [conversation(rng) for _ in range(options.conversations)]
    equal = refused = differing = 0
    for name, template in [pair for source in options.sources for pair in templates_of(source)]:
        for kind in ("bytes", "pieces"):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                tokens = special_tokens(template)
                tokenizer = byte_tokenizer(tokens) if kind == "bytes" else piece_tokenizer(tokens)
                tokenizer.chat_template = template
                tokenizer.save_pretrained(folder)
                write_model(folder, len(tokenizer))
                wanted = [expected_ids(tokenizer, messages) for messages in conversations]
                got = ids_by_vila(options.binary, folder, conversations)
                wrong = [i for i, pair in enumerate(zip(wanted, got)) if pair[0] != pair[1]]
                equal += sum(w is not None and w == g for w, g in zip(wanted, got))
                refused += sum(w is None and g is None for w, g in zip(wanted, got))
                differing += len(wrong)
                if wrong:
                    print(f"{name} ({kind}): {len(wrong)} differ, first {wanted[wrong[0]]} != {got[wrong[0]]}"[:300])
    print(f"{equal} equal, {refused} refused by both, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
