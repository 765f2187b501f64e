"""What the library says, in Chinese: every sentence of words/said.json is provoked, so that a change of the library shows."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import save

from demo import api, app, errors, models, runs, translate, wording
from demo.chapters import compare, cost_ladder, gallery, lowrank_limits, masks
from tests.conftest import TINY_TOKENIZER, TINY_TRANSFORMER
from tests.data.test_pictures import bomb, encoded
from tests.demo.visits import record
from tests.demo.wire import API, Wire
from var_mini import checkpoints
from var_mini.analysis import neighbours
from var_mini.attention import AttentionSpec, kernels
from var_mini.attention.choose import choose
from var_mini.config import ModelConfig, Sampling
from var_mini.data import things
from var_mini.data.pictures import MAX_BYTES, read_picture
from var_mini.generation import Trace
from var_mini.generation.sampling import MAX_SEED
from var_mini.generation.settings import RunSettings, of_one_image

CONFIG = ModelConfig("tiny", TINY_TOKENIZER, TINY_TRANSFORMER)
RECORD = {"model": "tiny", "label": 0, "seed": 0, **vars(Sampling())}
ENGLISH = re.compile(r"([A-Za-z]+ ){3}[A-Za-z]+")  # four words in a row


@dataclass
class Place:
    """What a sentence needs to come about."""

    tiny: str  # a model's folder
    patch: pytest.MonkeyPatch
    folder: Path  # an empty one

    @property
    def trace(self) -> Trace:
        return checkpoints.load(self.tiny).trace(1, 0)


def settings(**changes) -> RunSettings:
    return RunSettings.from_dict(RECORD | changes, CONFIG)


def picture(content: bytes, size: int = 8):
    return read_picture(content, size, 3)


def large_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header says it has this many pixels."""
    content = encoded(Image.new("RGB", (8, 8)), "JPEG")
    at = content.index(b"\xff\xc0") + 5  # of height and width in the frame's header, ITU T.81, B.2.2
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def wrong_type(trace: Trace) -> bytes:
    trace.steps[0].token_ids = trace.steps[0].token_ids.float()
    return trace.to_bytes()


def without_image(trace: Trace) -> bytes:
    return Trace(trace.settings, [replace(step, image=None) for step in trace.steps]).to_bytes()


def spoilt_things(place: Place):
    (place.folder / things.INDEX).write_bytes((things.FOLDER / things.INDEX).read_bytes())
    return things.read_things.__wrapped__(place.folder)


def reason(place: Place, spec: str, device: str = "cuda", capable: bool = False, head_dim: int = 8) -> str:
    """Why a machine with such a GPU, with Triton or without, takes no kernels."""
    place.patch.setattr(kernels, "capable", lambda: capable)
    scale = SimpleNamespace(device=SimpleNamespace(type=device), dtype=torch.float32)
    return kernels.computed_by(AttentionSpec.parse(spec), scale, head_dim)[1]


