"""Compares the speed of `vila bench preprocess` with Pillow and the PIL-backed image processors of
transformers: the same JPEG files, one core each, processor time, taking turns. Prints medians and their
ratios. Needs Pillow,
numpy and transformers.

    compare_preprocess_speed.py VILA [--rounds 5] [--images FOLDER]

Without FOLDER it makes eight pictures of 640 x 480.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from check_preprocess import NEW_CLIP, jpeg, photograph
from make_image_goldens import SIGLIP, open_processor, pad, square
from PIL import Image

CLIP = NEW_CLIP | {"size": {"shortest_edge": 336}, "crop_size": square(336)}
PIPELINES = {
    "clip-336 crop": (CLIP, lambda picture: picture),
    "clip-336 pad": (CLIP, lambda picture: pad(picture, CLIP["image_mean"])),
    "siglip-384 resize": (SIGLIP | {"size": square(384)},
                          lambda picture: picture.resize((384, 384))),
}


def pillow_seconds(files, processor, prepare):
    start = time.thread_time()
    for file in files:
        picture = prepare(Image.open(file).convert("RGB"))
        processor(picture, return_tensors="np")
    return (time.thread_time() - start) / len(files)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vila")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.images
        if folder is None:
            folder = Path(temporary)
            rng = np.random.default_rng(1)
            for i in range(8):
                data = jpeg(photograph(rng, 640, 480), quality=90, subsampling="4:2:0")
                (folder / f"{i}.jpg").write_bytes(data)
        files = sorted(str(path) for path in folder.glob("*.jpg"))
        processors = {name: open_processor(config) for name, (config, _) in PIPELINES.items()}
        theirs = {name: [] for name in PIPELINES}
        ours = {name: [] for name in PIPELINES}
        for name, (_, prepare) in PIPELINES.items():
            pillow_seconds(files, processors[name], prepare)
        for _ in range(arguments.rounds):
            for name, (_, prepare) in PIPELINES.items():
                theirs[name].append(pillow_seconds(files, processors[name], prepare))
            options = [x for file in files for x in ("--image", file)]
            out = subprocess.run([arguments.vila, "bench", "preprocess", "--json", "--repetitions",
                                  "3", *options], capture_output=True, text=True, check=True).stdout
            for measured in json.loads(out)["preprocess"]:
                ours[measured["pipeline"]].append(measured["seconds"])
        for name in PIPELINES:
            ratios = [a / b for a, b in zip(theirs[name], ours[name])]
            print(f"{name:18}  Pillow {1 / median(theirs[name]):7.1f} images/s  "
                  f"vila {1 / median(ours[name]):7.1f} images/s  {median(ratios):.2f} times as fast "
                  f"(median of {len(ratios)}; {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
