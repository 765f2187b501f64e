# %% [markdown]
# # 6. When may it be fast?
#
# Lesson 5 replaced the exponential by a polynomial, and the work fell from $n^4$ to $n^2$. Is that always allowed?
# No: it rests on logits that are *small*. This lesson asks how small, and small against what. It follows two papers,
# [arXiv 2501.04377](https://arxiv.org/abs/2501.04377) on VAR and [arXiv 2302.13214](https://arxiv.org/abs/2302.13214)
# on attention in general, and computes what they mean at sizes that anybody will ever run.
#
# After it you can say
#
# - which two quantities decide, and what they are compared with,
# - why the papers' $\sqrt{\log n}$ and our $s$ must not be compared as they stand,
# - which degree and how many features a bound on the logits asks for,
# - what "no faster algorithm unless SETH fails" says, and what it does not,
# - why a state of constant size must forget something.
#
# Time: 60 minutes with the exercises, 20 without. The cells together take a few seconds on an idle machine.

# %%
import json
import math

import torch
import torch.nn.functional as F
from scipy.optimize import brentq

from var_mini import checks, load
from var_mini.attention import new_state
from var_mini.checkpoints import ASSETS, official_config
from var_mini.cost.complexity import REGIMES, chebyshev_degree, paper_rank, rank, scale_over_log, taylor_degree
from var_mini.cost.complexity import break_even_tokens as model_break_even
from var_mini.cost.complexity import rank_exponent as library_exponent
from var_mini.cost.ladder import official_like
from var_mini.cost.peers import exact_attention
from var_mini.view.plates import new_figure, shown

torch.manual_seed(0)

# %% [markdown]
# ## What the papers say
#
# Let the last map have side $n$, so that there are about $n^2$ tokens. Exact VAR takes $O(n^4)$ operations. Two
# statements, in their authors' units:
#
# - **Fast.** If the head dimension is $d = O(\log n)$ and the entries of queries, keys and values are bounded by
#   $R=o(\sqrt{\log n})$, then VAR can be computed in $O(n^{2 + o(1)})$ operations with an error of
#   $1/\mathrm{poly}(n)$, by replacing attention with a low-rank approximation.
# - **Not fast.** For every $\delta > 0$ there is a constant $C$, *which depends on* $\delta$, such that for
#   $R = C \sqrt{\log n}$ no algorithm takes $O(n^{4-\delta})$ operations, unless a hypothesis (SETH) is false
#   that was widely believed when the paper was written, and is in doubt now (see "What SETH says").
#
# Mind the order: first $\delta$ is chosen, then $C$. It is *not* said that one constant rules out every $\delta$ at
# once. With a small constant something between $n^2$ and $n^4$ may be possible, and further below we shall compute
# such exponents.
#
# Both are statements about $n \to \infty$. "$o(\sqrt{\log n})$" means: divided by $\sqrt{\log n}$ it goes to zero. At
# one fixed $n$ that says *nothing*. What we can do is compute what the construction costs at a given $n$, $d$ and
# bound, and look at the trend.
#
# ## A trap: entries are not logits
#
# The papers bound the **entries**: each coordinate of $q$ and $k$ is at most $R$ in size. A logit in arXiv 2302.13214
# is the dot product divided by $d$, so it is at most $d R \cdot R / d = R^2$. So $R = o(\sqrt{\log n})$ makes the
# logit $o(\log n)$.
#
# In VAR, $q$ and $k$ are unit vectors and the logit is $s\, q \cdot k$ with a learned scale $s$. So $s$ bounds the
# **logit**, and it takes the place of $R^2$, not of $R$. In terms of $s$ the threshold reads
#
# $$s = o(\log n), \quad \text{not } s = o(\sqrt{\log n}).$$
#
# Since $N \approx 2.3\, n^2$, $\ln N$ and $\ln n$ differ by about a factor of two, which $o(\cdot)$ does not see; we
# compare with $\ln N$.

# %%
bounds = {}
for name in ("fashion-28-bounded", "fashion-28"):
    one = load(name)
    largest = max(block.attn.logit_scale().max().item() for block in one.transformer.blocks)
    bounds[name] = largest, one.config.transformer.head_dim, one.config.pyramid.tokens
