# %% [markdown]
# # 14. Three at once, series, and loops
#
# Three papers from the neighbourhood of VAR, each with a sharp sentence about attention, and each with a trap:
# attention to *pairs* of tokens ([2310.04064](https://arxiv.org/abs/2310.04064)), attention that *forecasts a series*
# badly ([2412.06061](https://arxiv.org/abs/2412.06061)), and networks that run in a *loop*
# ([2410.11279](https://arxiv.org/abs/2410.11279)).
#
# After it you can say
#
# - what attention to pairs computes, what it costs, and why it can be fast where entries are small,
# - what one head can never forecast, and why more heads can,
# - how $2^d$ memories fit in $d$ numbers, and how much disturbance they bear,
# - what an experiment did *not* show, and why that belongs into the report.
#
# Time: 65 minutes with the exercises, 20 without. Before each output marked **Guess** write down an answer of your own.

# %%
import json
import math

import numpy as np
import torch

from var_mini import checks
from var_mini.checkpoints import ASSETS
from var_mini.theory import fixed_points, forecasting, tensor_attention
from var_mini.view.plates import new_figure, shown


def stored(name):
    return json.loads((ASSETS / "results" / f"limits-{name}.json").read_text())


# %% [markdown]
# ## Three at once
#
# In ordinary attention a query looks at one key at a time. Let it look at pairs: for the query of token $i$ the logit of
# the pair $(j, k)$ is $\frac1d \sum_a q_{ia}\, k^1_{ja}\, k^2_{ka}$, its value $v^1_j * v^2_k$ (entry by entry), and each
# query's softmax runs over all $n^2$ pairs.

# %% [markdown]
# {{exercise pair_attention}}


# %% tags=["exercise"]
def pair_attention(q, k1, k2, v1, v2):
    """Attention to pairs of keys.

    q, k1, k2, v1, v2   (n, d)
    returns             (n, d)
    """
    ### BEGIN SOLUTION
    d = q.shape[1]
    K = (k1.unsqueeze(1) * k2.unsqueeze(0)).flatten(0, 1)  # (n n, d), row j n + k
    V = (v1.unsqueeze(1) * v2.unsqueeze(0)).flatten(0, 1)
    return (q @ K.T / d).softmax(dim=-1) @ V
    ### END SOLUTION


checks.pair_attention(pair_attention)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Make a table of all $n^2$ products of a first and a second key, and treat it as $n^2$ ordinary keys.
#
# </details>
#
# {{help pair_attention}}
#
# That is $n^3$ numbers. But as in lesson 5 a polynomial takes it apart: in a monomial of $q * k^1 * k^2$ every factor
# belongs to one token, so the sums over $j$ and over $k$ are two separate sums.
#
# **Guess:** entries within 1, degree 4, $d=4$: how large is the error? And with entries within 3?

# %%
pairs = checks.use("pair_attention")
for bound in (1.0, 2.0, 3.0):
    given = tensor_attention.random_inputs(24, 4, bound)
    exact = pairs(*given)
    errors = [(tensor_attention.features(*given, degree=g) - exact).abs().max().item() for g in (2, 4, 6)]
    print(f"entries within {bound:g}: " + ", ".join(f"degree {g}: {e:.0e}" for g, e in zip((2, 4, 6), errors)))
found = stored("tensor_attention")
for key, label in (("exact", "all triples"), ("features", "degree 4")):
    print(f"{label}: time ~ n^{found[key]['last']:.2f} for n = {found[key]['sizes'][0]:,} to {found[key]['sizes'][-1]:,}")

# %% [markdown]
# The paper, for $d = O(\log n)$: with entries $o((\log n)^{1/3})$ the cost is $n^{1+o(1)}$, and to every $\delta > 0$ there is
# a $C$ such that with entries up to $C (\log n)^{1/3}$ no $n^{3-\delta}$ is possible, unless SETH fails. (Order three,
# so a third: the logit is a product of three entries.)
#
# What are pairs good for? A task whose answer no *two* tokens show:

# %% [markdown]
# {{exercise match3}}
#
# $j$ and $k$ may be any places, also $i$ itself and each other.


# %% tags=["exercise"]
def match3(x, modulus):
    """For each i whether there are j and k with x_i + x_j + x_k = 0 modulo M.

    x        int64 (n,)
    modulus  M
    returns  bool (n,)
    """
    ### BEGIN SOLUTION
    sums = x[:, None, None] + x[None, :, None] + x[None, None, :]
    return (sums % modulus == 0).flatten(1).any(dim=1)
    ### END SOLUTION


