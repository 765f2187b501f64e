# %% [markdown]
# # 11. The whole pass and its limits
#
# Lessons 5 and 6 made *one attention* fast. A picture needs more than that: the maps are enlarged, the scales are added
# up, and the decoder of the published models has attention of its own. Is the whole pass fast, then? The paper
# [arXiv 2501.04377](https://arxiv.org/abs/2501.04377) says when, and when not. Here you count, build and measure it.
#
# After it you can say
#
# - what the three phases of a pass are and which of them cost $n^4$,
# - where $\frac{64}{45} n^4$ comes from, and why no pass can take $n^{1.9}$,
# - how enlarging a map can enlarge the bound that everything rests on,
# - why two passes must be compared with the same tokens,
# - which of the sentences above are proven, which hold on a condition, and which are only measured.
#
# Time: 60 minutes with the exercises, 20 without. Before each output marked **Guess** write down a number of your own.

# %%
import json
import math

import torch

from var_mini import checks
from var_mini.checkpoints import ASSETS
from var_mini.config import PATCH_NUMS_256
from var_mini.pyramid import ScalePyramid
from var_mini.theory.var_pass import INTERPOLATIONS, ToyPass, compare, doubling, row_sum
from var_mini.view.plates import new_figure, shown

stored = json.loads((ASSETS / "results" / "limits-var_pass.json").read_text())

# %% [markdown]
# ## Three phases
#
# Let the last map have side $n$, every token a vector of $d$ numbers, and let $R$ bound the entries of queries and keys.
#
# 1. **The transformer**, scale after scale: the map so far is enlarged to the next side, and its tokens attend to all
#    tokens so far.
# 2. **The feature map** $\hat f$: the code maps of all scales, enlarged and added up.
# 3. **The decoder**: convolutions, and in the published tokenizer attention over the $n^2$ cells of $\hat f$.
#
# The proofs take sides that double: $1, 2, 4, \dots, n$. Count the pairs of phase 1.

# %% [markdown]
# {{exercise doubling_pairs}}
#
# Scale $k = 0, 1, \dots, K-1$ has side $2^k$. With a cache, its queries meet all tokens of the scales $0$ to $k$, their
# own scale included. How many query-key pairs are that for one head and layer?


# %% tags=["exercise"]
def doubling_pairs(scales):
    """Query-key pairs of a pass over the sides 1, 2, 4, ..., 2^(scales - 1), with a cache.

    scales   K, 1 or more
    returns  a whole number
    """
    ### BEGIN SOLUTION
    seen = pairs = 0
    for k in range(scales):
        own = 4**k
        seen += own
        pairs += own * seen
    return pairs
    ### END SOLUTION


checks.doubling_pairs(doubling_pairs)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Scale $k$ has $4^k$ tokens. Keep a running number of all tokens so far, and add queries times keys.
#
# </details>
#
# {{help doubling_pairs}}
#
# **Guess:** divided by $n^4$, to which number does the count tend? And is it larger or smaller for the published ladder,
# which has ten scales up to 16 in place of five?

# %%
count = checks.use("doubling_pairs")
for scales in (1, 3, 5, 7, 9):
    n = 2 ** (scales - 1)
    assert count(scales) == doubling(n).attention_pairs()
    print(f"n = {n:3}: {count(scales):15,} pairs = {count(scales) / n**4:.4f} n^4")
print(f"64/45 = {64 / 45:.4f}")
official = ScalePyramid(PATCH_NUMS_256)
print(f"published ladder, n = 16: {official.attention_pairs():,} pairs = {official.attention_pairs() / 16**4:.2f} n^4")
every = [ScalePyramid(tuple(range(1, n + 1))).attention_pairs() for n in (32, 64)]
print(f"sides 1, 2, 3, ..., n: twice the side, {every[1] / every[0]:.0f} times the pairs, n^{math.log2(every[1] / every[0]):.2f}")

# %% [markdown]
# Where does $\frac{64}{45}$ come from? After scale $k$ there are $(4^{k+1}-1)/3$ tokens, so the sum is
# $\sum_k 4^k (4^{k+1} - 1)/3 = (64 n^4 - 20 n^2 + 1)/45$. The published ladder has more scales between, and three times
# the pairs. With *every* side from 1 to $n$ the count is of another order, $n^6$: **$n^4$ belongs to ladders that grow
# by a factor.**
#
# And from below? The result has $n^2 d$ numbers, and writing them takes $n^2 d$ steps. So $n^{2 + o(1)}$ is the best
# there can be; a pass in $n^{1.9}$ cannot exist. (An abstract that says "sub-quadratic" counts in tokens.)
#
# Is attention what costs? Besides it, every token passes linear layers: the four projections of attention, $4 d^2$
# multiplications, and an MLP of four times the width, $8 d^2$.

# %% [markdown]
# {{exercise attention_share}}
#
# A pair costs $2 d$ multiplications, a token $12 d^2$. Which share of all multiplications is attention's?


