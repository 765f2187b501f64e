"""Whatever comes from outside ends in a value or in a ValueError, and in nothing else."""

import io
import json
import math
import string
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load, save

from var_mini.__main__ import main
from var_mini.config import ModelConfig, Sampling
from var_mini.data.pictures import load_image
from var_mini.generation import Trace
from var_mini.model import Model

fuzz = settings(deadline=None, max_examples=60, derandomize=True)

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert"]), st.floats(0, 1), st.integers(0, 255), st.binary(min_size=1, max_size=12)
    ),
    min_size=1,
    max_size=4,
)


def mutated(raw: bytes, edits, reach: int) -> bytes:
    """`raw` after some edits, each within the first `reach` bytes."""
    changed = bytearray(raw)
    for kind, place, value, inserted in edits:
        at = int(place * max(0, min(reach, len(changed)) - 1))
        if kind == "flip" and changed:
            changed[at] ^= value or 1
        elif kind == "cut":
            del changed[at : at + 1 + value % 32]
        elif kind == "insert":
            changed[at:at] = inserted
    return bytes(changed)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 300)
    | st.sampled_from([10**400, 2**63, -1, 0, 1e300])
    | st.floats()
    | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6
)


def places(value, path=()):
    """The paths of all entries of parsed JSON, inner ones included."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def with_random_entries(choice, value):
    """A copy of parsed JSON with one or two entries, inner ones included, replaced by random JSON."""
    value = json.loads(json.dumps(value))
    for _ in range(choice.draw(st.integers(1, 2))):
        *outer, last = choice.draw(st.sampled_from(list(places(value))))
        target = value
        for key in outer:
            target = target[key]
        target[last] = choice.draw(JSON)
    return value


# -- traces --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trace_bytes(tiny, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "run.trace"
    tiny.trace(1, 5, capture="blocks").save(path)
    return path.read_bytes()


def refused_or_sound(raw: bytes) -> bool:
    """Whether the bytes were read; then everything a page shows of a trace can be had."""
    try:
        trace = Trace.load(raw)
    except ValueError:
        return False
    assert isinstance(trace, Trace) and isinstance(trace.settings, dict)
    assert trace.image.ndim == 4 and math.isfinite(trace.seconds)
    assert [step.token_ids.shape for step in trace.steps] == [(len(trace.image), step.side**2) for step in trace.steps]
    return True


@fuzz
@given(EDITS, st.booleans())
def test_mutated_traces(trace_bytes, edits, in_header):
    header = 8 + int.from_bytes(trace_bytes[:8], "little")
    refused_or_sound(mutated(trace_bytes, edits, header if in_header else len(trace_bytes)))


@fuzz
@given(st.data())
def test_traces_with_one_changed_letter_in_the_header(trace_bytes, choice):
    """The header stays readable JSON more often than under the edits above, so later checks are reached."""
    header = 8 + int.from_bytes(trace_bytes[:8], "little")
    places = [i for i in range(8, header) if chr(trace_bytes[i]) in string.digits + string.ascii_letters]
    at = choice.draw(st.sampled_from(places))
    letters = string.digits if chr(trace_bytes[at]).isdigit() else string.ascii_letters
    letter = choice.draw(st.sampled_from(letters)).encode()
    refused_or_sound(trace_bytes[:at] + letter + trace_bytes[at + 1 :])


@fuzz
@given(st.data())
def test_traces_with_random_entries(trace_bytes, choice):
    header = 8 + int.from_bytes(trace_bytes[:8], "little")
    meta = json.loads(trace_bytes[8:header])["__metadata__"]
    name = choice.draw(st.sampled_from(["steps", "settings"]))
    meta[name] = json.dumps(with_random_entries(choice, json.loads(meta[name])))
    refused_or_sound(save(load(trace_bytes), metadata=meta))


# -- configurations ------------------------------------------------------------------------------------------------


def test_whole_numbers_written_as_floats(tiny):
    config = json.loads(json.dumps(tiny.config.to_dict()))
    for part in ("tokenizer", "transformer", "sampling"):
        whole = {name: float(value) for name, value in config[part].items() if type(value) is int}
        try:
            read = ModelConfig.from_dict(config | {part: config[part] | whole})
        except ValueError:
            continue
        assert Model.build(read).num_parameters() == tiny.num_parameters()
        assert all(
            type(getattr(getattr(read, part), name)) is type(value) for name, value in config[part].items() if name in whole
        )


@fuzz
@given(st.data())
def test_configs_with_random_entries(tiny, choice):
    try:
        read = ModelConfig.from_dict(with_random_entries(choice, tiny.config.to_dict()))
    except ValueError:
        return
    assert isinstance(read, ModelConfig)
    for part in (read.tokenizer, read.transformer, read.sampling):  # 2.0 for a depth would break the building of a model
        wrong = {
            f.name: getattr(part, f.name) for f in fields(part) if f.type == "int" and type(getattr(part, f.name)) is not int
        }
        assert not wrong
    assert ModelConfig.from_dict(json.loads(json.dumps(read.to_dict()))) == read


@fuzz
@given(JSON)
def test_configs_of_random_json(value):
    with pytest.raises(ValueError):
        ModelConfig.from_dict(value)


OBJECTS = st.sampled_from(
    [b"1", Decimal("0.5"), Decimal("sNaN"), Fraction(1, 2), 1j, np.float32(0.5), np.int64(3), np.bool_(True), np.zeros(2), np.nan]
    + [torch.tensor(1), torch.ones(2), object(), int, print, range(3), {1}, 10**5000, -(10**5000), Fraction(10**500, 3), math.inf]
)


@fuzz
@example({"temperature": Fraction(1, 2)})
@example({"guidance": Fraction(1, 2), "top_k": 3.0})
@example({"temperature": np.float32(0.5), "top_k": np.int64(3)})
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("guidance", "temperature", "top_k", "top_p"), JSON | OBJECTS)))
def test_sampling_of_arbitrary_objects(tiny, arguments):
    try:
        s = Sampling(**arguments)
    except ValueError:
        return
    assert s.guidance >= 0 and 0 < s.temperature <= 10 and s.top_k >= 0 and 0 <= s.top_p <= 1
    trace = tiny.trace(0, 0, s)  # what was accepted can be drawn with and written down
    assert trace.image.isfinite().all() and json.dumps(trace.settings)


# -- pictures ------------------------------------------------------------------------------------------------------


def picture(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 9, 3), np.uint8)
    image, out = Image.fromarray(pixels), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "description"  # orientation, text
    exif.get_ifd(0x8769)[0x9003] = "2024:01:01 00:00:00"
    if kind == "palette":
        image.quantize(8).save(out, "PNG", transparency=1)
    else:
        image.save(out, kind, exif=exif, dpi=(72, 72))
    return out.getvalue()


PICTURES = {kind: picture(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "palette")}


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damaged metadata
@pytest.mark.parametrize("kind", PICTURES)
@fuzz
@given(edits=EDITS, in_header=st.booleans(), channels=st.sampled_from([1, 3]))
def test_mutated_pictures(tmp_path_factory, kind, edits, in_header, channels):
    path = tmp_path_factory.getbasetemp() / f"fuzz-{kind}"
    path.write_bytes(mutated(PICTURES[kind], edits, 200 if in_header else len(PICTURES[kind])))
    try:
        image = load_image(path, 8, channels)
    except ValueError:
        return
    assert image.shape == (channels, 8, 8) and image.dtype == torch.uint8


def test_the_whole_pictures_are_readable(tmp_path):
    for kind, raw in PICTURES.items():
        (tmp_path / kind).write_bytes(raw)
        assert load_image(tmp_path / kind, 8, 3).shape == (3, 8, 8)


# -- the command line ----------------------------------------------------------------------------------------------

NUMBERS = st.integers(-3, 30).map(str) | st.floats().map(str) | st.sampled_from(["9" * 5000, "1e999", "1_0", "٣", "0x1", " 2 "])
ARGUMENTS = st.text(st.characters(), max_size=12) | NUMBERS | st.sampled_from(["bee", "COW", "--help", "-1", "--", ""])


@fuzz
@example({"class": "--"})  # argparse takes it for its separator and stores an empty list
@example({"seed": "--"})
@example({"top-k": "--", "guidance": "--"})
@given(st.dictionaries(st.sampled_from(["class", "seed", "guidance", "top-k"]), ARGUMENTS, min_size=1))
def test_the_command_line_with_any_text(tiny_folder, arguments):
    given_texts = [f"--{name}={text}" for name, text in arguments.items()]
    try:
        assert main(["generate", f"--model={tiny_folder}", *given_texts]) in (0, 2)
    except SystemExit as stop:  # argparse's own refusal
        assert stop.code == 2