bounds["VAR at its start (256 px)"] = 4.0, 64, official_like(16).tokens
print("                            s      d     N    ln N   s / ln N")
for name, (s, d, tokens) in bounds.items():
    print(f"{name:25} {s:5.1f} {d:5} {tokens:6} {math.log(tokens):6.1f} {scale_over_log(s, tokens):8.2f}")
for side in (16, 32, 64):
    print(f"side {side}: N = {official_like(side).tokens:,}, ln N = {math.log(official_like(side).tokens):.1f}")

# %% [markdown]
# A logarithm hardly moves: from 680 to 9,451 tokens it goes from 6.5 to 9.2. As a rule of thumb, "small against
# $\ln{N}$" means a number like 1 or 2 at any size that we shall see. VAR's scale starts at 4 and may grow;
# `fashion-28` let it grow to 11.6; `fashion-28-bounded` was trained with a cap of 2.
#
# ## Which degree?
#
# The further the logits reach, the more terms the polynomial needs. At $|t| \le B$ Taylor's polynomial of degree $g$
# is worst at $t = B$, where it leaves out $\sum_{j > g} B^j / j!$.

# %% [markdown]
# {{exercise degree_for_bound}}
#
# Find the least degree whose polynomial is good enough. The error is measured against the largest weight, $e^B$:
#
# $$\sum_{j > g} \frac{B^j}{j!} \;\le\; \text{error} \cdot e^B .$$


# %% tags=["exercise"]
def degree_for_bound(bound, error):
    """Least degree g whose Taylor polynomial is within error * exp(bound) of exp on [-bound, bound].

    bound    number above 0
    error    number between 0 and 1
    returns  a whole number
    """
    ### BEGIN SOLUTION
    allowed = (1 - error) * math.exp(bound)  # what the terms up to g must add up to at least
    degree, term, kept = 0, 1.0, 1.0
    while kept < allowed:
        degree += 1
        term *= bound / degree  # bound^degree / degree!
        kept += term
    return degree
    ### END SOLUTION


checks.degree_for_bound(degree_for_bound)

# %% [markdown]
# <details><summary>Hint</summary>
#
# All terms together are $e^B$. So what is left out is $e^B$ minus what is kept. Add terms until little enough is
# missing; each is the one before times $B / j$.
#
# </details>
#
# {{help degree_for_bound}}

# %%
degree_of = checks.use("degree_for_bound")
grid = [0.5 * i for i in range(1, 33)]
figure = new_figure(6.4, 2.8)
axis = figure.subplots()
for error, colour in ((1e-1, "#56b4e9"), (1e-2, "#0072b2"), (1e-4, "#00456b")):
    axis.step(grid, [degree_of(s, error) for s in grid], color=colour, where="mid", label=f"Taylor, error {error:g}")
    axis.step(grid, [chebyshev_degree(s, error) for s in grid], color=colour, where="mid", linestyle=":", label="Chebyshev")
axis.set_xlabel("bound s on the logit", fontsize=8)
axis.set_ylabel("degree", fontsize=8)
axis.legend(fontsize=7, ncols=3)
for s in (1.0, 2.0, 4.0, 8.0):
    assert degree_of(s, 1e-2) == taylor_degree(s, 1e-2)
    print(
        f"s = {s:g}: Taylor degree {degree_of(s, 1e-1)}, {degree_of(s, 1e-2)}, {degree_of(s, 1e-4)} for errors 0.1, 0.01, 0.0001"
    )
shown(
    figure,
    "degree against the bound for three errors: nearly straight lines through small degrees; Chebyshev's, dotted, lie lower",
)

# %% [markdown]
# Taylor's degree grows in proportion to $s$. Chebyshev's polynomials get by with a far lower one, but look at how the
# error is measured: against the *largest* weight. The small weights may then be quite wrong, and where $s$ is large
# they turn negative, as lesson 5 has measured. Let us ask for an error that is small beside the *least* weight,
# $e^{-s}$:

# %%
for s in (1.0, 2.0, 4.0, 8.0):
    lax, strict = chebyshev_degree(s, 1e-2), chebyshev_degree(s, 1e-2, relative_to_least=True)
    print(f"s = {s:g}: Chebyshev degree {lax} where the largest weight is right within 1 %, {strict} where the least one is")
    assert strict >= degree_of(s, 1e-2)

