"""Pictures from strangers: what is read is right pixel by pixel, what is not is refused before it is unpacked."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from var_mini.data import pictures
from var_mini.data.pictures import from_data_uri, read_picture


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has this many pixels."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_of_the_right_size_stays_as_it_is():
    pixels = noise(12, 12)
    picture = read_picture(encoded(Image.fromarray(pixels)), 12, 3)
    assert np.array_equal((picture.image.numpy() * 255).round().transpose(1, 2, 0), pixels)
    assert (picture.width, picture.height, picture.frames, picture.inverted) == (12, 12, 1, False)
    grey = read_picture(encoded(Image.fromarray(pixels[..., 0])), 12, 1)
    assert np.array_equal((grey.image.numpy()[0] * 255).round(), pixels[..., 0])


def test_crop_takes_the_middle_and_whole_keeps_the_edges():
    pixels = np.zeros((12, 36, 3), np.uint8)
    pixels[:, 12:24], pixels[:, :12] = 255, 80
    content = encoded(Image.fromarray(pixels))
    assert read_picture(content, 12, 3).image.min() == 1  # only the white third
    whole = read_picture(content, 12, 1, fit="whole").image[0] * 255
    assert np.allclose(whole[6, :3], 80, atol=4) and whole[6, 6] > 250 and whole[6, 11] < 3  # three thirds side by side
    assert len(set(whole[0].tolist())) == 1 and whole[0, 0] == whole[11, 0]  # a border of one colour above and below


@pytest.mark.parametrize(
    ("invert", "bright", "expected"), [("auto", True, 0), ("auto", False, 0), ("yes", False, 1), ("no", True, 1)]
)
def test_inverting_follows_its_rule(invert, bright, expected):
    picture = read_picture(encoded(Image.new("L", (20, 20), 255 if bright else 0)), 12, 1, invert=invert)
    assert picture.image[0, 0, 0] == expected
    colour = read_picture(encoded(Image.new("RGB", (20, 20), "white")), 12, 3, invert="auto")
    assert not colour.inverted and colour.image.min() == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I", "CMYK"])
def test_every_mode_is_read(mode):
    value = {"I;16": 65535, "I": 65535, "LA": (255, 255), "PA": None, "CMYK": (0, 0, 0, 0)}.get(mode, "white")
    kind = "JPEG" if mode == "CMYK" else "PNG"
    picture = Image.new("P", (9, 9), "white").convert("PA") if mode == "PA" else Image.new(mode, (9, 9), value)
    if mode == "PA":
        kind, picture = "PNG", picture.convert("RGBA")
    assert read_picture(encoded(picture, kind), 12, 3).image.min() > 0.98


def test_transparency_becomes_white_and_of_an_animation_the_first_frame_counts():
    assert read_picture(encoded(Image.new("RGBA", (8, 8), (9, 9, 9, 0))), 12, 1).image.min() == 1
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    picture = read_picture(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), 12, 3)
    assert picture.frames == 3 and picture.image[:, 0, 0].tolist() == [1, 0, 0]


def test_a_photo_is_turned_as_its_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    picture = read_picture(encoded(Image.fromarray(pixels), "JPEG", exif=exif, quality=95), 16, 1)
    assert picture.image[0, 2].min() < 0.1 and picture.image[0, 13].min() > 0.9


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000)])
@pytest.mark.parametrize("fit", pictures.FITS)
def test_strange_shapes_are_read(size, fit):
    image = read_picture(encoded(Image.new("RGB", size, "red")), 12, 3, fit=fit).image
    assert image.shape == (3, 12, 12) and np.allclose(image[:, 6, 6], [1, 0, 0], atol=0.01)


PNG = encoded(Image.fromarray(noise(30, 30)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "must be the content of a picture file"),
        (b"", "must be the content of a picture file"),
        ("x", "must be the content of a picture file"),
        ([1, 2], "must be the content of a picture file"),
        (b"hello, this is text", "is not a readable picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a readable picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a readable picture"),
        (PNG[:200], "is not a readable picture"),
        (PNG[:60] + bytes(400) + PNG[460:], "is not a readable picture"),
        (bomb(8_000, 8_000), "8,000 x 8,000 pixels, at most 32,000,000"),
        (bomb(20_000, 20_000), "at most 32,000,000 pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "at most 32,000,000 pixels"),
        (bomb(1, 40_000_000), "pixels, at most"),
        (bomb(0, 5), "is not a readable picture"),
        (b"\0" * (pictures.MAX_BYTES + 1), "at most 8,388,608 are allowed"),
    ],
)
def test_what_is_no_picture_gets_one_sentence(content, message):
    with pytest.raises(ValueError, match=r"^image") as caught:
        read_picture(content, 12, 1)
    assert message in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_bad_options_name_their_value():
    for options, message in (({"fit": "stretch"}, "fit = 'stretch'"), ({"invert": True}, "invert = True")):
        with pytest.raises(ValueError, match=message):
            read_picture(PNG, 12, 1, **options)


def test_data_uris_give_their_bytes_and_nothing_else_is_read(tmp_path):
    assert from_data_uri("data:image/png;base64," + base64.b64encode(PNG).decode()) == PNG
    secret = tmp_path / "picture.png"
    secret.write_bytes(PNG)
    for text in (
        str(secret),
        f"file://{secret}",
        "http://127.0.0.1:1/x.png",
        "data:text/html;base64,AAAA",
        "data:image/png,AAAA",
        "",
    ):
        with pytest.raises(ValueError, match="must begin with data:image/png;base64,"):
            from_data_uri(text)
    for value, message in (
        (None, "must be a string"),
        (b"data:", "must be a string"),
        ({"path": str(secret)}, "must be a string"),
    ):
        with pytest.raises(ValueError, match=message):
            from_data_uri(value)
    with pytest.raises(ValueError, match="is not base64"):
        from_data_uri("data:image/png;base64,!!!")
    with pytest.raises(ValueError, match="at most 2,097,152 bytes"):
        from_data_uri("data:image/png;base64," + "A" * 3_000_000)
