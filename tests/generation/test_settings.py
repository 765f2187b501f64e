"""What a run depends on, as JSON values and back."""

import json
from dataclasses import replace

import pytest

from var_mini.attention import AttentionSpec
from var_mini.generation import RunSettings, Sampling, labels_and_seeds


@pytest.mark.parametrize("value", [-1, 2**32, 10**30, 1.5, float("nan"), "0", None, True])
def test_bad_seed(value):
    with pytest.raises(ValueError, match=r"seed = .* must be a whole number from 0 to 4294967295"):
        labels_and_seeds(0, [value], 3)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"label": (0, 2), "seed": (5, 2**32 - 1), "dtype": "bfloat16"},
        {"sampling": Sampling(2.5, 0.7, 9, 0.8), "attention": AttentionSpec("poly", 4, calibrated=True)},
    ],
)
def test_settings_come_back_from_json_as_they_were(tiny, change):
    settings = replace(RunSettings("tiny", 1, 7, Sampling()), **change)
    assert RunSettings.from_dict(json.loads(json.dumps(settings.to_dict())), tiny.config) == settings


def test_a_trace_holds_the_settings_of_its_run(tiny):
    sampling = Sampling(2.0, 0.9, 5, 0.8)
    wanted = RunSettings("tiny", (1, 2), (7, 7), sampling, AttentionSpec("poly"))
    assert tiny.trace([1, 2], 7, sampling, "poly-2").settings == wanted.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, "class = 3: must be a whole number from 0 to 2"),
        ({"label": [0, 3]}, "class = 3"),
        ({"label": []}, r"class = \[\]"),
        ({"seed": None}, "seed = None"),
        ({"guidance": "1"}, "guidance = '1'"),
        ({"attention": "fast"}, "attention = 'fast'"),
        ({"style": 0}, "style = 0: tiny has no styles"),
        ({"dtype": "int8"}, "dtype = 'int8': must be one of bfloat16, float16, float32"),
    ],
)
def test_settings_out_of_range_are_named(tiny, change, message):
    with pytest.raises(ValueError, match=message):
        RunSettings.from_dict(RunSettings("tiny", 1, 7, Sampling()).to_dict() | change, tiny.config)
    with pytest.raises(ValueError, match=r"settings = \[\]: must be a JSON object"):
        RunSettings.from_dict([], tiny.config)
