"""Checks that `vila preprocess` gives the same bytes as Pillow and the image processors of transformers:
on 200 pictures of many kinds and shapes, with CLIP's and SigLIP's pipelines in every image mode, before
normalization byte for byte and after it bit for bit. Needs Pillow, numpy, transformers and
safetensors; the tests do not. Exits with 1 if anything differs.

    check_preprocess.py VILA [--count 200] [--seed 1]

The EXIF orientation is applied on both sides (data/image/image.h explains why).
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from make_image_goldens import CLIP, SIGLIP, exif, open_processor, pixel_values, png, square
from make_layout_goldens import write_json
from PIL import Image, ImageFilter, ImageOps
from safetensors import safe_open

MODEL = Path(__file__).parent / "layouts/vila15"
NEW_CLIP = CLIP | {"do_rescale": True, "rescale_factor": 1 / 255, "do_convert_rgb": True}
PIPELINES = {
    "clip-336": (NEW_CLIP | {"size": {"shortest_edge": 336}, "crop_size": square(336)},
                 ["crop", "pad", "resize"]),
    "clip-224": (CLIP | {"size": 224, "crop_size": 224}, ["crop"]),
    "siglip-384": (SIGLIP | {"size": square(384)}, ["resize", "pad"]),
}


def photograph(rng, width, height):
    """Returns a picture with smooth areas, edges and noise."""
    small = Image.fromarray(rng.integers(0, 256, (height // 24 + 2, width // 24 + 2, 3), np.uint8))
    picture = np.array(small.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int64)
    for _ in range(6):
        x, y = rng.integers(0, width), rng.integers(0, height)
        picture[y:y + rng.integers(1, height + 1), x:x + rng.integers(1, width + 1)] = \
            rng.integers(0, 256, 3)
    picture += rng.integers(-9, 10, picture.shape)
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.6)) if rng.integers(2) else image


def side(rng):
    """Draws short and long sides, and the input sides of the towers."""
    choices = [rng.integers(1, 40), rng.integers(40, 400), rng.integers(400, 900),
               rng.choice([224, 336, 384, 448, 640])]
    return int(choices[rng.choice(4, p=[0.1, 0.4, 0.35, 0.15])])


JPEGS = {
    "4:2:0": {"subsampling": "4:2:0"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:4:4": {"subsampling": "4:4:4"},
    "progressive 4:2:0": {"progressive": True, "subsampling": "4:2:0"},
    "progressive 4:4:4": {"progressive": True, "subsampling": "4:4:4"},
    "optimised": {"optimize": True},
    "restarts": {"restart_marker_blocks": 3},
}


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def make_jpeg(rng, index, width, height):
    image = photograph(rng, width, height)
    quality = int(rng.integers(20, 99))
    kinds = [*JPEGS, "grey", "grey progressive", "CMYK", "YCCK", "EXIF"]
    kind = kinds[index % len(kinds)]
    if kind in JPEGS:
        return kind, jpeg(image, quality=quality, **JPEGS[kind])
    if kind.startswith("grey"):
        return kind, jpeg(image.convert("L"), quality=quality, progressive="prog" in kind)
    if kind == "EXIF":
        note = b"Exif\0\0" + exif(int(rng.integers(1, 9)), "<>"[rng.integers(2)])
        return kind, jpeg(image, quality=quality, exif=note)
    data = jpeg(image.convert("CMYK"), quality=quality)
    if kind == "YCCK":  # the same coefficients, declared differently in Adobe's segment
        at = data.index(b"Adobe") + 11
        data = data[:at] + b"\2" + data[at + 1:]
    return kind, data


def make_png(rng, index, width, height):
    # This encoder is slow, so it writes only small pictures, with all filters in turn.
    width, height = min(width, 150), min(height, 150)
    kinds = [(color, depth) for color, depths in
             {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items()
             for depth in depths]
    color, depth = kinds[index % len(kinds)]
    palette = None
    if color == 3:
        palette = rng.integers(0, 256, 3 * min(1 << depth, 100)).tolist()
    interlaced = bool(rng.integers(2))
    name = {0: "grey", 2: "RGB", 3: "palette", 4: "grey alpha", 6: "RGBA"}[color]
    return (f"{name} {depth}{' interlaced' if interlaced else ''}",
            png(width, height, depth, color, int(rng.integers(1 << 30)), interlaced, palette))


def make_pictures(folder, count, seed):
    rng = np.random.default_rng(seed)
    files, kinds = [], Counter()
    for index in range(count):
        width, height = side(rng), side(rng)
        make, suffix = (make_png, "png") if index % 5 >= 3 else (make_jpeg, "jpg")
        kind, data = make(rng, index // 5 * (2 if suffix == "png" else 3) + index % 5 % 3,
                          width, height)
        files.append(folder / f"{index:03}.{suffix}")
        files[-1].write_bytes(data)
        kinds[f"{suffix} {kind}"] += 1
    return files, kinds


def compare(vila, folder, files, name, config, mode):
    """Counts the pictures that differ in a byte, and the largest difference."""
    model = folder / "model"
    write_json(model / "vision_tower/preprocessor_config.json", config)
    subprocess.run([vila, "preprocess", *files, "--model", model, "--image-mode", mode, "--output",
                    folder / "pixels.safetensors"], check=True)
    processor = open_processor(config)
    different, most = 0, 0.0
    with safe_open(folder / "pixels.safetensors", "np") as file:
        ours = file.get_tensor("pixel_values")
    for file, mine in zip(files, ours):
        picture = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        theirs = pixel_values(processor, config, picture, mode)
        assert theirs.shape == mine.shape, (file, theirs.shape, mine.shape)
        if theirs.tobytes() != mine.tobytes():
            different += 1
            most = max(most, float(np.abs(theirs - mine).max()))
            print(f"  {name} {mode}: {file.name} differs by up to {np.abs(theirs - mine).max()}")
    return different, most


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vila")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files, kinds = make_pictures(folder, arguments.count, arguments.seed)
        print(f"{len(files)} pictures:", ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))
        shutil.copytree(MODEL, folder / "model")
        for name, (config, modes) in PIPELINES.items():
            for mode in modes:
                bytes_only = config | {"do_rescale": False, "do_normalize": False}
                for what, used in [("bytes", bytes_only), ("values", config)]:
                    different, most = compare(arguments.vila, folder, files, name, used, mode)
                    failures += different
                    print(f"{name} {mode}: {what} of {len(files) - different} equal, "
                          f"{different} different", flush=True)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