# name of the sentence -> what brings it about, and the values that it must name
PROVOKED = {
    "said_empty": (lambda _: settings(seed=None), ["随机种子", "4294967295"]),
    "said_whole": (lambda _: settings(label=99), ["类别 = 99", f"0 到 {TINY_TRANSFORMER.num_classes - 1} 的整数"]),
    "said_number": (lambda _: settings(temperature=50), ["温度 = 50", "0.01 到 10"]),
    "said_object": (lambda _: runs.from_record("x"), ["设置 = 'x'"]),
    "said_single": (lambda _: of_one_image(settings(label=[0, 1])), ["类别 = [0, 1]"]),
    "said_no_styles": (lambda _: settings(style=3), ["风格 = 3", "tiny"]),
    "said_data_of_model": (lambda place: neighbours.nearest(Trace({"model": place.tiny})), ["''", "fashion-mnist, things"]),
    "said_one_of": (lambda _: models.offered_config("x"), ["模型 = 'x'", "fashion-28, "]),
    "said_degree": (lambda _: AttentionSpec.parse("poly-3"), ["次数 = 3"]),
    "said_factor": (lambda _: AttentionSpec.parse("pool-3"), ["= 3"]),
    "said_neighbours": (lambda _: AttentionSpec.parse("local-2"), ["= 2", "81"]),
    "said_no_parameter": (lambda _: AttentionSpec.parse("exact-3"), ["注意力 = 'exact-3'", "exact 没有"]),
    "said_features": (lambda _: AttentionSpec("poly", 8).rank(8), ["'poly-8'", "头维度为 8", "12,870", "4,096"]),
    "said_picture_empty": (lambda _: picture(b""), []),
    "said_picture_bytes": (lambda _: picture(b"x" * (MAX_BYTES + 1)), ["8,388,609", "8,388,608"]),
    "said_picture_damaged": (lambda _: picture(b"GIF89a"), []),
    "said_picture_heic": (lambda _: picture(struct.pack(">I", 24) + b"ftypheic" + bytes(70)), ["HEIC", "pillow-heif"]),
    "said_picture_pixels": (lambda _: picture(bomb(8000, 8000)), ["8,000 × 8,000", "32,000,000"]),  # noqa: RUF001
    "said_picture_side": (lambda _: picture(bomb(40_000, 1)), ["40,000 × 1", "32,768"]),  # noqa: RUF001
    "said_picture_jpeg": (lambda _: picture(large_jpeg(8000, 8000), 2001), ["8,000 × 8,000"]),  # noqa: RUF001
    "said_picture_bomb": (lambda _: picture(bomb(20_000, 20_000)), ["32,000,000"]),
    "said_trace_file": (lambda _: Trace.load(b"x" * 20), []),
    "said_trace_format": (lambda _: Trace.load(save({"a": torch.zeros(1)}, {"format": "old"})), ["'old'", "'var-mini-trace-2'"]),
    "said_trace_array": (lambda place: Trace.load(wrong_type(place.trace)), ["0.token_ids"]),
    "said_trace_part": (lambda place: Trace.load(without_image(place.trace)), []),
    "said_things": (spoilt_things, ["twemoji.webp"]),
    "said_things_index": (lambda place: things.read_things.__wrapped__(place.folder), [things.INDEX]),
    "said_auto_landmarks": (lambda _: choose(9000, 8, 3.5, [64])[1], ["9000 个词元", "1536", "64 个地标", "±3.5"]),
    "said_auto_poly": (lambda _: choose(9000, 8, 1.5, [])[1], ["9000 个词元", "720", "±1.5"]),
    "said_auto_few": (lambda _: choose(100, 8, 1.5, [])[1], ["100 个词元"]),
    "said_auto_reach": (lambda _: choose(9000, 8, 9.5, [64])[1], ["9.5", "最多 4"]),
    "said_auto_reach_poly": (lambda _: choose(9000, 8, 3.5, [])[1], ["3.5", "9000 个词元"]),
    "said_kernels": (lambda place: reason(place, "local"), ["2 次"]),
    "said_kernels_gpu": (lambda place: reason(place, "poly-2", "cpu"), ["GPU", "cpu"]),
    "said_kernels_triton": (lambda place: reason(place, "poly-2"), ["triton"]),
    "said_kernels_dim": (lambda place: reason(place, "poly-2", capable=True, head_dim=24), ["头维度为 24", "8, 16, 32"]),
}


def test_there_is_no_sentence_that_is_not_provoked_here():
    assert set(PROVOKED) == {name for name in wording.TEXTS if name.startswith("said_")}


@pytest.mark.parametrize("name", PROVOKED)
def test_what_the_library_says_is_said_in_chinese_with_its_values(name, tiny, monkeypatch, tmp_path):
    provoke, values = PROVOKED[name]
    try:
        english = provoke(Place(tiny, monkeypatch, tmp_path))
    except ValueError as error:
        english = str(error)
    first = next((known for known, pattern in translate._patterns().items() if pattern.fullmatch(english)), english)
    assert first == name
    chinese = translate.sentence(english, "zh")
    assert [value for value in values if value not in chinese] == [] and not ENGLISH.search(chinese), chinese
    assert translate.sentence(english, "en") == english == translate.sentence(english)  # nobody is being answered here


def test_what_is_not_known_stays_as_it_is():
    assert translate.sentence("a sentence = that nobody: foresaw", "zh") == "a sentence = that nobody: foresaw"
    assert translate.sentence("depth = 9: must be a whole number from 1 to 8", "zh") == "depth = 9：须为 1 到 8 的整数。"  # noqa: RUF001
    long = "x = 1" * 1_000_000  # of a forged file
    assert translate.sentence(long, "zh") is long