checks.match3(match3)

# %% [markdown]
# {{help match3}}
#
# One head of attention to pairs with $d = 4$ solves it without any training: $\cos(a+b+c)$ is a sum of four products of
# one factor each of $a$, $b$ and $c$, largest where the sum is a multiple of a full turn.
#
# **Guess:** how large must the entries be, so that the true matches outweigh all the other pairs?

# %%
x = np.random.default_rng(0).integers(0, 31, 8)
beta = tensor_attention.sharp_beta(8, 31)
truth = checks.use("match3")(torch.from_numpy(x), 31).numpy()
for share in (1.0, 0.25, 0.1):
    said = tensor_attention.constructed_match3(x, 31, share * beta)
    print(f"entries {tensor_attention.largest_entry(share * beta):.1f}: {(said == truth).mean():.0%} right on one sequence")
assert (tensor_attention.constructed_match3(x, 31, beta) == truth).all()
for row in found["constructed"]:
    print(
        f"n = {row['n']:2}, M = {row['modulus']:3}, entries {row['entries']:4.1f}: accuracy {row['accuracy']:.3f} "
        f"(always the same answer: {row['majority']:.3f})"
    )
learned = found["learned"]
told = ", ".join(f"{kind} {learned[kind]:.2f}" for kind in ("tensor", "pairwise", "majority"))
print(f"trained, one seed: {told}")

# %% [markdown]
# The entries that it is given grow with $M$ above all, as $M^{2/3}$, but as $(\log n)^{1/3}$ even where $M$ is fixed:
# just the order at which the paper's fast algorithm ends. Is this head hard, then? No: the lower bound asks for $d$ of order
# $\log n$ as well. Here $d = 4$, and a polynomial of degree $O(\log n)$ in four numbers has only polylog$(n)$ terms.
#
# That the head with single keys learned nothing is *no proof* that it cannot (lesson 12); that is another theorem, by
# counting the bits that must be exchanged.
#
# ## A series and its changes of sign
#
# A head forecasts the next value of a series as $v$ times a weighted average of a window (the weights of a softmax). What
# can it never say?

# %% [markdown]
# {{exercise hull_bounds}}


# %% tags=["exercise"]
def hull_bounds(windows, value):
    """The least and the largest forecast of one head, whatever its attention weights are.

    windows  (count, L)
    value    v, a number: the forecast is v times a weighted average of the window
    returns  (count, 2): least and largest possible forecast
    """
    ### BEGIN SOLUTION
    scaled = value * windows
    return torch.stack([scaled.amin(dim=1), scaled.amax(dim=1)], dim=1)
    ### END SOLUTION


checks.hull_bounds(hull_bounds)

# %% [markdown]
# {{help hull_bounds}}
#
# A sine comes down through zero: the window is positive, the next value negative. With $v > 0$ every forecast of a head
# is positive.
#
# **Guess:** trained where the next value keeps the sign of the last one, tested where it changes: which of these
# get the sign right? Persistence, a linear model, one head, two heads, an ordinary block of four heads with positions.

# %%
windows, following = forecasting.windows(500, True)
bounds = checks.use("hull_bounds")(torch.from_numpy(windows), 1.0).numpy()
inside = (bounds[:, 0] <= following) & (following <= bounds[:, 1])
print(f"next value within reach of a head with v = 1: {inside.mean():.0%}")
assert not inside.any()
series = stored("forecasting")
rows = {"persistence": [series["persistence"]], "linear residual model": [series["linear_residual"]], **series["trained"]}
for name, runs in rows.items():
    print(f"{name:32} right signs: " + ", ".join(f"{run['sign_accuracy']:.2f}" for run in runs))

# %% [markdown]
# The paper says that attention in a certain regime does not learn the residual feature and fails at changes of sign,
# where a linear residual model succeeds. **The natural test, the block of four heads, does not show that: it forecasts
# the changes well.** We ran it first. The other rows were built afterwards, to find out what a failure needs. One head
# with $v > 0$ must fail, and you have just proved it. Two heads already escape: with the values $2\cos\omega$ and $-1$,
# sharp on the last and the last but one value, they are exact, for a sine obeys
# $x_{t+1} = 2 \cos\omega\, x_t - x_{t-1}$.
#
# And the frozen heads, whose signs are all right in three runs of four? Look at their error on the windows that they
# were trained on:

