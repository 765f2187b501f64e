"""The data set `emoji`: what is drawn, how it is split, and what happens where font or list are missing or differ."""

import hashlib
import math

import pytest
import torch

from var_mini import data
from var_mini.data import emoji
from var_mini.data.emoji import Emoji, Renderer, font_version, load_emoji, read_list
from var_mini.training.augment import HUE, augment, hue_rotation

HEADER = "# Version: 15.0\n# group: Smileys & Emotion\n# subgroup: face-smiling\n"
# font version -> SHA-256 of all images
PIXELS = {"2.042": "d7ad0a6a493a87fd0b11334814eca187f4fa8947a675bbde67ac5d83ca2e3830"}


@pytest.fixture
def places(monkeypatch):
    """Lets a test move font and list; nothing of it stays cached."""
    load_emoji.cache_clear()
    monkeypatch.setattr(emoji, "FONT_URL", "http://127.0.0.1:9/font")  # nobody listens there
    monkeypatch.setattr(emoji, "LIST_URL", "http://127.0.0.1:9/list")
    yield monkeypatch
    load_emoji.cache_clear()


needs_fonts = pytest.mark.skipif(
    not (emoji.FONT.exists() and emoji.LIST.exists()), reason="needs Debian's fonts-noto-color-emoji and unicode-data"
)


@pytest.fixture(scope="module")
def drawn():
    return load_emoji(64)


@needs_fonts
def test_what_is_drawn(drawn):
    assert (len(drawn.train_images), len(drawn.test_images), drawn.skipped) == (3355, 300, 0)
    assert drawn.train_images.shape[1:] == (3, 64, 64) and len(drawn.class_names) == 99 and len(drawn.kinds) == 9
    assert drawn.class_names[:3] == ("face-smiling", "face-affection", "face-tongue") and drawn.kinds[0] == "Smileys & Emotion"
    assert drawn.class_groups[drawn.class_names.index("country-flag")] == "Flags" and drawn.train_names[0] == "grinning face"
    looks = [x.numpy().tobytes() for x in torch.cat([drawn.train_images, drawn.test_images])]
    assert len(set(looks)) == 3641
    assert len(set(looks[3355:])) == 300 and not set(looks[:3355]) & set(looks[3355:])
    corners = torch.cat([drawn.train_images, drawn.test_images])[:, :, (0, 0, -1, -1), (0, -1, 0, -1)]
    assert (corners == 255).all(1).float().mean() > 0.9  # on white


@needs_fonts
def test_the_same_font_draws_the_same_pixels(drawn):
    sha = hashlib.sha256(drawn.train_images.numpy().tobytes() + drawn.test_images.numpy().tobytes()).hexdigest()
    version = font_version(emoji.FONT)
    if version not in PIXELS:
        pytest.skip(f"font {version} has no stored hash")
    assert sha == PIXELS[version]


@needs_fonts
def test_the_three_sizes_hold_the_same_pictures(drawn):
    small = data.load("emoji-16")
    assert small.train_images.shape == (3355, 3, 16, 16) and small.train_names == drawn.train_names
    averaged = torch.nn.functional.avg_pool2d(drawn.train_images[:200].float(), 4)
    assert (averaged - small.train_images[:200]).abs().mean() < 6
    with pytest.raises(ValueError, match="size = 4: must be a whole number from 8 to 136"):
        load_emoji(4)


@needs_fonts
def test_labels_follow_class_names_not_positions(drawn):
    names = tuple(reversed(drawn.class_names))
    turned = drawn.with_classes(names)
    assert [turned.class_names[i] for i in turned.train_labels] == [drawn.class_names[i] for i in drawn.train_labels]
    assert torch.equal(turned.kind_of(turned.test_labels), _by_name(turned.kinds, drawn, drawn.test_labels))
    fewer = drawn.with_classes(names[:50])
    assert fewer.skipped == 3655 - len(fewer.train_images) - len(fewer.test_images) > 0
    assert len(fewer.train_names) == len(fewer.flips) == len(fewer.train_images)
    with pytest.raises(ValueError, match=r"data set emoji: has no images of the model's classes"):
        drawn.with_classes(("no-such-class",))


def _by_name(kinds, drawn, labels):
    return torch.tensor([kinds.index(drawn.class_groups[i]) for i in labels])


@needs_fonts
def test_a_sequence_without_a_glyph_is_skipped_and_counted(tmp_path, places):
    lines = [f"{i:X} ; fully-qualified # x E1.0 face {i}" for i in (0x1F600, 0x1F601, 0x10FFFD)]
    lines.append("1F469 200D 1F680 200D 1F680 ; fully-qualified # x E1.0 no such family")
    (tmp_path / "list").write_text(HEADER + "\n".join(lines))
    places.setattr(emoji, "LIST", tmp_path / "list")
    places.setattr(emoji, "HELD_OUT", 1)
    found = load_emoji(16)
    assert found.skipped == 2 and len(found.train_images) == 1 and len(found.test_images) == 1