# %% tags=["exercise"]
def attention_share(counts, width):
    """Share of multiplications that attention has: 2 d a pair, against 12 d^2 a token in the linear layers.

    counts   tokens of each scale, coarse to fine; a scale's queries meet all tokens up to their own scale
    width    d
    returns  a number between 0 and 1
    """
    ### BEGIN SOLUTION
    seen = pairs = 0
    for own in counts:
        seen += own
        pairs += own * seen
    attention, linear = 2 * width * pairs, 12 * width**2 * seen
    return attention / (attention + linear)
    ### END SOLUTION


checks.attention_share(attention_share)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Pairs as in the first exercise, with the given counts in place of $4^k$.
#
# </details>
#
# {{help attention_share}}
#
# **Guess:** the published model for 256 pixels has $d = 1024$ and $n = 16$. Is attention's share nearer to 90 %, 50 % or
# 5 %? And at $n = 64$?

# %%
share = checks.use("attention_share")
for width, sides in ((1024, PATCH_NUMS_256), (1024, tuple(4 * side for side in PATCH_NUMS_256)), (160, (1, 2, 3, 5, 7))):
    counts = [side * side for side in sides]
    print(f"d = {width:4}, n = {sides[-1]:2}: attention has {share(counts, width):.1%} of the multiplications")

# %% [markdown]
# At $n = 16$ the linear layers are nearly everything, and no fast attention could help much. $n^4$ against $n^2$ is a
# statement about growth: it says which term wins *in the end*.
#
# ## Phase 2: enlarging can enlarge the bound
#
# Enlarging a map is a matrix with few entries in a row, times the old map. That is cheap. But the theorem needs entries
# within $R$, and the new entries can be larger than the old ones.

# %% [markdown]
# {{exercise bound_after}}
#
# A map with entries in $[-R, R]$ is multiplied by a matrix, the result by another matrix, and so on. Each of them may
# enlarge the bound as much as the matrix `rows` does. Which bound holds for the entries after that many steps?


# %% tags=["exercise"]
def bound_after(rows, bound, steps):
    """The bound on the entries after `steps` multiplications, each by a matrix that enlarges it as much as `rows`.

    rows     (new, old): a new value is a row times the old values
    bound    R: old values lie in [-R, R]
    steps    how often, 1 or more
    returns  a number
    """
    ### BEGIN SOLUTION
    worst = rows.abs().sum(dim=1).max().item()  # old values with the signs of this row
    return bound * worst**steps
    ### END SOLUTION


checks.bound_after(bound_after)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Which old values in $[-R, R]$ make the sum $\sum_j w_j x_j$ of one row largest?
#
# </details>
#
# {{help bound_after}}
#
# **Guess:** nearest, bilinear, bicubic: which of them keeps the bound?

# %%
largest = {name: row_sum(8, 16, name) for name in INTERPOLATIONS}
after = checks.use("bound_after")
for name, found in largest.items():
    row = torch.tensor([[found["largest"]]])
    print(
        f"{name:8} 8 -> 16: {found['entries']:2} entries a row, R becomes {found['largest']:.3f} R; "
        f"after four steps {after(row, 1.0, 4):.2f} R"
    )
assert largest["bilinear"]["largest"] == 1 < largest["bicubic"]["largest"]

# %% [markdown]
# Averages (nearest, bilinear) keep the bound. Bicubic interpolation, which VAR uses, has negative weights and can enlarge
# it. The number after four steps is a bound, no more: the map that is worst for one step is not what the step before
# leaves, and four bicubic enlargements in a row stay far below it. (VAR itself enlarges each code map once, and adds.) Still,
# a bound on the codes is not yet a bound on what reaches attention; in a trained model layer norm and unit queries put it
# back, which is why our $s$ of lesson 6 is the honest handle.
#
# ## The fast pass against the exact one
#
# `ToyPass` is a pass with all three phases and random weights, whose queries and keys have entries within $R$ (so that
# logits reach $R^2$). First the mistake that everybody makes: let both passes draw their own tokens and compare.

# %% [markdown]
# {{exercise first_flip}}
#
# Two passes drew token ids with the same noise. In which scale lies the first token that differs, and which share of all
# tokens is equal?


# %% tags=["exercise"]
def first_flip(exact, fast, counts):
    """Where two sequences of token ids part.

    exact    int64 (L,), ids of all scales, coarse to fine
    fast     int64 (L,), the other ones
    counts   tokens of each scale
    returns  [scale of the first difference, counted from 0 (-1 where there is none), share of equal tokens]
    """
    ### BEGIN SOLUTION
    same = exact == fast
    share = same.double().mean().item()
    for scale, part in enumerate(same.split(counts)):
        if not part.all():
            return [scale, share]
    return [-1, share]
    ### END SOLUTION


checks.first_flip(first_flip)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `tensor.split(counts)` cuts the sequence into its scales.
#
# </details>
#
# {{help first_flip}}

# %%
flip = checks.use("first_flip")
for seed in (9, 12):  # two of sixteen pictures, chosen because they part
    toy = ToyPass(8, 2.0, seed=seed)
    exact, fast = toy.run(), toy.run(6)
    ids, other = torch.cat(exact["tokens"]), torch.cat(fast["tokens"])
    scale, equal = flip(ids, other, list(toy.pyramid.counts))
    forced = toy.run(6, exact["tokens"])
    apart = [(run["logits"] - exact["logits"]).abs().max().item() for run in (fast, forced)]
    print(
        f"seed {seed:2}: they part at scale {scale} of 0 to 3, {equal:.0%} of the tokens equal; "
        f"last logits apart by {apart[0]:.2g}, with the same tokens by {apart[1]:.2g}"
    )

