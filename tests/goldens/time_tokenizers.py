"""Times `vila bench tokenize` and the reference libraries on one text, alternating, one thread each, by processor time.
Prints megabytes per second (medians) and the median of the ratios. Needs what piece_tokenizers.py needs.

    python tests/goldens/time_tokenizers.py build/tools/vila DIRECTORY TEXT
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"

import sentencepiece  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402


def documents_of(text, size=1024):
    """Splits the text as `vila bench tokenize` does."""
    documents = []
    while text:
        end = text.find("\n", size - 1)
        end = len(text) if end < 0 else end + 1
        documents.append(text[:end])
        text = text[end:]
    return documents


def original(directory):
    if (directory / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        return "tokenizers", lambda documents: tokenizer.encode_batch_fast(documents)
    model = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))
    return "sentencepiece", lambda documents: [model.encode(text) for text in documents]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("directory", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    documents = documents_of(options.text.read_text())
    size = sum(len(text.encode()) for text in documents)
    name, encode = original(options.directory)
    ours, theirs, reads = [], [], []
    for _ in range(options.repetitions):
        start = time.process_time()
        encode(documents)
        theirs.append(size / (time.process_time() - start) / 1e6)
        done = subprocess.run([options.binary, "bench", "tokenize", "--json", "--repetitions", "3",
                               "--model", options.directory, "--text", options.text],
                              capture_output=True, check=True)
        figures = json.loads(done.stdout)["tokenize"]
        ours.append(figures["encode_megabytes_per_second"])
        reads.append(figures["read_megabytes_per_second"])
    ratio = statistics.median(a / b for a, b in zip(ours, theirs))
    print(f"{size / 1e6:.1f} MB: vila {statistics.median(ours):.1f} MB/s, {name} "
          f"{statistics.median(theirs):.2f} MB/s, ratio {ratio:.1f}, memory read "
          f"{statistics.median(reads):.0f} MB/s")


main()