# %% [markdown]
# If the small weights are to be right as well, these nearly best coefficients do not help: the degree grows with $s$
# again. The papers' degree has the same form:
#
# $$g = \Theta\big(\max\{B,\ \log(1/\varepsilon) / \log(\log(1/\varepsilon)/B)\}\big).$$
#
# All this is a worst case: it lets all logits be as large as $s$. Measured on random unit vectors, where most dot
# products are small, the error of the *output* is this.
#
# **Predict.** The scale $s$ goes from 0.25 to 12. Will the error of degree 2 rise smoothly, or stay small up to
# some $s$ and then jump?
#
# <details><summary>Answer</summary>
#
# Smoothly. Nothing in a polynomial jumps.
#
# </details>

# %%
q, k = (F.normalize(torch.randn(1, 1, 340, 8, dtype=torch.float64), dim=-1) for _ in range(2))
v = torch.randn(1, 1, 340, 8, dtype=torch.float64)
strengths = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12)
figure = new_figure(6.4, 2.8)
axis = figure.subplots()
for degree, colour in ((2, "#d55e00"), (4, "#a0410d"), (6, "#56b4e9")):
    errors = []
    for s in strengths:
        state = new_state(f"poly-{degree}", 1, torch.tensor([s], dtype=torch.float64), 8, q.shape[2])
        state.extend(k, v)
        exact = exact_attention(q, k, v, s)
        errors.append(((state.attend(q) - exact).norm() / exact.norm()).item())
    axis.loglog(strengths, errors, "o-", color=colour, label=f"degree {degree}: r = {rank(8, degree):,}", markersize=4)
    print(f"degree {degree}: " + ", ".join(f"s = {s:g}: {error:.1e}" for s, error in zip(strengths, errors)))
    assert errors == sorted(errors)
axis.set_xticks(strengths, strengths)
axis.minorticks_off()
axis.set_xlabel("scale s", fontsize=8)
axis.set_ylabel("relative error of the output", fontsize=8)
axis.legend(fontsize=8)
shown(
    figure, "error against scale for degrees 2, 4 and 6: all rise smoothly from tiny values to about one; nowhere is there a jump"
)

# %% [markdown]
# The error rises smoothly. There is no scale at which low-rank attention suddenly breaks. The threshold of the
# theorem is a statement about a limit, **not a wall that one could draw into such a figure**.
#
# ## How many features?
#
# The degree enters the price through the rank, the number of monomials of degree up to $g$ in $d$ variables.

# %% [markdown]
# {{exercise count_monomials}}
#
# Count them. A monomial is a choice of how often each of the $d$ variables occurs, $g$ times at most in all: $1$,
# $x_1$, $x_1 x_2$, $x_1^2$, ... The order of the factors does not matter.


# %% tags=["exercise"]
def count_monomials(head_dim, degree):
    """How many monomials of degree 0, 1, ..., g there are in d variables.

    head_dim  d, 1 or more
    degree    g, 0 or more
    returns   a whole number
    """
    ### BEGIN SOLUTION
    # with a further variable 1 that fills up the degree: choose g factors of d + 1 with repetition
    return math.comb(head_dim + degree, degree)
    ### END SOLUTION


checks.count_monomials(count_monomials)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Give every monomial exactly $g$ factors by filling up with 1s: $x_1 x_2 = 1 \cdot 1 \cdot x_1 \cdot x_2$ for $g=4$.
# So it is a choice of $g$ out of $d + 1$ things, with repetition and without order: a binomial coefficient.
#
# </details>
#
# {{help count_monomials}}
#
# **Predict.** For $d = 8$ and degree 2 there are 45 monomials. But queries and keys are *unit vectors*. How many of
# the 45 features are then independent of the others?
#
# <details><summary>Answer</summary>
#
# 44. On the sphere $x_1^2 + \dots + x_d^2 = 1$, so the constant feature is the sum of the squares, and one of these
#     can be left
# out. In general every monomial times $x_d^2$ can be replaced by lower ones: what is left are the monomials in
# which $x_d$ occurs at most once, $\binom{d + g - 1}{g} + \binom{d + g - 2}{g - 1}$ of them. That is 44 instead of
# 45, and for degree 4 it is 450 instead of 495. So $\binom{d+g}{g}$ is an upper bound here, and a slightly generous
# one. (The library keeps all: a sum over all monomials is simpler, and exact for any vectors.)
#
# </details>

