"""Every thing has a name in Chinese; names are found by the emoji that they share with the English one."""

import hashlib
import io
import json
import re
import tarfile

import pytest

from demo import wording
from var_mini.data import things_names
from var_mini.data.things import FOLDER, INDEX


def packed(tmp_path, english, chinese):
    path = tmp_path / "cldr.tgz"
    with tarfile.open(path, "w:gz") as package:
        for language, names in (("en", english), ("zh", chinese)):
            told = {emoji: {"default": ["x"], "tts": [name]} for emoji, name in names.items()} | {"!": {"default": ["mark"]}}
            text = json.dumps({"annotations": {"annotations": told}}).encode()
            info = tarfile.TarInfo(f"package/annotations/{language}/annotations.json")
            info.size = len(text)
            package.addfile(info, io.BytesIO(text))
    return path


@pytest.fixture
def package(tmp_path, monkeypatch):
    english = {"1": "man\u2019s shoe", "2": "Japanese \u201cfree of charge\u201d button", "3": "bullseye"}
    path = packed(tmp_path, english, {"1": "男鞋", "2": "免费", "3": "靶"})
    monkeypatch.setattr(things_names, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_names_are_joined_by_the_emoji_and_older_names_are_known(package):
    wanted = {"mans-shoe": "男鞋", "direct-hit": "靶", "japanese-free-of-charge-button": "免费"}
    assert things_names.chinese_names(package, list(wanted)) == wanted


def test_a_thing_without_a_name_and_another_package_are_told(package, tmp_path):
    with pytest.raises(ValueError, match=r"CLDR has no name for unicorn$"):
        things_names.chinese_names(package, ["mans-shoe", "unicorn"])
    other = tmp_path / "other.tgz"
    other.write_bytes(b"no package")
    with pytest.raises(ValueError, match=r"package = 'other.tgz': has SHA-256 \w{64}, not"):
        things_names.chinese_names(other, [])


def test_the_command_writes_one_name_a_thing_or_says_why_not(package, tmp_path, capsys, monkeypatch):
    assert things_names.main([str(tmp_path / "nowhere.tgz")]) == 2 and "nowhere.tgz" in capsys.readouterr().err
    monkeypatch.setattr(things_names, "chinese_names", lambda path, things: dict.fromkeys(things, "名"))
    assert things_names.main([str(package), "--out", str(tmp_path / "zh.json")]) == 0
    things = [name for name, _ in json.loads((FOLDER / INDEX).read_text())["things"]]
    assert json.loads((tmp_path / "zh.json").read_text()) == dict.fromkeys(things, "名")


def test_every_thing_has_its_name_in_chinese_on_the_page():
    things = [name for name, _ in json.loads((FOLDER / INDEX).read_text())["things"]]
    assert sorted(json.loads(things_names.NAMES.read_text())) == sorted(things)
    assert all(wording.named(thing, "en").isascii() for thing in things)
    latin = [thing for thing in things if not re.search("[\u4e00-\u9fff]", wording.named(thing, "zh"))]
    assert {"dvd", "ok-hand"} <= {*latin} and len(latin) < 8  # DVD, OK: so written in Chinese, too
    assert wording.named("octopus", "zh") == "章鱼" and wording.named("fire", "zh") == "火"  # the page's own goes first
