"""Every bit depth and sample format is spread over its own range, the same for training and uploads; limits hold first."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, features

from tests.data.test_pictures import bomb, encoded
from var_mini.data import pictures
from var_mini.data.pictures import load_image, read_picture

SIDE = 16
RAMP = np.arange(SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE) / (SIDE * SIDE - 1)  # 0 to 1 in 256 steps
GREY = np.arange(256, dtype=np.uint8).reshape(SIDE, SIDE)  # what such a ramp is in 8 bits


def tiff(samples: np.ndarray, bits: int, kind: int = 1, photometric: int = 1) -> bytes:
    """A TIFF file of one strip; `kind` is its SampleFormat: 1 unsigned, 2 signed, 3 floating point."""
    body = samples.tobytes()
    if bits == 12:  # two samples in three bytes, the first one's high bits first
        pairs = samples.reshape(-1, 2).astype(int)
        body = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)
    tags = {256: SIDE, 257: SIDE, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: SIDE, 279: len(body), 339: kind}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + body


def png16(samples: np.ndarray) -> bytes:
    return encoded(Image.fromarray(samples.astype(np.uint16)))


def whole(top: float, low: float = 0, kind: type = np.uint16) -> np.ndarray:
    return (low + RAMP * (top - low)).round().astype(kind)


RAMPS = {
    "PNG 16": png16(whole(65535)),
    "PNG 12 in 16": png16(whole(4095)),
    "PNG 10 in 16": png16(whole(1023)),
    "PNG 8 in 16": png16(whole(255)),
    "TIFF 16": tiff(whole(65535), 16),
    "TIFF 12 in 16": tiff(whole(4095), 16),
    "TIFF 12": tiff(whole(4095), 12),
    "TIFF 16 signed": tiff(whole(32767, -32768, np.int16), 16, kind=2),
    "TIFF 8 signed": tiff(whole(127, -128, np.int8), 8, kind=2),
    "TIFF 32": tiff(whole(2**32 - 1, kind=np.uint32), 32),
    "TIFF 24 in 32": tiff(whole(2**24 - 1, kind=np.uint32), 32),
    "TIFF 32 signed": tiff(whole(2**31 - 1, -(2**31), np.int32), 32, kind=2),
    "TIFF float to 1": tiff(RAMP.astype(np.float32), 32, kind=3),
    "TIFF float to 1000": tiff((1000 * RAMP).astype(np.float32), 32, kind=3),
    "TIFF float from -1 to 1": tiff((2 * RAMP - 1).astype(np.float32), 32, kind=3),
    "TIFF 16, black is most": tiff(65535 - whole(65535), 16, photometric=0),
    "PGM 12": b"P5 16 16 4095\n" + whole(4095).astype(">u2").tobytes(),
    "PFM": b"Pf 16 16 -1.0\n" + RAMP[::-1].astype("<f4").tobytes(),
}


@pytest.mark.parametrize("name", RAMPS)
def test_a_ramp_of_any_depth_is_a_ramp_from_black_to_white(tmp_path, name):
    (tmp_path / "x").write_bytes(RAMPS[name])
    trained = load_image(tmp_path / "x", SIDE, 1)[0].numpy()
    assert np.abs(trained.astype(int) - GREY).max() <= 1 and trained.max() == 255
    if name[:3] in ("PNG", "TIF"):  # of the kinds that uploads may have
        uploaded = read_picture(RAMPS[name], SIDE, 1).image[0].numpy() * 255
        assert np.array_equal(uploaded.round(), trained)


def test_a_dark_picture_of_a_depth_that_the_file_names_stays_dark():
    assert read_picture(tiff(whole(1023), 12), SIDE, 1).image.max() == 64 / 255  # 1023 of 4095
    assert read_picture(tiff((RAMP / 4).astype(np.float32), 32, kind=3), SIDE, 1).image.max() == 64 / 255


def test_samples_that_are_no_numbers_are_black_and_infinite_ones_white():
    samples = RAMP.astype(np.float32)
    samples[0, :3] = np.nan, np.inf, -np.inf
    image = read_picture(tiff(samples, 32, kind=3), SIDE, 1).image[0]
    assert image[0, :3].tolist() == [0, 1, 0] and image[15, 15] == 1
    assert read_picture(tiff(np.full((SIDE, SIDE), np.nan, np.float32), 32, kind=3), SIDE, 1).image.max() == 0


def test_wide_samples_are_turned_as_the_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 3
    picture = Image.fromarray(whole(65535))
    assert np.array_equal(read_picture(encoded(picture, exif=exif), SIDE, 1).image[0] * 255, GREY[::-1, ::-1])


KINDS = {"JPEG": ".jfif", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif", "JPEG2000": ".jp2", "PPM": ".ppm"}
KINDS |= {"TGA": ".tga", "PCX": ".pcx", "ICO": ".ico", "QOI": ".qoi", "SGI": ".rgb", "AVIF": ".avif", "MPO": ".mpo"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_pillow_writes_is_read_for_training(tmp_path, kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / f"x{KINDS[kind]}"
    Image.new("RGB", (24, 24), (200, 40, 90)).save(path, kind)
    assert path.suffix in pictures.suffixes()
    colour = load_image(path, 8, 3)[:, 4, 4].int().tolist()
    assert all(abs(a - b) <= 12 for a, b in zip(colour, (200, 40, 90)))


@pytest.mark.parametrize("kind", ["AVIF", "TIFF", "MPO"])
def test_uploads_may_be_of_the_common_kinds(kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert read_picture(encoded(Image.new("RGB", (9, 9), "white"), kind), 8, 3).image.min() > 0.98


@pytest.mark.parametrize(("width", "height"), [(1, 32_000_000), (32_000_000, 1), (40_000, 2)])
def test_very_long_pictures_are_refused_by_both(tmp_path, width, height):
    (tmp_path / "x.png").write_bytes(bomb(width, height))
    for read in (lambda: read_picture(bomb(width, height), 8, 1, "whole"), lambda: load_image(tmp_path / "x.png", 8, 1)):
        with pytest.raises(ValueError, match="at most 32,768 are allowed on a side"):
            read()


def test_what_runs_another_program_or_needs_a_package_is_refused_and_heic_says_which(tmp_path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    heic = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(60)
    for name, content, message in (("x.eps", eps, "of a kind that is not read here"), ("x.heic", heic, "HEIC|damaged")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} is not a readable picture: .*({message})"):
            load_image(tmp_path / name, 8, 3)
        assert name[1:] in pictures.suffixes()
    with pytest.raises(ValueError, match="No such file"):
        load_image(tmp_path / "none.png", 8, 3)
    with pytest.raises(ValueError, match="Is a directory"):
        load_image(tmp_path, 8, 3)


def test_heic_is_read_where_its_package_is_installed():
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), (200, 40, 90))).save(buffer, quality=95)
    colour = read_picture(buffer.getvalue(), 8, 3).image[:, 4, 4] * 255
    assert all(abs(a - b) <= 12 for a, b in zip(colour.tolist(), (200, 40, 90)))