# %%
for name, runs in series["trained"].items():
    print(f"{name:32} error in training: " + ", ".join(f"{run['train_nmse']:.1e}" for run in runs))

# %% [markdown]
# An error near 1 or above, as in these three, is that of saying 0, or worse: nothing was learned, their sum of values
# happens to be negative, and a forecast that is always of the other sign is right exactly at the changes. The fourth
# learned a little, and has fewer signs right. **One number can call a failure a success.** The paper's own model was
# not reproduced here, and the hull is our lemma, not its proof.
#
# ## Loops
#
# Run $x \leftarrow p(x)$ with $p(x) = \tfrac32 x - \tfrac12 x^3$. It ends at $+1$ or $-1$, whichever side it began on.
# In $d$ independent coordinates that makes $2^d$ end points: $d$ switches.

# %%
for d in (1, 2, 4, 6):
    ends = fixed_points.found_attractors(fixed_points.CUBIC, d)
    print(f"d = {d}: {len(ends)} end points from {fixed_points.starts_for(d)} random starts")
    assert len(ends) == 2**d

# %% [markdown]
# How much disturbance does a switch bear? Between $0$ and $1$ a step gains $p(x) - x$; an error towards the middle in every
# step that is larger than the largest gain, the *radius*, carries the orbit past it.

# %% [markdown]
# {{exercise step_radius}}
#
# For $p(x) = a x - (a - 1) x^3$ with $1 < a < 2$, so that $p(1) = 1$: what is the largest $p(x) - x$ on $[0, 1]$?


# %% tags=["exercise"]
def step_radius(a):
    """The largest p(x) - x on [0, 1] for p(x) = a x - (a - 1) x^3.

    a        between 1 and 2
    returns  a number
    """
    ### BEGIN SOLUTION
    x = 1 / math.sqrt(3)  # where the derivative (a - 1) (1 - 3 x^2) is zero
    return (a - 1) * (x - x**3)
    ### END SOLUTION


checks.step_radius(step_radius)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $p(x) - x = (a - 1)(x - x^3)$. Where is its derivative zero?
#
# </details>
#
# {{help step_radius}}
#
# **Guess:** with $a = 1.5$ the radius is 0.192. Does an orbit survive *random* errors of up to 0.3 in every step?

# %%
radius = checks.use("step_radius")(1.5)
against = {eps: fixed_points.adversarial_orbit(eps) for eps in (0.19, 0.2)}
print(f"radius {radius:.5f}; errors always against it: " + ", ".join(f"{e}: ends at {x:.2f}" for e, x in against.items()))
loops = stored("fixed_points")
for row in loops["noise"]:
    print(f"random errors up to {row['eps']:g}: {row['escaped']:.2%} of the orbits change sides within 400 steps")
figure = new_figure(6.4, 2.6)
axis = figure.subplots()
strengths = [row["strength"] for row in loops["coupling"]]
for seed in range(3):
    axis.plot(strengths, [row["found"][seed] for row in loops["coupling"]], "o-", color="#0072b2", markersize=4)
axis.axvline(radius, color="#d55e00", linestyle=":", label="1/(3 sqrt 3)")
axis.set_xlabel("coupling c", fontsize=8)
axis.set_ylabel("end points, d = 8", fontsize=8)
axis.legend(fontsize=8)
shown(figure, "end points against coupling for three random matrices: 256 up to the dotted line, fewer beyond it")

# %% [markdown]
# The worst case and the average are far apart: errors that always push inwards win just above the radius, random ones
# need about twice as much. And the count of $2^d$ is pure product structure: couple the coordinates,
# $x \leftarrow p(x + c A x)$ with a random matrix $A$ whose rows have absolute sum 1, and for $c$ beyond the radius end
# points are lost. "A network of $d$ numbers has $2^d$ memories" is true and says less than it sounds.
#
# ## Three sentences
#
# - Attention to pairs costs $n^3$, and almost $n$ where entries are small: the same threshold with another root.
# - One head stays in the hull of its values, two heads leave it; the natural test did not show what the paper's regime shows.
# - Loops remember in switches; what they bear depends on whether the disturbance is malicious or random.
