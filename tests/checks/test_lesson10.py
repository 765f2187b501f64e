"""Wrong solutions of lesson 10, as students write them, and what the checks say about them; oracles against the library."""

import numpy as np
import pytest
import torch

from tests.checks.students import told
from var_mini.checkpoints import official_config
from var_mini.checks import find
from var_mini.checks.judging import expected_of
from var_mini.model import Model
from var_mini.pyramid import ScalePyramid
from var_mini.tokenizer.quantizer import phi_index


def phi_in_equal_shares(num_scales):
    return [4 * k // num_scales for k in range(num_scales)]


def phi_with_outer_ticks(num_scales):
    return [int(np.abs(np.linspace(0, 1, 4) - k / (num_scales - 1)).argmin()) for k in range(num_scales)]


def phi_by_rounding(num_scales):
    """Python rounds halves to even, so it breaks ties in its own way."""
    return [min(3, max(0, round((k / (num_scales - 1) - 1 / 12) * 18 / 5))) for k in range(num_scales)]


def parameters_without_null_class(depth):
    return _of(depth) - 64 * depth


def parameters_with_key_bias(depth):
    return _of(depth) + depth * 64 * depth


def parameters_of_the_width_of_d16(depth):
    return 16 * depth // 16 * (_of(16) - _rest(16)) // 16 + _rest(16) + depth * (depth - 16)


def _rest(depth):
    """All that is not in the blocks, from the rule that everything else grows with the number of blocks."""
    C = 64 * depth
    return C * (1 + 680 + 32 + 1 + 1001 + 10) + 2 * C * C + 2 * C + 4096 * C + 4096


def _of(depth):
    C = 64 * depth
    block = depth + 2 * C + 3 * C * C + C * C + C + 8 * C * C + 5 * C + 6 * C * C + 6 * C
    return depth * block + _rest(depth)


WRONG = [
    ("phi_of_scale", phi_in_equal_shares, "gives each convolution the same number of scales"),
    ("phi_of_scale", phi_with_outer_ticks, "spreads the ticks from 0 to 1"),
    ("phi_of_scale", phi_by_rounding, "expected"),
    ("count_parameters", parameters_without_null_class, "forgets the null class"),
    ("count_parameters", parameters_with_key_bias, "counts a bias for the keys"),
    ("count_parameters", parameters_of_the_width_of_d16, "takes the width of VAR-d16 for every depth"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_oracles_agree_with_the_library():
    for seed in range(5):
        for args in find("phi_of_scale").inputs(seed):
            assert expected_of(find("phi_of_scale"), args) == phi_index(ScalePyramid(tuple(range(1, args["num_scales"] + 1))), 4)
    oracle = find("count_parameters").oracle
    for name, depth in (("var_d16", 16), ("var_d20", 20), ("var_d30", 30)):
        with torch.device("meta"):
            transformer = Model.build(official_config(name)).transformer
        assert oracle(depth) == sum(p.numel() for p in transformer.parameters())
    assert oracle(16) == 310_283_520