# %%
on_sphere = F.normalize(torch.randn(2000, 8, dtype=torch.float64), dim=-1)
for degree in (2, 4):
    features = (1 + on_sphere @ on_sphere[:1000].T) ** degree  # all monomials up to this degree, each with a weight above 0
    sharp = math.comb(8 + degree - 1, degree) + math.comb(8 + degree - 2, degree - 1)
    found = int(torch.linalg.matrix_rank(features, rtol=1e-10))
    print(f"degree {degree}: {math.comb(8 + degree, degree)} monomials, rank on the sphere {found}, by the formula {sharp}")
    assert found == sharp

# %%
count = checks.use("count_monomials")
print("    d    degree 2    degree 4       degree 6   upper bound used in the proofs, degree 4")
for d in (8, 16, 32, 64):
    print(f"{d:5} {count(d, 2):11,} {count(d, 4):11,} {count(d, 6):14,} {paper_rank(d, 4):25,}")
    assert count(d, 4) == rank(d, 4) < paper_rank(d, 4)

# %% [markdown]
# Now both together: the bound $s$ asks for a degree, the degree and $d$ for a number of features. Here for an error
# of 0.01 and even degrees (lesson 5). The horizontal lines are the numbers of tokens of the published models. Above
# such a line the method would use *more features than there are tokens*, and a plain KV cache is better.

# %%
grid = [0.25 * i for i in range(1, 33)]
figure = new_figure(6.4, 3.2)
axis = figure.subplots()
for d, colour in ((8, "#d55e00"), (16, "#0072b2"), (64, "#009e73")):
    needed = [count(d, taylor_degree(s, 1e-2, even=True)) for s in grid]
    axis.step(grid, needed, where="mid", color=colour, label=f"d = {d}")
    below = [s for s, r in zip(grid, needed) if r < 9451]
    print(f"d = {d:2}: fewer features than 9,451 tokens up to s = {max(below, default=0):g}; {needed[grid.index(2)]:,} at s = 2")
axis.set_yscale("log")
axis.set_ylim(1, 1e9)
for side in (16, 32, 64):
    tokens = official_like(side).tokens
    axis.axhline(tokens, color="0.6", linewidth=0.8)
    axis.text(8.05, tokens, f"N = {tokens:,}", fontsize=7, va="bottom", ha="right")
axis.set_xlabel("bound s on the logit", fontsize=8)
axis.set_ylabel("features r", fontsize=8)
axis.legend(fontsize=8, loc="lower right")
shown(figure, "features against the bound: climbing stairs, d = 8 lowest, d = 64 highest; horizontal lines at 680, 2240, 9451")

# %% [markdown]
# *Both* must be small. With $d = 64$, the head dimension of the published models, degree 2 alone has 2,145 features;
# that is why $d = O(\log n)$ stands in the theorem. `fashion-28-bounded` has $d = 8$ and $s \le 2$: degree 2 has 45
# features (error of a head: 15 % in the median, which this model was trained to bear), degree 4 has 495 (1.6 %), both
# measured in lesson 5.
#
# This count is for a fixed worst-case error and *all* directions alike. Landmarks (lesson 5) need fewer features,
# because learned queries and keys fill only part of the sphere; but no theorem promises that.
#
# ### The third phase
#
# The theorem covers three phases of drawing: the transformer, the enlargement of the code maps, and the *decoder*,
# which in the published tokenizer has attention, too. Its single head is as wide as the feature map:

# %%
tokenizer = official_config("var_d16").tokenizer
width, places = tokenizer.channels * tokenizer.channel_mult[-1], tokenizer.patch_nums[-1] ** 2
assert tokenizer.attention and not any(load(name).config.tokenizer.attention for name in ("fashion-28", "fashion-28-bounded"))
print(f"published decoder: {places} tokens, one head of dimension d = {width}; log2 {places} = {math.log2(places):.0f}")
print(f"features of degree 2: {count(width, 2):,}")
assert count(width, 2) > 800 * places

# %% [markdown]
# Degree 2 would need some two hundred thousand features for 256 tokens. "$d = O(\log n)$" is an assumption about
# *all* phases, and real decoders are far from it. The compact models of these lessons have no attention in their
# tokenizers, so this phase plays no part here.
#
# ## The trend
#
# To see what "for large $n$" means, write the rank as a power of the number of tokens, $r = N^e$. The cost of all
# tokens is then about $N^{1 + e}$. Below $e = 1$ the features are fewer than the tokens; "almost linear in $N$" needs
# $e \to 0$.

