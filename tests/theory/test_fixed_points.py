"""Attracting points against enumeration, Newton-free algebra and closed forms."""

import math
from itertools import product

import numpy as np
import pytest

from var_mini.theory import fixed_points as fp


def test_fixed_points_of_the_cubic_and_their_slopes_in_closed_form():
    """1.5 x - 0.5 x^3 = x at 0 and at +-1; the derivative 1.5 (1 - x^2) is 1.5 and 0 there."""
    found = fp.CUBIC.fixed_points()
    assert np.allclose(found, [(-1, 0), (0, 1.5), (1, 0)], atol=1e-6)


def test_the_double_exponential_has_two_attracting_points_and_one_that_repels():
    for x, slope in fp.DOUBLE_EXPONENTIAL.fixed_points():
        inner = 8 * math.exp(-5 * x)
        assert math.exp(-inner) == pytest.approx(x, abs=1e-9) and slope == pytest.approx(5 * inner * x, rel=1e-4)
    assert [abs(slope) < 1 for _, slope in fp.DOUBLE_EXPONENTIAL.fixed_points()] == [True, False, True]


@pytest.mark.parametrize("name", fp.ACTIVATIONS)
@pytest.mark.parametrize("d", [1, 3, 6])
def test_random_starts_find_the_two_to_the_d_settings_and_nothing_else(name, d):
    activation = fp.ACTIVATIONS[name]
    stable = [x for x, slope in activation.fixed_points() if abs(slope) < 1]
    wanted = {tuple(np.round(point, 4) + 0.0) for point in product(stable, repeat=d)}
    assert {tuple(row) for row in fp.found_attractors(activation, d).tolist()} == wanted and len(wanted) == 2**d
    assert {tuple(np.round(row, 4) + 0.0) for row in fp.explicit_attractors(activation, d)} == wanted


def test_a_rotation_hides_the_product_but_not_the_count():
    found = fp.found_attractors(fp.CUBIC, 4, rotated=True)
    assert len(found) == 16 and np.allclose(np.linalg.norm(found, axis=1), 2, atol=1e-3)  # corners of a turned cube
    assert np.abs(np.abs(found) - 1).max() > 0.1


def test_the_radius_is_the_largest_step_towards_the_attracting_point():
    grid = np.linspace(0, 1, 100_001)
    assert pytest.approx((0.5 * grid - 0.5 * grid**3).max(), abs=1e-9) == fp.RADIUS
    assert fp.CUBIC.radius() == pytest.approx(1 / (3 * math.sqrt(3)), abs=1e-6)


def test_an_orbit_stays_below_the_radius_and_escapes_above():
    assert fp.adversarial_orbit(0.1) == pytest.approx(0.8789, abs=1e-4)  # where 0.5 (x - x^3) = 0.1
    assert fp.adversarial_orbit(fp.RADIUS - 0.001) > 0.5 and fp.adversarial_orbit(fp.RADIUS + 0.001, steps=2000) < 0
    assert fp.noisy_escapes(0.19, runs=2000) == 0 and fp.noisy_escapes(0.4, runs=2000) > 0.2


def test_coupling_below_the_radius_keeps_every_orthant_whatever_the_matrix():
    assert [fp.coupled_attractors(0.15, d=4, seed=seed) for seed in range(5)] == [16] * 5
    assert max(fp.coupled_attractors(0.6, d=4, seed=seed) for seed in range(5)) < 16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fp.found_attractors(fp.CUBIC, 0), "d = 0: must be a whole number from 1 to 14"),
        (lambda: fp.found_attractors(fp.CUBIC, 15), "d = 15"),
        (lambda: fp.found_attractors(fp.CUBIC, 14, starts=1 << 24), "the table of orbits has 16,777,216 x 14 numbers, 1.9 GB"),
        (lambda: fp.adversarial_orbit(-1), "eps = -1"),
        (lambda: fp.coupled_attractors(math.nan), "strength = nan"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