@needs_fonts
def test_another_version_is_said_and_used(tmp_path, places):
    text = emoji.LIST.read_text(encoding="utf-8").replace("# Version: 15.0", "# Version: 16.0")
    (tmp_path / "list").write_text(text, encoding="utf-8")
    places.setattr(emoji, "LIST", tmp_path / "list")
    with pytest.warns(UserWarning, match=r"the list is of version 16\.0, expected 15\.0"):
        assert len(load_emoji(8).train_images) == 3355


@pytest.mark.parametrize(("what", "package"), [("FONT", "fonts-noto-color-emoji"), ("LIST", "unicode-data")])
@needs_fonts
def test_a_missing_file_says_how_to_get_it(tmp_path, places, what, package):
    places.setattr(emoji, what, tmp_path / "absent")
    places.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=rf"data set emoji: found neither .*absent \(Debian: apt install {package}\)"):
        load_emoji(16)


@needs_fonts
def test_pillow_without_raqm_is_named(places):
    places.setattr("PIL.features.check", lambda _: False)
    with pytest.raises(ValueError, match="no raqm layout"):
        Renderer(emoji.FONT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no fully-qualified emoji"),
        (HEADER + "ZZZZ ; fully-qualified # x E1.0 name", "line 4"),
        (HEADER + "110000000 ; fully-qualified # x E1.0 name", "line 4"),
        (HEADER + "1F600 ; fully-qualified", "line 4"),
        (b"\xff\xfe\x00", "not readable"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path, text, message):
    path = tmp_path / "list"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        read_list(path)


def test_a_damaged_font_is_refused(tmp_path):
    (tmp_path / "font.ttf").write_bytes(b"\0" * 100)
    for use in (font_version, Renderer):
        with pytest.raises(ValueError, match="font"):
            use(tmp_path / "font.ttf")


@pytest.mark.parametrize(
    ("name", "group", "subgroup", "allowed"),
    [
        ("cat face", "Animals & Nature", "animal-mammal", True),
        ("flag: Chad", "Flags", "country-flag", False),
        ("input latin letters", "Symbols", "alphanum", False),
        ("backhand index pointing left", "People & Body", "hand-single-finger", False),
        ("person walking facing right", "People & Body", "person-activity", False),
        ("calendar", "Objects", "office", False),
    ],
)
def test_mirror_images_only_where_they_mean_the_same(name, group, subgroup, allowed):
    assert Emoji("x", name, group, subgroup).may_flip is allowed


# -- augmentation ----------------------------------------------------------------------------------------------------


def test_augmentation_keeps_white_and_greys():
    images = torch.full((40, 3, 16, 16), 255, dtype=torch.uint8)
    assert torch.allclose(augment(images, torch.Generator().manual_seed(0)), torch.ones(40, 3, 16, 16), atol=1e-6)
    grey = torch.full((1, 3, 1, 1), 0.3)
    assert torch.allclose(torch.einsum("bij,bjhw->bihw", hue_rotation(torch.tensor([0.7])), grey), grey, atol=1e-6)


def test_hue_rotation_is_a_rotation_about_the_grey_axis():
    turned = hue_rotation(torch.tensor([2 * math.pi / 3, HUE], dtype=torch.float64))
    red = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    assert torch.allclose(turned[0] @ red, torch.tensor([0, 1.0, 0], dtype=torch.float64), atol=1e-12)  # a third: red to green
    assert torch.allclose(turned[1] @ turned[1].T, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.linalg.det(turned[1]).item() == pytest.approx(1)


def test_mirrors_only_where_allowed():
    """A picture that is dark on the left: its centre of mass changes side only when mirrored."""
    images = torch.full((200, 3, 16, 16), 255, dtype=torch.uint8)
    images[..., 2:6] = 0
    allowed = torch.arange(200) % 2 == 0
    dark = 1 - augment(images, torch.Generator().manual_seed(1), allowed)
    mirrored = dark[..., 8:].sum((1, 2, 3)) > dark[..., :8].sum((1, 2, 3))
    assert 20 < mirrored.sum() < 60 and not mirrored[~allowed].any()
    assert not (1 - augment(images, torch.Generator().manual_seed(1)))[..., 10:].abs().gt(0.5).any()


def test_augmentation_follows_from_its_generator_and_leaves_some_plain():
    images = torch.randint(0, 255, (100, 3, 16, 16), dtype=torch.uint8)
    first, again = (augment(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again) and first.abs().max() <= 1
    same = (first == data.to_unit(images)).flatten(1).all(1)
    assert 8 <= same.sum() <= 35
    assert augment(images[:, :1], torch.Generator().manual_seed(3)).shape == (100, 1, 16, 16)
