#!/usr/bin/env python3
"""Makes the synthetic pattern and Pillow's resizes of it, which tests/images.rs compares with (pip install pillow==13.*)."""

import pathlib

from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
WIDTH, HEIGHT = 61, 47

pattern = Image.new("RGB", (WIDTH, HEIGHT))
for y in range(HEIGHT):
    for x in range(WIDTH):
        # Edges at every scale in red, a steep ramp in green, pseudo-random texture in blue.
        red = 255 if ((x // 3) ^ (y // 5)) & 1 else 10
        pattern.putpixel((x, y), (red, (7 * x + 3 * y) % 256, (x * x * 31 + y * y * 17 + x * y * 13) % 251))
pattern.save(HERE / "pattern.png", optimize=True)
for name, kernel in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
    for side in (20, 64):
        size = (WIDTH * side // HEIGHT, side)
        pattern.resize(size, kernel).save(HERE / f"pattern-{name}-{side}.png", optimize=True)
    pattern.resize((30, 40), kernel).save(HERE / f"pattern-{name}-30x40.png", optimize=True)
pattern.save(HERE / "pattern.jpg", quality=95, subsampling=0)
# The same pixels with the tag of a camera that was held upright.
tag = Image.Exif()
tag[0x0112] = 6
pattern.save(HERE / "turned.jpg", quality=95, subsampling=0, exif=tag)
# A type whose tag stands behind the pixels.
pattern.save(HERE / "turned.webp", quality=95, exif=tag)