# %% [markdown]
# {{exercise rank_exponent}}
#
# Compute $e$ for a given number of tokens, head dimension and degree, with $r = \binom{d + g}{g}$.


# %% tags=["exercise"]
def rank_exponent(tokens, head_dim, degree):
    """The e of rank = tokens^e, where the rank is the number of monomials of degree up to g in d variables.

    tokens    N, 2 or more
    head_dim  d
    degree    g
    returns   a number
    """
    ### BEGIN SOLUTION
    return math.log(math.comb(head_dim + degree, degree)) / math.log(tokens)
    ### END SOLUTION


checks.rank_exponent(rank_exponent)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Take the logarithm of both sides of $r = N^e$.
#
# </details>
#
# {{help rank_exponent}}

# %% [markdown]
# Now the theorem's own setting: $d = \log_2 N$, an error of $1/N$ (relative even to the smallest weight; the
# degrees are those of Chebyshev series), and several ways in which the bound $s$ may follow the number of tokens:
# constant, or $s = c \ln N$. For the latter the exponent has a limit, which can be computed: with $s = c \ln N$ and
# $d = \log_2 N$ the degree is a fixed multiple $\gamma$ of $d$ in the end, and $\binom{(1 + \gamma) d}{d}$ is a
# power of $2^d = N$.
#
# **Predict.** If $s = c \ln N$, does the exponent go to 0, to a constant, or to infinity? Is the constant $c$
# important?
#
# <details><summary>Answer</summary>
#
# To a constant, which depends on $c$. For $c = 0.01$ it lies below 1: then low-rank attention still takes less than
# $N^2$ operations in the limit, although $s$ grows in proportion to $\ln N$. This does not contradict the theorem:
# it promises, for every $\delta$, *some* constant that makes $N^{2 - \delta / 2}$ impossible, not every constant.
#
# </details>

# %%
exponent_of = checks.use("rank_exponent")
powers = range(8, 41, 2)


def limit(c):
    """What e tends to for s = c ln N: the degree g is gamma d, where e^s I_g(s) falls below 1/N, with Bessel's I for large g."""
    beta = c * math.log(2)  # s = beta d

    def excess(gamma):
        z = beta / gamma
        return beta + gamma * (math.hypot(1, z) + math.log(z / (1 + math.hypot(1, z)))) + math.log(2)

    gamma = brentq(excess, 1e-9, 1e3)
    return (1 + gamma) * math.log2(1 + gamma) - gamma * math.log2(gamma)


def growing(c):
    return lambda tokens: c * math.log(tokens)


bounds = {"s = 1": (REGIMES["s = 1"], 0.0)} | {f"s = {c:g} ln N": (growing(c), limit(c)) for c in (0.01, 0.05, 0.25, 0.5)}
figure = new_figure(6.4, 3.4)
axis = figure.subplots()
for (regime, (bound, goal)), colour in zip(bounds.items(), ("#009e73", "#56b4e9", "#0072b2", "#e69f00", "#d55e00")):
    trend = []
    for d in powers:
        degree = chebyshev_degree(bound(2.0**d), 2.0**-d, relative_to_least=True)
        trend.append(exponent_of(2**d, d, degree))
        assert regime not in REGIMES or abs(trend[-1] - library_exponent(d, regime)) < 1e-6
    axis.plot(powers, trend, "o-", color=colour, label=regime, markersize=4)
    if goal:
        axis.axhline(goal, color=colour, linestyle=":")
    print(f"{regime:14} N = 2^8: e = {trend[0]:.2f};  N = 2^40: e = {trend[-1]:.2f};  limit {goal:.2f}: cost N^{1 + goal:.2f}")
assert limit(0.01) < 1 < limit(0.05) < limit(0.25) < limit(0.5)
axis.axhline(1, color="0.6", linewidth=0.8)
axis.set_xticks(powers[::4], [f"$2^{{{p}}}$" for p in powers[::4]])
axis.set_xlabel("tokens N, with d = log2 N and error 1/N", fontsize=8)
axis.set_ylabel("e of rank = $N^e$", fontsize=8)
axis.set_ylim(0.3, 2.9)
axis.legend(fontsize=8, loc="upper left", ncols=3)
shown(
    figure,
    "exponent against tokens: falling slowly for constant s, moving slowly towards a dotted limit, "
    "the higher the larger c, where s = c ln N; no jump anywhere",
)