@pytest.mark.parametrize(
    ("error", "name"), [(MemoryError(), "out_of_memory"), (RuntimeError("x"), "run_failed"), (OSError(2, "x"), "file_failed")]
)
def test_without_a_visitor_errors_are_english(error, name):
    assert errors.message(error) == wording.text(name, "en", error="x")
    assert errors.readable(error).title == wording.text("toast_error", "en") == "Error"


def test_classes_have_their_chinese_names(monkeypatch):
    chinese, own = SimpleNamespace(headers={"accept-language": "zh-CN"}), record("fashion-28", 7, 3)
    far = torch.zeros(1, 2)
    found = neighbours.Neighbours(far.new_zeros(1, 2, 1, 28, 28), far, far, [["Sneaker", "red-heart (noto)"]])
    monkeypatch.setattr(neighbours, "nearest", lambda *_: found)
    monkeypatch.setattr(gallery, "_training_images", lambda *_: None)
    balloon = checkpoints.load_config("things-16").class_names.index("balloon")
    for html, name in (
        (gallery.more_seeds(own, chinese), "运动鞋"),
        (gallery.nearest(own, chinese), "红心 (noto)"),
        (masks.compare(own, masks.OWN, True, chinese)["same"]["note"], "运动鞋"),
        (lowrank_limits.curves(own, "model", 1, 4.0, 2, 64, chinese), "运动鞋"),
        (next(cost_ladder.draw(balloon, 0, chinese)), "气球"),
    ):
        assert name in html and "Sneaker" not in html and "red heart" not in html
    assert compare._computed(models.load_model("fashion-28"), AttentionSpec(), "zh").startswith("计算设备：CPU：")  # noqa: RUF001


# -- on a page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chinese(tiny):
    """Requests of a visitor whose browser prefers Chinese."""
    page = app.launch(tiny, port=None, prevent_thread_lock=True, quiet=True)
    yield Wire(page, tiny, headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    page.close()


def index_of(page, function) -> int:
    return next(index for index, listener in page.fns.items() if listener.fn is function)


def test_a_visitor_s_language_is_known_in_the_queue(chinese):
    own = RECORD | {"model": chinese.tiny}
    told = chinese.call(index_of(chinese.page, gallery.more_seeds), [own | {"seed": None}])
    assert told["error"].startswith("随机种子一栏为空") and told["title"] == wording.text("toast_error", "zh")
    told = chinese.call(index_of(chinese.page, api.generate), [chinese.tiny, 99, 0, 0, 1, 0, 1, "exact"])
    assert told["error"].startswith("类别 = 99")
    told = chinese.call(index_of(chinese.page, gallery.more_seeds), [own | {"attention": "landmark-64"}])
    what, stored = wording.text("landmark_counts", "zh"), wording.text("none_stored", "zh")
    assert told["error"] == wording.text("not_stored", "zh", name="landmark-64", what=what, stored=stored)
    told = chinese.call(index_of(chinese.page, cost_ladder.draw), [0, None])  # a listener that yields
    assert told["error"] == wording.text("seed_empty", "zh", largest=MAX_SEED)


@pytest.mark.parametrize(("function", "query"), [("blocks", {"settings": RECORD | {"seed": -1}}), ("plan", {"model": "x"})])
def test_a_visitor_s_language_is_known_in_server_functions(chinese, function, query):
    """With the gate and without it."""
    if "settings" in query:
        query = {"settings": query["settings"] | {"model": chinese.tiny}}
    block = next(number for number, block in chinese.page.blocks.items() if hasattr(block, function))
    body = {"data": query, "component_id": block, "session_hash": "s", "fn_name": function}
    status, answer = chinese.ask("POST", f"{API}/component_server", body)
    assert status == 200 and "须为" in answer.decode()


def test_another_visitor_of_the_same_page_reads_english(chinese):
    told = Wire(chinese.page, chinese.tiny).call(index_of(chinese.page, api.generate), [chinese.tiny, 99, 0, 0, 1, 0, 1, "exact"])
    assert told["error"].startswith("class = 99: must be") and told["title"] == "Error"
