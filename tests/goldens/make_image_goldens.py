#!/usr/bin/env python3
"""Makes tests/goldens/images/: small image files, the pixels Pillow decodes from them (NAME.ppm), and
digests of resized and normalized pictures (resize.txt, processor.json); and tests/goldens/pages/.

Needs Pillow >= 13 with libjpeg-turbo, numpy and transformers. Run from anywhere; it overwrites.
"""
import io
import json
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps
from transformers import AutoImageProcessor

OUT = Path(__file__).parent / "images"
PAGES = Path(__file__).parent / "pages"


def fnv(data):
    """Returns the 64-bit FNV-1a hash."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def scene(width, height, seed):
    """Returns a picture with gradients, edges and noise. Integer arithmetic, so that tests make the same one."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    noise = (x * 7919 + y * 104729 + seed * 1299709) % 9973 % 31
    red = (x * 255 // max(width - 1, 1) + noise) % 256
    green = np.where((x // 8 + y // 8) % 2 == 0, 230 - noise, 25 + noise)
    blue = (y * 255 // max(height - 1, 1) * 3 // 4 + noise * 2) % 256
    blue = np.where((x * 2 - width) ** 2 + (y * 2 - height) ** 2 < height * height // 2, 255, blue)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def store(name, data, expected=None):
    (OUT / name).write_bytes(data)
    if expected is None:
        image = Image.open(io.BytesIO(data))
        expected = ImageOps.exif_transpose(image).convert("RGB")
    pixels = np.array(expected)
    head = f"P6 {pixels.shape[1]} {pixels.shape[0]} 255\n".encode()
    (OUT / (name + ".ppm")).write_bytes(head + pixels.tobytes())


def save(image, file_format, **options):
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


# --- JPEG ---------------------------------------------------------------------------------------


def exif(orientation, order):
    """Returns a TIFF structure with two entries; the second is the orientation."""
    mark = b"II" if order == "<" else b"MM"
    entries = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    entries += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", 2) + entries + b"\0" * 4


def make_jpegs():
    picture = Image.fromarray(scene(29, 21, 1))
    for name, options in {
        "420": {"subsampling": "4:2:0"},
        "422": {"subsampling": "4:2:2"},
        "444": {"subsampling": "4:4:4"},
        "quality_30": {"quality": 30},
        "quality_98": {"quality": 98, "subsampling": "4:4:4"},
        "progressive_420": {"progressive": True, "subsampling": "4:2:0"},
        "progressive_444": {"progressive": True, "subsampling": "4:4:4", "quality": 90},
        "restarts": {"restart_marker_blocks": 1},
        "rgb": {"keep_rgb": True},
    }.items():
        store(f"jpeg_{name}.jpg", save(picture, "JPEG", **options))
    store("jpeg_1x1.jpg", save(picture.crop((3, 3, 4, 4)), "JPEG"))
    store("jpeg_17x1.jpg", save(picture.crop((0, 3, 17, 4)), "JPEG"))
    store("jpeg_grey.jpg", save(picture.convert("L"), "JPEG"))
    store("jpeg_grey_progressive.jpg", save(picture.convert("L"), "JPEG", progressive=True))
    store("jpeg_trailing_bytes.jpg", save(picture, "JPEG") + b"bytes after the end")
    for orientation in range(1, 9):
        data = save(picture.crop((0, 0, 13, 7)), "JPEG", quality=60,
                    exif=b"Exif\0\0" + exif(orientation, "<>"[orientation % 2]))
        store(f"jpeg_exif_{orientation}.jpg", data)
    cmyk = save(picture.convert("CMYK"), "JPEG")
    store("jpeg_cmyk.jpg", cmyk)
    # The same coefficients declared to be YCCK: the transform flag is the last byte of Adobe's segment.
    at = cmyk.index(b"Adobe") + 11
    assert cmyk[at] == 0
    store("jpeg_ycck.jpg", cmyk[:at] + b"\2" + cmyk[at + 1:])


# --- PNG ----------------------------------------------------------------------------------------

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def filter_row(kind, row, previous, step):
    left = np.concatenate([np.zeros(step, np.int64), row])[: len(row)]
    corner = np.concatenate([np.zeros(step, np.int64), previous])[: len(row)]
    if kind == 4:
        estimate = left + previous - corner
        a, b, c = abs(estimate - left), abs(estimate - previous), abs(estimate - corner)
        guess = np.where((a <= b) & (a <= c), left, np.where(b <= c, previous, corner))
    else:
        guess = [0 * row, left, previous, (left + previous) // 2][kind]
    return bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes()


def png_rows(samples, depth, channels):
    """Encodes samples (h, w, channels) with each filter in turn, row by row."""
    height, width = samples.shape[:2]
    if height == 0 or width == 0:
        return b""
    flat = samples.reshape(height, -1).astype(np.int64)
    bits = (flat[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1).astype(np.int64)
    step = max(1, channels * depth // 8)
    out, previous = b"", np.zeros(rows.shape[1], np.int64)
    for y, row in enumerate(rows):
        out += filter_row((y + 1) % 5, row, previous, step)
        previous = row
    return out


def png(width, height, depth, color, seed, interlaced=False, palette=None, extra=b"", idats=1):
    rng = np.random.default_rng(seed)
    limit = 1 << depth if palette is None else min(1 << depth, len(palette) // 3)
    samples = rng.integers(0, limit, (height, width, CHANNELS[color]))
    if depth == 16 and color == 0:
        samples = np.where(rng.integers(0, 2, samples.shape) == 1, samples % 300, samples)
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    raw = b"".join(png_rows(samples[y::dy, x::dx], depth, CHANNELS[color]) for x, y, dx, dy in passes)
    stream = zlib.compress(raw)
    cuts = [len(stream) * i // idats for i in range(idats + 1)]
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + (chunk(b"PLTE", bytes(palette)) if palette is not None else b"") + extra
            + b"".join(chunk(b"IDAT", stream[a:b]) for a, b in zip(cuts, cuts[1:])) + chunk(b"IEND", b""))


def make_pngs():
    names = {0: "grey", 2: "rgb", 4: "grey_alpha", 6: "rgb_alpha"}
    for color, name in names.items():
        for depth in (8, 16) if color != 0 else (1, 2, 4, 8, 16):
            store(f"png_{name}_{depth}.png", png(13, 11, depth, color, depth * 10 + color))
            store(f"png_{name}_{depth}_interlaced.png", png(11, 13, depth, color, depth + color, True))
    for depth in (1, 2, 4, 8):
        palette = [(i * 37 + 11) % 256 for i in range(3 * min(1 << depth, 100))]
        store(f"png_palette_{depth}.png", png(13, 7, depth, 3, depth, palette=palette))
        store(f"png_palette_{depth}_interlaced.png", png(7, 13, depth, 3, depth, True, palette=palette))
    # Indices beyond the palette are black.
    short = png(13, 7, 4, 3, 5, palette=[(i * 29 + 5) % 256 for i in range(48)])
    at = short.index(b"PLTE") - 4
    end = at + 12 + 48
    store("png_palette_short.png",
          short[:at] + chunk(b"PLTE", short[at + 8: at + 8 + 30]) + short[end:])
    palette = [(i * 37 + 11) % 256 for i in range(12)]
    store("png_palette_transparent.png",
          png(5, 5, 2, 3, 6, palette=palette, extra=chunk(b"tRNS", bytes([0, 128, 255]))))
    store("png_rgb_transparent.png", png(5, 5, 8, 2, 7, extra=chunk(b"tRNS", bytes([0, 1, 0, 2, 0, 3]))))
    store("png_many_idats.png", png(13, 11, 8, 2, 8, idats=5, extra=chunk(b"tEXt", b"Title\0x")))
    store("png_exif_6.png", png(5, 3, 8, 2, 9, extra=chunk(b"eXIf", exif(6, ">"))))
    for width, height in ((1, 1), (1, 9), (9, 1), (2, 2), (5, 4), (8, 8)):
        store(f"png_{width}x{height}_interlaced.png", png(width, height, 8, 2, width, True))
    store("png_pillow.png", save(Image.fromarray(scene(29, 21, 2)), "PNG"))


# --- GIF, BMP, WebP -----------------------------------------------------------------------------


def make_gifs():
    picture = Image.fromarray(scene(29, 21, 3))
    colors = picture.quantize(200)
    store("gif_200_colors.gif", save(colors, "GIF"))
    store("gif_interlaced.gif", save(picture.quantize(7), "GIF", interlace=1))
    store("gif_2_colors.gif", save(picture.convert("1"), "GIF"))
    store("gif_grey.gif", save(picture.convert("L"), "GIF", interlace=0))
    # Written without Pillow, which leaves out a transparent color that is not used.
    opaque = save(colors, "GIF")
    at = opaque.index(b"," + struct.pack("<HHHH", 0, 0, 29, 21))
    transparent = b"GIF89a" + opaque[6:at] + b"!\xf9\4\1\0\0\x11\0" + opaque[at:]
    store("gif_transparent.gif", transparent)
    store("gif_animated.gif", save(colors, "GIF", save_all=True, duration=100,
                                   append_images=[ImageOps.mirror(picture).quantize(50)]))
    # A long run of one color, then noise, so that the code table fills up and is cleared.
    busy = np.random.default_rng(0).integers(0, 256, (90, 80), dtype=np.uint8)
    busy[:30] = 7
    store("gif_full_table.gif", save(Image.fromarray(busy), "GIF", optimize=False))
    # The picture moved by (3, 2) on a larger screen.
    def moved(data):
        at = data.index(b"," + struct.pack("<HHHH", 0, 0, 29, 21))
        data = data[:6] + struct.pack("<HH", 37, 29) + data[10:]
        return data[:at + 1] + struct.pack("<HH", 3, 2) + data[at + 5:]
    store("gif_moved.gif", moved(save(colors, "GIF")))
    store("gif_moved_transparent.gif", moved(transparent))
    # A screen smaller than its picture.
    small = save(colors, "GIF")
    store("gif_small_screen.gif", small[:6] + struct.pack("<HH", 5, 4) + small[10:])


def bmp(width, height, bits, rows, compression=0, palette=b"", masks=b"", colors=0):
    at = 14 + 40 + len(masks) + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(rows), 0, 0, colors, 0)
    return b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + info + masks + palette + rows


def make_bmps():
    picture = Image.fromarray(scene(29, 21, 4))
    rng = np.random.default_rng(5)
    store("bmp_24.bmp", save(picture, "BMP"))
    store("bmp_8.bmp", save(picture.quantize(100), "BMP"))
    store("bmp_grey.bmp", save(picture.convert("L"), "BMP"))
    store("bmp_1.bmp", save(picture.convert("1"), "BMP"))
    store("bmp_32.bmp", save(picture.convert("RGBA"), "BMP"))
    palette = bytes((i * 37 + 11) % 256 for i in range(64))
    store("bmp_4.bmp", bmp(5, 3, 4, rng.bytes(4 * 3), palette=palette))
    store("bmp_top_down.bmp", bmp(5, -3, 24, rng.bytes(16 * 3)))
    store("bmp_555.bmp", bmp(5, 3, 16, rng.bytes(12 * 3)))
    store("bmp_565.bmp", bmp(5, 3, 16, rng.bytes(12 * 3), 3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)))
    store("bmp_masks_32.bmp",
          bmp(5, 3, 32, rng.bytes(20 * 3), 3, masks=struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00)))
    core = struct.pack("<IHHHH", 12, 5, 3, 1, 24)
    store("bmp_core_header.bmp", b"BM" + struct.pack("<IHHI", 26 + 48, 0, 0, 26) + core + rng.bytes(48))


def make_webps():
    picture = Image.fromarray(scene(29, 21, 6))
    alpha = picture.copy()
    alpha.putalpha(Image.fromarray(scene(29, 21, 7)[:, :, 0]))
    store("webp_lossy.webp", save(picture, "WEBP", quality=80))
    store("webp_lossless.webp", save(picture, "WEBP", lossless=True))
    store("webp_alpha_lossy.webp", save(alpha, "WEBP", quality=50))
    store("webp_alpha_lossless.webp", save(alpha, "WEBP", lossless=True, exact=True))
    store("webp_exif_8.webp", save(picture, "WEBP", quality=50, exif=exif(8, "<")))


# --- orientation -----------------------------------------------------------------------------------


def xmp(orientation, is_element=False):
    stated = (f"><tiff:Orientation>{orientation}</tiff:Orientation></rdf:Description>" if is_element
              else f' tiff:Orientation="{orientation}"/>')
    return ('<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
            + stated + "</rdf:RDF></x:xmpmeta>").encode()


def tiff(tag, kind, value):
    """Returns a TIFF structure with one entry; kind 1 is 8, 3 is 16 and 4 is 32 bits."""
    return b"II" + struct.pack("<HIHHHII", 42, 8, 1, tag, kind, 1, value) + b"\0" * 4


def make_orientations():
    """Orientations outside the usual EXIF field; EXIF, where it states one, stands above XMP."""
    picture = Image.fromarray(scene(13, 7, 9))
    for name, options in {
        "xmp_6": {"xmp": xmp(6)},
        "xmp_element_5": {"xmp": xmp(5, True)},
        "xmp_0": {"xmp": xmp(0)},
        "exif_3_xmp_6": {"exif": b"Exif\0\0" + tiff(0x0112, 3, 3), "xmp": xmp(6)},
        "exif_0_xmp_6": {"exif": b"Exif\0\0" + tiff(0x0112, 3, 0), "xmp": xmp(6)},
        "other_exif_xmp_8": {"exif": b"Exif\0\0" + tiff(0x0128, 3, 2), "xmp": xmp(8)},
        "long_exif_6": {"exif": b"Exif\0\0" + tiff(0x0112, 4, 6)},
        "byte_exif_8": {"exif": b"Exif\0\0" + tiff(0x0112, 1, 8)},
    }.items():
        store(f"orientation_{name}.jpg", save(picture, "JPEG", quality=60, **options))
    packet = b"XML:com.adobe.xmp\0"
    profile = b"Exif\0\0" + exif(8, "<")
    lines = "\n".join(profile.hex()[i:i + 72] for i in range(0, 2 * len(profile), 72))
    raw = f"\nexif\n{len(profile):8}\n{lines}\n".encode()
    for name, kind, content in [
        ("xmp_3", b"iTXt", packet + b"\0\0\0\0" + xmp(3)),
        ("xmp_packed_6", b"iTXt", packet + b"\1\0en\0\0" + zlib.compress(xmp(6))),
        ("profile_packed_8", b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw)),
        ("profile_8", b"tEXt", b"Raw profile type exif\0" + raw),
    ]:
        store(f"orientation_{name}.png", png(5, 3, 8, 2, 9, extra=chunk(kind, content)))
    store("orientation_xmp_7.webp", save(picture, "WEBP", quality=50, xmp=xmp(7)))
    store("orientation_exif_3_xmp_7.webp", save(picture, "WEBP", quality=50, exif=exif(3, "<"), xmp=xmp(7)))


# --- scanned pages -------------------------------------------------------------------------------


def make_pages():
    """Pages of 4960 x 7016 pixels, white but for a black rectangle: far larger than their files."""
    PAGES.mkdir(exist_ok=True)
    pixels = np.full((7016, 4960), 255, np.uint8)
    pixels[200:264, 96:296] = 0
    page = Image.fromarray(pixels)
    for name, image, options in [
        ("1_bit.png", page.convert("1"), {"optimize": True}),
        ("1_bit.gif", page.convert("1"), {}),
        ("lossless.webp", page.convert("RGB"), {"lossless": True}),
        ("progressive.jpg", page, {"progressive": True, "quality": 95}),
    ]:
        data = save(image, name.split(".")[1].replace("jpg", "jpeg"), **options)
        shown = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
        assert (shown == pixels[:, :, None]).all(), name
        (PAGES / name).write_bytes(data)


# --- resampling ---------------------------------------------------------------------------------

RESIZES = [(61, 47, 28, 28), (61, 47, 97, 131), (1, 1, 5, 3), (61, 47, 1, 1), (2, 1, 7, 16),
           (16, 16, 17, 17), (17, 33, 16, 32), (61, 47, 61, 20), (61, 47, 20, 47), (61, 47, 61, 47),
           (640, 480, 448, 336), (500, 333, 336, 336), (336, 504, 224, 336), (100, 75, 384, 384),
           (1000, 37, 64, 64), (37, 1000, 64, 64), (5, 300, 14, 14), (3, 2, 3, 65),
           (24, 17, 20, 9), (24, 18, 20, 9), (480, 640, 384, 384), (600, 400, 384, 384)]


def make_resizes():
    """Writes lines of width, height, new width, new height, filter, and the digest of scene(..., 11) resized."""
    lines = []
    for width, height, new_width, new_height in RESIZES:
        picture = Image.fromarray(scene(width, height, 11))
        for resample in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
            pixels = np.array(picture.resize((new_width, new_height), resample))
            lines.append(f"{width} {height} {new_width} {new_height} {int(resample)} "
                         f"{fnv(pixels.tobytes())}\n")
    (OUT / "resize.txt").write_text("".join(lines))


# --- preprocessing ------------------------------------------------------------------------------

CLIP = {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "do_center_crop": True,
        "do_normalize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3}
SIGLIP = {"image_processor_type": "SiglipImageProcessor", "do_resize": True, "do_normalize": True,
          "do_rescale": True, "rescale_factor": 0.00392156862745098, "image_mean": [0.5, 0.5, 0.5],
          "image_std": [0.5, 0.5, 0.5], "resample": 3}


def square(side):
    return {"height": side, "width": side}


PROCESSORS = {
    "clip": CLIP | {"size": 28, "crop_size": 28, "feature_extractor_type": "CLIPFeatureExtractor"},
    "clip_new": CLIP | {"size": {"shortest_edge": 30}, "crop_size": square(25), "do_rescale": True,
                        "rescale_factor": 1 / 255, "do_convert_rgb": True},
    "clip_small": CLIP | {"size": {"shortest_edge": 20}, "crop_size": square(27)},
    "clip_stretch": CLIP | {"size": square(28), "do_center_crop": False},
    "crop_only": CLIP | {"do_resize": False, "crop_size": square(33)},
    "raw": CLIP | {"size": 14, "crop_size": 14, "do_rescale": False, "do_normalize": False},
    "siglip": SIGLIP | {"size": square(27)},
    "siglip_bilinear": SIGLIP | {"size": square(28), "resample": 2, "do_normalize": None},
    "clip_336": CLIP | {"size": 336, "crop_size": 336},
    "siglip_384": SIGLIP | {"size": square(384)},
}
SIZES = [(61, 47), (47, 61), (28, 28), (1, 1), (29, 100), (100, 29), (3, 50)]
# The file that write_image_processor_config writes for a tower of side 48, checked against
    # AutoImageProcessor.
STATISTICS = {"image_mean": [0.1, 0.25, 1 / 3], "image_std": [0.2, 0.3, 2 / 3]}
WRITTEN = {
    "written_clip.json": {"image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True,
                          "do_resize": True, "size": {"shortest_edge": 48}, "resample": 3,
                          "do_center_crop": True, "crop_size": square(48), "do_rescale": True,
                          "rescale_factor": 1 / 255, "do_normalize": True} | STATISTICS,
    "written_siglip.json": {"image_processor_type": "SiglipImageProcessor", "do_convert_rgb": True,
                            "do_resize": True, "size": square(48), "resample": 3,
                            "do_center_crop": False, "do_rescale": True, "rescale_factor": 1 / 255,
                            "do_normalize": True} | STATISTICS,
}


def open_processor(config):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(config))
        return AutoImageProcessor.from_pretrained(folder, backend="pil")


def pad(picture, mean):
    """Pads to a square, as LLaVA does."""
    side = max(picture.size)
    canvas = Image.new("RGB", (side, side), tuple(int(m * 255) for m in mean))
    canvas.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return canvas


def pixel_values(processor, config, picture, mode):
    if mode == "pad":
        picture = pad(picture, config["image_mean"])
    if mode == "resize":
        side = config.get("crop_size") if config.get("do_center_crop") else config["size"]
        side = side if isinstance(side, int) else side["height"]
        picture = picture.resize((side, side))
    values = processor(picture, return_tensors="np")["pixel_values"][0]
    return values.astype(np.float32)


def make_processors():
    cases = []
    for name, config in PROCESSORS.items():
        processor = open_processor(config)
        assert type(processor).__name__.endswith("Pil"), type(processor)
        for width, height in [(640, 480), (480, 640)] if name.endswith(("336", "384")) else SIZES:
            picture = Image.fromarray(scene(width, height, 13))
            for mode in ("crop", "pad", "resize"):
                values = pixel_values(processor, config, picture, mode)
                cases.append({"processor": name, "mode": mode, "width": width, "height": height,
                              "size": values.shape[1], "digest": fnv(values.tobytes())})
    text = ",\n".join("  " + json.dumps(case) for case in cases)
    configs = ",\n".join(f'  "{name}": {json.dumps(c)}' for name, c in PROCESSORS.items())
    (OUT / "processor.json").write_text(f'{{"processors": {{\n{configs}\n}}, "cases": [\n{text}\n]}}\n')
    for name, config in WRITTEN.items():
        written = json.dumps(config, indent=2) + "\n"
        processor = open_processor(json.loads(written))
        values = pixel_values(processor, config, Image.fromarray(scene(61, 47, 13)), "crop")
        assert values.shape == (3, 48, 48) and type(processor).__name__[:4] == config["image_processor_type"][:4]
        (OUT / name).write_text(written)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    make_jpegs()
    make_pngs()
    make_gifs()
    make_bmps()
    make_webps()
    make_orientations()
    make_pages()
    make_resizes()
    make_processors()
    print("Pillow", PIL.__version__, sum(p.stat().st_size for p in OUT.iterdir()), "bytes")