# %% [markdown]
# This is the whole drama, on a scale from 256 tokens to a million millions. For constant $s$ the exponent falls,
# slowly, and goes on to 0: the "fast" statement. For $s = c \ln N$ it moves towards a limit (dotted) that grows
# with $c$. For small $c$ that limit lies below 1, and low-rank attention would still be cheaper than $N^2$; for
# larger $c$ it lies above, and these polynomials cost more than exact attention. The "not fast" statement says that
# no other method would do much better once $c$ is large enough. And at the theorem's own error of $1/N$ the
# exponent is near 1 even for $s = 1$ and $2^{40}$ tokens. What makes low-rank attention useful *today* is neither
# limit, but that a picture bears errors of several per cent.
#
# ## What SETH says
#
# The "not fast" half rests on a hypothesis. **SAT** asks whether a logical formula can be made true: $m$ switches,
# each on or off, and a list of conditions, each naming a few switches. Trying all settings takes $2^m$ attempts. Much
# cleverer programs exist for formulas whose conditions name few switches, but the longer the conditions may be, the
# smaller the gain. The *Strong Exponential Time Hypothesis* (SETH) says that it vanishes in the end: for no
# $\delta > 0$ is there a method that takes about $2^{(1 - \delta) m}$ steps however long the conditions are.
#
# For twenty-five years nobody proved it, and nobody refuted it.
#
# What does that have to do with attention? One can encode such a search in queries and keys so that a very accurate
# attention output gives the answer away. A method that did so for large logits in much less than $N^2$ operations
# would therefore solve SAT faster than SETH allows. Note what this does **not** say:
#
# - It speaks of the *worst* queries and keys, built for the purpose; learned ones may be far easier.
# - It speaks of errors that shrink as $n$ grows; a picture needs no such accuracy.
# - It speaks of growth, not of seconds. A method with $n^4$ may be ten times faster than another with $n^4$.
#
# ### In doubt since October 2026
#
# Two refutations have been published, each with a proof for the proof checker Lean:
# [The Exponential Time Hypothesis is False](https://github.com/openai/math) by OpenAI, and
# [A $2^{o(n)}$ Time Algorithm for 3-SAT](https://github.com/anthropics/formal-math/tree/main/eth) by Anthropic, found by a
# language model. They claim $2^{o(m)}$ steps for every fixed length of the conditions, which would make SETH false as well.
# A group led by Impagliazzo and Paturi, who stated the hypothesis, and Williams is to examine the first; we have checked
# neither.
#
# If they stand, "unless SETH is false" protects nothing any more: the *not fast* half remains true as a sentence and says
# nothing. Another hypothesis may save it. The [reduction](https://arxiv.org/abs/1803.00904) passes through the search for
# two orthogonal vectors among $N$, for which no method is known that takes much less than $N^2$ steps; but that would have
# to be shown, and believed, anew. The *fast* half needs no hypothesis and stays as it is.
#
# ## A state of constant size must forget
#
# Time is one price, memory another. [arXiv 2503.14881](https://arxiv.org/abs/2503.14881) shows that in the worst
# case any algorithm that draws like VAR needs memory of the order of $n^2 d$, as much as the KV cache, if $d$ is at
# least of the order of $\log n$. Our state keeps $r (d + 1)$ numbers of fixed precision, *however many tokens there
# are*. There is no contradiction: the state cannot answer everything that the cache can. We can show what it
# forgets.
#
# With more keys than features, some changes of the values leave the state as it is. Find one: a vector $z$ of one
# number per key with $\sum_j z_j\, \psi(k_j) = 0$, and add it to one column of the values.

# %%
tokens, d, s = 340, 8, 2.0
scale = torch.tensor([s], dtype=torch.float64)
q, k = (F.normalize(torch.randn(1, 1, tokens, d, dtype=torch.float64), dim=-1) for _ in range(2))
v = torch.randn(1, 1, tokens, d, dtype=torch.float64)


def filled(values):
    state = new_state("poly-2", 1, scale, d, tokens)
    state.extend(k, values)
    return state


