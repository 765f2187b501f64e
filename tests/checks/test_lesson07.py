"""Wrong solutions of lesson 7, as students write them, and what the checks say about them; oracles against the library."""

import pytest

from tests.checks.students import told
from var_mini.attention.polynomial import PolyState
from var_mini.checks.lesson07 import _program
from var_mini.checks.pieces import array
from var_mini.cost.complexity import rank


def intensity_macs(tokens, head_dim, on_chip):
    d1 = head_dim + 1
    features = 0 if on_chip else 4 * tokens * d1**2
    return tokens * d1**3 / (4 * tokens * head_dim + 4 * d1**3 + features)


def intensity_of_one_way(tokens, head_dim, on_chip):
    d1 = head_dim + 1
    features = 0 if on_chip else 2 * tokens * d1**2
    return 2 * tokens * d1**3 / (4 * tokens * head_dim + 4 * d1**3 + features)


def intensity_never_stored(tokens, head_dim, on_chip):
    d1 = head_dim + 1
    return 2 * tokens * d1**3 / (4 * tokens * head_dim + 4 * d1**3)


def intensity_rounded(tokens, head_dim, on_chip):
    return int(intensity_never_stored(tokens, head_dim, on_chip))


def time_added(flops, nbytes, peak, bandwidth):
    compute, memory = flops / peak, nbytes / bandwidth
    return compute + memory, "memory" if memory >= compute else "compute"


def time_of_the_shorter(flops, nbytes, peak, bandwidth):
    times = {"compute": flops / peak, "memory": nbytes / bandwidth}
    return min(times.values()), max(times, key=times.get)


def time_without_name(flops, nbytes, peak, bandwidth):
    return max(flops / peak, nbytes / bandwidth)


def bytes_without_padding(head_dim, tile):
    width = head_dim + 1
    return 4 * (width**2 + 3 * tile * width)


def bytes_of_the_whole_state(head_dim, tile):
    width = max(16, 1 << head_dim.bit_length())
    return 4 * ((head_dim + 1) * width**2 + 3 * tile * width)


def bytes_in_half_precision(head_dim, tile):
    width = max(16, 1 << head_dim.bit_length())
    return 2 * (width**2 + 3 * tile * width)


WRONG = [
    ("arithmetic_intensity", intensity_macs, "counts a multiplication and the addition after it as one operation"),
    ("arithmetic_intensity", intensity_of_one_way, "moves the features only one way"),
    ("arithmetic_intensity", intensity_never_stored, "leaves the features out although they go through memory"),
    ("arithmetic_intensity", intensity_rounded, "the result is 18, expected 18.7977"),
    ("roofline_time", time_added, "adds the two times"),
    ("roofline_time", time_of_the_shorter, "takes the shorter of the two times"),
    ("roofline_time", time_without_name, "must be"),
    ("program_bytes", bytes_without_padding, "does not pad the width"),
    ("program_bytes", bytes_of_the_whole_state, "keeps the whole state on the chip"),
    ("program_bytes", bytes_in_half_precision, "counts two bytes per number"),
]


@pytest.mark.parametrize("name, function, message", WRONG, ids=[function.__name__ for _, function, _ in WRONG])
def test_a_wrong_solution_is_caught(name, function, message):
    assert message in told(name, function)


def test_the_padding_is_that_of_the_kernels():
    fused = pytest.importorskip("var_mini.attention.fused")
    for head_dim in (8, 16, 32, 64):
        P = fused.padded(head_dim + 1)
        assert _program(head_dim, 64) == 4 * (P * P + 3 * 64 * P)


def test_the_kernels_square_holds_the_state_of_plain_torch():
    """The (d + 1)^2 outer products are the C(d + 2, 2) monomials with each mixed one twice."""
    import torch

    d, s = 5, torch.tensor([1.7])
    k, v, q = (torch.nn.functional.normalize(torch.randn(1, 1, 9, d, dtype=torch.float64), dim=-1) for _ in range(3))
    with torch.no_grad():
        state = PolyState(1, s.double(), d, 9, 2, None, False)
        state.extend(k, v)
        wanted = state.attend(q)
    assert state.rank == rank(d, 2) == (d + 1) * (d + 2) // 2
    ones = torch.ones(1, 1, 9, 1, dtype=torch.float64)
    kk, qq = (torch.cat([x * s.sqrt(), ones], -1) for x in (k, q))
    table = torch.einsum("bhna,bhnc,bhne->bhace", kk, kk, torch.cat([v, ones], -1))
    sums = 0.5 * (torch.einsum("bhna,bhnc,bhace->bhne", qq, qq, table) + table[:, :, d, d].unsqueeze(2))
    assert abs(array(sums[..., :-1] / sums[..., -1:] - wanted)).max() < 1e-7
