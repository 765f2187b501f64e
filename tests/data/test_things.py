"""The data set things: what the shipped sheets hold, which pairs are held out, and how the sheets are built."""

import base64
import hashlib
import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from var_mini.data import load, things, things_build

SVG_SQUARE = '<rect width="10" height="10" fill="#c00"/>'


@pytest.fixture(scope="module")
def shipped():
    return things.read_things()


def test_the_sheets_hold_a_thousand_things_in_eight_styles(shipped):
    assert len(shipped.names) == len(set(shipped.names)) == 1004 and len(shipped.styles) == 8
    assert len(shipped.images) == 6830 and shipped.images.shape[1:] == (3, 64, 64)
    assert shipped.thing.bincount().min() >= 6  # every thing in at least six styles
    pairs = set(zip(shipped.thing.tolist(), shipped.style.tolist()))
    assert len(pairs) == 6830
    blank = (shipped.images == 255).flatten(1).all(1)
    assert not blank.any()


@pytest.mark.parametrize("unwanted", ["flag", "skin-tone", "keycap", "oclock"])
def test_no_flags_skin_tones_keycaps_or_clock_times(shipped, unwanted):
    assert not [name for name in shipped.names if unwanted in name]


def test_a_tile_is_where_the_index_says(shipped):
    style, name = "twemoji", "octopus"
    index = shipped.names.index(name)
    with Image.open(things.FOLDER / f"{style}.webp") as sheet:
        tile = np.asarray(sheet.convert("RGB"))[index // 32 * 64 :, index % 32 * 64 :][:64, :64]
    where = (shipped.thing == index) & (shipped.style == shipped.styles.index(style))
    assert torch.equal(shipped.images[where][0], torch.from_numpy(tile.transpose(2, 0, 1).copy()))


def test_held_out_pairs_are_never_trained_though_their_things_are():
    data = load("things")
    trained = set(map(tuple, data.train_conditions.tolist()))
    held = list(map(tuple, data.test_conditions.tolist()))
    assert len(held) == len(set(held)) == 500 and not trained & set(held)
    seen = data.train_labels.bincount(minlength=len(data.class_names))
    assert all(seen[thing] >= 5 for thing, _ in held)
    assert len({style for _, style in held}) == 8


def test_smaller_pictures_are_averages_of_areas():
    whole, half = load("things"), load("things-32")
    block = whole.train_images[5].double().reshape(3, 32, 2, 32, 2).mean((2, 4))
    assert (half.train_images[5].double() - block).abs().max() <= 0.5
    assert half.channels == 3 and load("things-16").train_images.shape[2:] == (16, 16)


def test_a_damaged_sheet_is_refused(tmp_path):
    for path in things.FOLDER.iterdir():
        (tmp_path / path.name).symlink_to(path)
    damaged = bytearray((tmp_path / "noto.webp").read_bytes())
    damaged[5000] ^= 1
    (tmp_path / "noto.webp").unlink()
    (tmp_path / "noto.webp").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"noto\.webp is damaged: sha256 is [0-9a-f]{64}, must be"):
        things.read_things(tmp_path)
    (tmp_path / "noto.webp").unlink()
    with pytest.raises(ValueError, match=r"noto\.webp cannot be read"):
        things.read_things(tmp_path)


def test_mirror_images_of_signs_are_not_taken_for_the_same(shipped):
    flips = dict(zip(shipped.names, shipped.may_flip().tolist()))
    assert flips["octopus"] and not flips["right-arrow"] and not flips["newspaper"] and not flips["backhand-index-pointing-left"]


@pytest.mark.parametrize("size", [0, 48, "64"])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match=r"size = .*: must be one of 64, 32, 16"):
        things.load_things(size)


# -- the build -------------------------------------------------------------------------------------------------------


def pack(folder, package, icons, aliases=None, groups=None):
    """A package as `npm pack` leaves it, with the pinned hash of what was really written."""
    bodies = {name: {"body": body} for name, body in icons.items()}
    files = {
        "icons.json": {"icons": bodies, "aliases": aliases or {}, "width": 10, "height": 10},
        "info.json": {"license": {"spdx": package.licence}},
    }
    if groups:
        files["metadata.json"] = {"categories": groups}
    with tarfile.open(folder / package.file, "w:gz") as archive:
        for name, content in files.items():
            raw = json.dumps(content).encode()
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
    return replace(package, sha256=hashlib.sha256((folder / package.file).read_bytes()).hexdigest())


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Eight small sets: all draw a cat; the cricket is known to six by a drawing of its own, to two only as the game."""
    made = []
    for number, package in enumerate(things_build.PACKAGES):
        icons = {"cat": SVG_SQUARE, "flag-chad": SVG_SQUARE, "hand-light-skin-tone": SVG_SQUARE, "cricket-game": SVG_SQUARE}
        aliases = {"cricket": {"parent": "cricket-game"}, "mirrored": {"parent": "cat", "hFlip": True}}
        if number < 6:
            icons["cricket"] = "<path d='M0 0h5v5z'/>" if number else ""  # the first draws nothing
            del aliases["cricket"]
        made.append(pack(tmp_path, package, icons, aliases, {"Animals & Nature": ["cat", "cricket"], "Flags": ["flag-chad"]}))
    monkeypatch.setattr(things_build, "PACKAGES", tuple(made))
    return tmp_path


def render(svg, side):
    """Stands in for resvg: a red square, or nothing for an empty drawing."""
    picture = Image.new("RGBA", (side, side), (200, 0, 0, 255) if "<rect" in svg or "<path" in svg else (0, 0, 0, 0))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def test_a_build_takes_what_six_sets_draw_and_names_what_does_not_render(packages, tmp_path, capsys):
    index = things_build.build(packages, tmp_path / "out", render)
    assert [name for name, _ in index["things"]] == ["cat", "cricket", "cricket-game"]
    assert [style["count"] for style in index["styles"]] == [2, 3, 3, 3, 3, 3, 2, 2]
    assert "twemoji: 1 did not render and are left out: cricket" in capsys.readouterr().err
    built = things.read_things(tmp_path / "out")
    assert built.images[0].flatten(1).float().mean(1).round().tolist() == [200, 0, 0]
    assert built.groups == ("Animals & Nature", "Animals & Nature", "Symbols")


def test_a_package_of_another_version_is_refused_with_what_was_found(packages, tmp_path):
    package = things_build.PACKAGES[1]
    (packages / package.file).rename(packages / f"iconify-json-{package.name}-9.9.9.tgz")
    message = rf"found iconify-json-noto-9\.9\.9\.tgz, expected version {package.version}; run `npm pack"
    with pytest.raises(ValueError, match=message):
        things_build.build(packages, tmp_path / "out", render)
    (packages / package.file).write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"sha256 is [0-9a-f]{64}, expected"):
        things_build.build(packages, tmp_path / "out", render)


def test_resvg_draws_on_white_in_the_middle():
    pytest.importorskip("resvg_py")
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10" viewBox="-5 -5 20 20">{SVG_SQUARE}</svg>'
    tile = np.asarray(things_build.draw(svg))
    assert tile.shape == (64, 64, 3) and (tile[2, 2] == 255).all() and abs(int(tile[32, 32, 0]) - 204) <= 1
    assert base64.b64encode(things_build.resvg(svg, 8)).startswith(b"iVBOR")  # a PNG