features = filled(v).features(k)[0, 0]  # (45, tokens)
z = torch.linalg.svd(features).Vh[-1]  # a direction that no feature sees
assert (features @ z).abs().max() < 1e-10
changed = v.clone()
changed[0, 0, :, 0] += 30 * z
before, after = filled(v), filled(changed)
exact_move = (exact_attention(q, k, changed, s) - exact_attention(q, k, v, s)).norm() / exact_attention(q, k, v, s).norm()
state_move = (after.state - before.state).abs().max()
answer_move = (after.attend(q) - before.attend(q)).abs().max()
print(f"the values moved by {(changed - v).norm() / v.norm():.0%} of their length")
print(f"the state moved by {state_move:.1e}, its answers by {answer_move:.1e}")
print(f"the answers of exact attention moved by {exact_move:.1%}")
print(
    f"{tokens} keys, {len(features)} features: {tokens - int(torch.linalg.matrix_rank(features))} such directions for each column"
)
assert answer_move < 1e-9 and exact_move > 0.01

# %% [markdown]
# Two different sets of values, one and the same state: whatever is asked of it afterwards, it must give the same
# answer to both. Exact attention tells them apart, though not by much, because with bounded logits it averages such
# patterns away, too. That is the trade: small logits mean that attention looks at everything a little, and such
# averages need little memory. Sharp attention, to one key out of many, needs to know them all.
#
# ## From which size on?
#
# So much for limits. When does a state take fewer operations than a KV cache, for $N$ tokens that all see each other?

# %% [markdown]
# {{exercise break_even_tokens}}
#
# Count a multiplication and an addition as one operation each. Exact attention: $4 d N^2$ (the dot products and the
# weighted values). The state: every token is added to it once and reads it once, and each of the two is a product
# with $r (d + 1)$ numbers, $2 r (d + 1)$ operations; so $4 N r (d + 1)$ in all. From which $N$ on is the state
# cheaper?


# %% tags=["exercise"]
def break_even_tokens(head_dim, features):
    """The least whole number N with 4 N r (d + 1) < 4 d N^2.

    head_dim  d
    features  r
    returns   a whole number
    """
    ### BEGIN SOLUTION
    return features * (head_dim + 1) // head_dim + 1  # N must be larger than r (d + 1) / d
    ### END SOLUTION


checks.break_even_tokens(break_even_tokens)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Divide both sides by $4 N$. "Larger than $x$" for a whole number means: at least $\lfloor x \rfloor + 1$.
#
# </details>
#
# {{help break_even_tokens}}
#
# **Predict.** By counting, degree 2 with $d = 8$ (45 features) should win from 51 tokens on. From how many tokens
# on did it win when it was *measured*: fewer, about as many, or several times more?
#
# <details><summary>Answer</summary>
#
# More than ten times as many: the next cell looks it up in the stored measurements.
#
# </details>

# %%
stored = json.loads((ASSETS / "results" / "scaling.json").read_text())
even = checks.use("break_even_tokens")
print("                      operations    with making the features    measured, over a whole picture")
for d in (8, 16):
    rows = [r for r in stored["rows"] if (r["what"], r["head_dim"], r["method"]) == ("attention", d, "poly-2")]
    slower = max(r["tokens"] for r in rows if r["speedup_vs_exact"] < 1)
    faster = min(r["tokens"] for r in rows if r["speedup_vs_exact"] > 1 and r["tokens"] > slower)
    counted, finer = even(d, rank(d, 2)), model_break_even("poly-2", d)
    print(f"d = {d:2}, r = {rank(d, 2):3}   {counted:5} tokens {finer:20} tokens      between {slower:,} and {faster:,} tokens")
    assert counted <= finer < slower

# %% [markdown]
# By counting, the state should win as soon as there are a little more tokens than features. Measured, it takes
# several times more, for $d = 8$ more than ten times. A KV cache is served by one highly tuned kernel with few,
# large products; the state needs several small operations per scale, on thin matrices. Counting operations gives
# the growth; for the size at which it matters, measure.
#
# ## Three sentences
#
# - Low-rank attention is allowed where logits are small against $\ln N$ and the head dimension is of the order of
#   $\ln N$; with unit vectors that reads $s = o(\log n)$.
# - It is a trend, not a wall: degree, rank and error change smoothly with $s$, $d$ and $N$.
# - What it gives up is memory of sharp detail. A model can be trained to need none (`fashion-28-bounded`), or can be
#   checked for it before the switch is thrown.