# %% [markdown]
# One token that falls otherwise at a coarse scale, and all finer scales see another picture: the difference of the last
# logits is then ten times the error of the approximation. (Where the first other token lies in the last scale, nothing
# comes after it.) So errors are **teacher-forced**: both passes see the tokens of the exact one.
#
# **Guess:** at $R = 0.5$ degree 6 is better than degree 2 by several orders of magnitude. By which factor at $R = 3$?

# %%
bounds, degrees = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0), (2, 4, 6)
figure = new_figure(6.4, 3.0)
axis = figure.subplots()
for degree, colour in zip(degrees, ("#d55e00", "#e69f00", "#0072b2")):
    errors = [compare(8, bound, degree)["logits"] for bound in bounds]
    axis.semilogy(bounds, errors, "o-", color=colour, label=f"degree {degree}", markersize=4)
    print(f"degree {degree}: " + ", ".join(f"R = {bound:g}: {error:.1e}" for bound, error in zip(bounds, errors)))
axis.set_xlabel("bound R on the entries, n = 8", fontsize=8)
axis.set_ylabel("largest error of the last logits", fontsize=8)
axis.legend(fontsize=8)
shown(figure, "error against R for three degrees: far apart at the left, all three close to one at the right")

# %% [markdown]
# Where $R$ is small, two more degrees gain one to three orders of magnitude; where it is large they gain almost nothing.
# It looks like a wall, and it is tempting to call it the theorem's threshold. It is not: at fixed $n$ there is none,
# and what the figure shows is that *this* algorithm fails. The conditional half of the paper says that *no* algorithm
# does better, and speaks of $n \to \infty$.

# %%
print("stored by `python -m var_mini.theory var_pass --json`, processor time on a busy machine: slopes only")
for name, label in (("exact", "exact"), ("low_rank", "degree 4")):
    fit = stored[name]
    print(f"{label:9} n = {fit['sizes']}: time ~ n^{fit['exponent']:.2f}, between the two largest n^{fit['last']:.2f}")
print("sqrt(log of the tokens): " + ", ".join(f"n = {n}: {x:.2f}" for n, x in stored["sqrt_log_tokens"].items()))

# %% [markdown]
# By counting, the exponents are 4 and 2. Measured, they are smaller at sizes like these, because small maps cost overhead
# rather than pairs (lesson 4), and they rise towards the counted ones. And the threshold
# $\sqrt{\log n}$? Even with the $n^2$ tokens of the last map in place of $n$, as printed, it moves by less than one from
# $n = 16$ to $n = 256$. No laptop shows it.
#
# ## Phase 3: attention in the decoder
#
# The tokenizers shipped here have no attention in their decoders; the published one has. For this experiment a small
# tokenizer *with* it was trained for some minutes on Fashion-MNIST, and its decoder's attention replaced by degree 2.

# %%
decoder = stored["decoder"]
for i, layer in enumerate(decoder["layers"]):
    print(
        f"layer {i}: width {layer['channels']}, {layer['cells']} cells, {layer['features']} features; largest logit "
        f"{layer['largest_logit']:.1f}, error of its output {layer['relative_error']:.1%}"
    )
print(f"PSNR {decoder['psnr_exact']:.2f} dB with exact attention, {decoder['psnr_low_rank']:.2f} dB with degree 2")
print(f"the published decoder: width 640, {math.comb(642, 2):,} features of degree 2 for 256 cells")

# %% [markdown]
# The error there is one thing: single layers are off by many per cent, and the pictures hardly change. The price is
# another: with a width of hundreds there are far more features than cells.
# The theorem asks for $d = O(\log n)$, and the decoder that people use is far from it.
#
# ## What kind of sentence is it?
#
# | sentence | kind |
# | --- | --- |
# | the doubling ladder has $(64 n^4 - 20 n^2 + 1)/45$ pairs | proven, by you |
# | with $d = O(\log n)$ and $R = o(\sqrt{\log n})$ a pass takes $n^{2+o(1)}$ | proven in the paper, unchecked by us |
# | to every $\delta > 0$ a $C$: at $R = C \sqrt{\log n}$ no pass takes $n^{4-\delta}$ | conditional (SETH), $n \to \infty$ |
# | degree 2 is wrong by so much at $R = 3$ | measured, on random weights |
# | low-rank attention costs more than it saves in the published decoder | counted; its error was measured on another one |
#
# ## Three sentences
#
# - A pass costs $n^4$ in two places, the transformer's attention and the decoder's; enlarging and adding maps costs
#   $n^2$ and can enlarge the bound.
# - Below the threshold both can be made almost as cheap as writing the result; above it nothing can, if SETH holds.
# - At the sizes of today the threshold is invisible, linear layers cost nearly all at side 16 and about half at side 64,
#   and what helps is to measure.
