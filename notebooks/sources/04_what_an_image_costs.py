# %% [markdown]
# # 4. What an image costs
#
# A language model writes one token after the other. The same can be done with a picture: read its last token map row
# by row and predict token after token. That is **raster order**. VAR predicts a whole map at a time instead. What is
# that worth? The answers one reads range from "a factor of $n^2$" to "nothing". This lesson counts, measures, and
# finds out what each answer means.
#
# After it you can say
#
# - how many steps and how many query–key pairs a picture takes, in raster order and in VAR, with and without a cache,
# - why VAR with a cache counts *more* pairs than raster order with a cache and is faster all the same,
# - how to read an exponent off measured times, and why it is not the exponent of the theory,
# - what a cache costs in memory.
#
# Time: 50 minutes with the exercises, 15 without. The cells together take less than a minute on an idle machine.

# %%
import json
import math
import statistics
import time

import torch

from var_mini import checks
from var_mini.checkpoints import ASSETS
from var_mini.config import PATCH_NUMS_256
from var_mini.cost import raster
from var_mini.cost.complexity import attention_flops, block_flops
from var_mini.cost.ladder import official_like
from var_mini.pyramid import ScalePyramid
from var_mini.view.curves import COLOURS
from var_mini.view.plates import new_figure, shown

torch.set_num_threads(1)
stored = json.loads((ASSETS / "results" / "raster.json").read_text())  # measured at length, by `bench raster`
growth = json.loads((ASSETS / "results" / "scaling.json").read_text())  # the same for attention, by `bench scaling`
for what in (stored, growth):
    machine = what["machine"]
    print(machine["processor"], "|", what["threads_timed"], "thread | torch", machine["torch"], "|", machine["date"])

# %% [markdown]
# ## Steps
#
# Let the last token map have the side $n$. In raster order every token waits for the one before it: $n^2$ steps. In
# VAR every *map* waits for the one before it. The published models have 10 maps for a last side of 16 and of 32, and
# 14 for a last side of 64. Other sides get a ladder like theirs: every coarser side is about 3/4 of the finer one.

# %%
print("side   maps                                              tokens   VAR steps   raster steps")
for side in (8, 16, 32, 64):
    pyramid = official_like(side)
    print(f"{side:4}   {pyramid.patch_nums!s:48}  {pyramid.tokens:6,}   {pyramid.num_scales:9}   {side**2:12,}")
assert official_like(16).patch_nums == PATCH_NUMS_256 and official_like(16).tokens == 680

# %% [markdown]
# *VAR has 680 tokens where raster order has 256. Is that not more work?* Yes: more tokens, but far fewer steps. Both
# facts matter, and the rest of this lesson weighs them.
#
# ## Pairs
#
# Attention compares every query with every key that it may see. Each such **pair** costs the same: a dot product of
# head dimension $d$, an exponential, and a weighted vector to be added. So counting pairs is counting the work of
# attention, per head and layer.
#
# Two ways to compute a step:
#
# - **Without a cache**, nothing is kept from the steps before. The whole sequence so far goes through the model
#   again, and every token of it attends again to all it may see.
# - **With a KV cache**, the keys and values of all earlier tokens are kept. Only the new tokens send queries.
#
# In both cases a token sees itself.

# %% [markdown]
# {{exercise raster_pairs}}
#
# Count the pairs of a whole picture in raster order. Attention is causal: token $i$ (counted from 1) meets $i$ keys.
# A loop over the steps is fine. So is a closed form: with $N = n^2$,
# $\sum_{t=1}^{N} t = \tfrac{N(N+1)}{2}$ and $\sum_{t=1}^{N} \tfrac{t(t+1)}{2} = \tfrac{N(N+1)(N+2)}{6}$.


# %% tags=["exercise"]
def raster_pairs(side, cached):
    """Query-key pairs of one picture in raster order, per head and layer.

    side     side of the token map; it has side * side tokens, and each takes one step
    cached   True: step t computes the newest token's attention only, t pairs
             False: step t computes the causal attention of all t tokens anew
    returns  a whole number
    """
    ### BEGIN SOLUTION
    N = side * side
    if cached:
        return N * (N + 1) // 2
    return N * (N + 1) * (N + 2) // 6
    ### END SOLUTION


checks.raster_pairs(raster_pairs)

# %% [markdown]
# <details><summary>Hint</summary>
#
# In step $t$ there are $t$ tokens. With a cache the step has $t$ pairs. Without one, the first token meets 1 key, the
# second 2, ..., the last $t$: add them up, then add up the steps.
#
# </details>
#
# {{help raster_pairs}}

# %% [markdown]
# {{exercise var_pairs}}
#
# Now VAR. Scale $k$ has $n_k = s_k^2$ tokens and ends at token $e_k = n_1 + \dots + n_k$ of the sequence. With a
# cache, its $n_k$ queries meet all $e_k$ keys so far, their own scale included. Without one, all $e_k$ tokens go
# through the model again; count $e_k^2$ pairs for this step, because the mask hides some of them but saves no work.


# %% tags=["exercise"]
def var_pairs(patch_nums, cached):
    """Query-key pairs of one picture drawn scale by scale, per head and layer.

    patch_nums  sides of the token maps, coarse to fine
    cached      True: a scale's queries meet all keys up to the end of their scale
                False: a scale that ends at token e costs e * e pairs
    returns     a whole number
    """
    ### BEGIN SOLUTION
    total, end = 0, 0
    for side in patch_nums:
        count = side * side
        end += count
        total += (count if cached else end) * end
    return total
    ### END SOLUTION


checks.var_pairs(var_pairs)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Keep the end of the scale in a variable that grows from scale to scale.
#
# </details>
#
# {{help var_pairs}}

# %% [markdown]
# ## Counted twice
#
# A closed form is quickly written and quickly wrong. Here the models themselves count: both are built from the same
# transformer blocks, and whenever their first layer computes attention, a counter adds the pairs that it really met.
# A third count comes from the block-causal mask of lesson 2: VAR with a cache has exactly one pair for every allowed
# entry of it.


# %%
def models(side):
    """A raster-order model and a VAR with the same blocks and the same last map; random weights, for counting and timing."""
    return raster.RasterModel(side), raster.VarModel(official_like(side))


METHODS = {"raster": (1, False), "raster-cached": (1, True), "var": (0, False), "var-cached": (0, True)}
r_pairs, v_pairs = checks.use("raster_pairs"), checks.use("var_pairs")


def closed_form(method, side):
    is_raster, cached = METHODS[method]
    return r_pairs(side, cached) if is_raster else v_pairs(official_like(side).patch_nums, cached)


with torch.no_grad():
    for side in (4, 6):
        in_order, by_scale = models(side)
        for method in METHODS:
            counter = raster.Counter()
            raster.runner(method, in_order, by_scale)[0](counter)
            assert counter.pairs == closed_form(method, side)
            print(f"side {side}  {method:14} {counter.pairs:6,} pairs counted while drawing, as the formula says")
        assert official_like(side).block_causal_mask().sum().item() == closed_form("var-cached", side)

# %% [markdown]
# ## Growth
#
# How do the four counts grow with the side $n$? Raster order without a cache: $N^3/6$ with $N = n^2$, so $n^6$. With
# a cache: $N^2/2$, so $n^4$. VAR: each side is about 3/4 of the next one, so all tokens together are a fixed multiple
# of the last map, $L \approx n^2 / (1 - 9/16) \approx 2.3\, n^2$, and the pairs are a fixed multiple of $n^4$, with a
# cache and without.
#
# **Predict.** Both with a cache, last side 16: does VAR count fewer pairs than raster order, about as many, or
# more? How many times?
#
# <details><summary>Answer</summary>
#
# More, nearly nine times. It has 680 tokens instead of 256, which is 2.7 times as many, so about seven times the
# pairs; and within a map no token is hidden from another one.
#
# </details>

# %%
print("side " + "".join(f"{method:>18}" for method in METHODS) + "   VAR / raster, both cached")
for side in (8, 16, 32, 64):
    counts = [closed_form(method, side) for method in METHODS]
    print(f"{side:4} " + "".join(f"{count:18,}" for count in counts) + f"   {counts[3] / counts[1]:6.1f}")
    assert counts[3] > counts[1]
figure = new_figure(6.4, 3.0)
axis = figure.subplots()
sides = (4, 6, 8, 12, 16, 24, 32, 48, 64)
LINES = {"raster": "--", "var": "--", "raster-cached": "-", "var-cached": "-", "var-poly-2": "-"}  # dashed: without a cache
for method in METHODS:
    axis.loglog(
        sides,
        [closed_form(method, side) for side in sides],
        LINES[method],
        marker="o",
        color=COLOURS[method],
        label=method,
        markersize=4,
    )
axis.set_xticks(sides, sides)
axis.minorticks_off()
axis.set_xlabel("side n of the last map", fontsize=8)
axis.set_ylabel("pairs", fontsize=8)
axis.legend(fontsize=8)
shown(figure, "pairs against side, log-log: raster without a cache is steepest; the others run parallel, cached raster lowest")

# %% [markdown]
# Look at the last column. With a cache on both sides, **VAR counts five to nine times more pairs than raster order**:
# it has more tokens, and within a map every token sees every other one, the later ones included. Whoever says "VAR is
# faster because it computes less attention" compares it with raster order *without* a cache.
#
# ## From times to an exponent
#
# If a time is $c \cdot n^e$, then $\log(\text{time}) = e \log n + \log c$: a straight line on log-log paper, and $e$
# is its slope.

# %% [markdown]
# {{exercise fit_exponent}}
#
# Find the slope by least squares: with $x = \log(\text{side})$ and $y = \log(\text{seconds})$,
#
# $$e = \frac{\sum (x - \bar x)(y - \bar y)}{\sum (x - \bar x)^2}.$$


# %% tags=["exercise"]
def fit_exponent(sides, seconds):
    """The e of seconds ~ c * side^e, by least squares on the logarithms.

    sides    list of numbers above 0
    seconds  as many measured times
    returns  a number
    """
    ### BEGIN SOLUTION
    x = torch.tensor(sides, dtype=torch.float64).log()
    y = torch.tensor(seconds, dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean()
    return ((x * y).sum() / x.square().sum()).item()
    ### END SOLUTION


checks.fit_exponent(fit_exponent)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Turn both lists into float64 tensors and take `.log()`. Subtract the means first; then the formula has two sums.
#
# </details>
#
# {{help fit_exponent}}

# %%
fit = checks.use("fit_exponent")
THEORY = {"raster": 6, "raster-cached": 4, "var": 4, "var-cached": 4}
for method, exponent in THEORY.items():
    small, large = (fit(list(part), [closed_form(method, s) for s in part]) for part in (sides[:4], sides[-4:]))
    print(f"{method:14} pairs ~ n^{small:.2f} for sides 4 to 12, n^{large:.2f} for sides 24 to 64, in theory n^{exponent}")
    assert abs(large - exponent) < 0.25

# %% [markdown]
# The counts follow the theory. Do the times?
#
# **Predict.** Cached raster order counts $n^4$ pairs. Fitted to measured *times* at sides 12 to 32, will its
# exponent be about 2, 4 or 6?
#
# <details><summary>Answer</summary>
#
# About 2 (the table below). At these sides a step costs nearly the same however many tokens there are, and there
# are $n^2$ steps.
#
# </details>
#
# ## Measured, here and now
#
# The same two models draw pictures on this machine, on one thread, each method a few times in turn; the median
# counts. These are small sides, so that it takes seconds. (If other programs run at the same time, all numbers are
# larger.)

# %% tags=["skip-grading"]
MAX_SECONDS, ROUNDS = 3.0, 5  # of one point
live = {}
with torch.no_grad():
    for side in (4, 6, 8):
        in_order, by_scale = models(side)
        for method in METHODS:
            run = raster.runner(method, in_order, by_scale)[0]
            run(raster.Counter())  # warms up
            spent = []
            while len(spent) < ROUNDS and sum(spent) < MAX_SECONDS:
                begin = time.perf_counter()
                run(raster.Counter())
                spent.append(time.perf_counter() - begin)
            live[method, side] = statistics.median(spent)
for method in METHODS:
    print(f"{method:14}" + "".join(f"   side {side}: {1e3 * live[method, side]:8.1f} ms" for side in (4, 6, 8)))
for side in (4, 6, 8):
    ratio = live["raster-cached", side] / live["var-cached", side]
    print(f"side {side}: raster order with a cache takes {ratio:.1f} times as long as VAR with one")

# %% [markdown]
# ## Measured at length
#
# Larger sides take minutes, so they were measured once, on an idle machine, and stored with the name of its
# processor. Lines: stored. Large rings: what you have just measured. If this machine is slower or busy, the rings lie
# higher, but in much the same order. `var-poly-2` is VAR with the low-rank attention of lesson 5, whose work grows
# like $n^2$.

# %% tags=["skip-grading"]
seconds = {(row["method"], row["side"]): row["seconds"] for row in stored["rows"]}
sides = sorted({side for _, side in seconds})
figure = new_figure(6.4, 3.4)
axis = figure.subplots()
for method in [*METHODS, "var-poly-2"]:
    axis.loglog(
        sides,
        [seconds[method, side] for side in sides],
        LINES[method],
        marker="o",
        color=COLOURS[method],
        label=method,
        markersize=4,
    )
    here = [(side, value) for (name, side), value in live.items() if name == method]  # none of var-poly-2
    axis.loglog([side for side, _ in here], [value for _, value in here], "o", color=COLOURS[method], mfc="none", markersize=9)
axis.set_xticks(sides, sides)
axis.minorticks_off()
axis.set_xlabel("side n of the last map", fontsize=8)
axis.set_ylabel("seconds for one picture", fontsize=8)
axis.legend(fontsize=8)
shown(figure, "seconds against side, log-log: from the top raster, cached raster, VAR, cached VAR; rings: measured just now")

# %% tags=["skip-grading"]
print("sides 12 to 32          measured e   of all pairs   in theory   seconds at side 32")
upper = [side for side in sides if side >= 12]
for method, exponent in {**THEORY, "var-poly-2": 2}.items():
    measured = fit(upper, [seconds[method, side] for side in upper])
    counted = f"{fit(upper, [closed_form(method, side) for side in upper]):.2f}" if method in METHODS else "none"
    print(f"{method:22} {measured:11.2f} {counted:>14} {exponent:11} {seconds[method, upper[-1]]:20.3f}")
    assert measured < exponent - 0.9

# %% [markdown]
# (`var-poly-2` meets no keys, so it has no pairs to count.) Every measured exponent lies far below that of the
# theory. The theory counts *pairs*, for large $n$. A time has more in it:
#
# - **Fixed cost per step.** Each layer calls a dozen small operations, however few tokens there are.
# - **Linear layers.** Projections and the feed-forward network cost the same for every token that passes through.
#   With a cache each token passes once, which makes $n^2$. In raster order without a cache all earlier tokens pass
#   again in each of the $n^2$ steps: $n^4$, and that is the exponent measured there.
# - **Attention**, the only part with the exponents above, wins in the end. At these sizes it has not.
#
# The stored times show the fixed cost plainly. Divide by the number of steps:

# %% tags=["skip-grading"]
steps = {(row["method"], row["side"]): row["steps"] for row in stored["rows"]}
print("milliseconds per step    " + "".join(f"   side {side:2}" for side in sides))
for method in ("raster-cached", "var-cached"):
    per_step = [1e3 * seconds[method, side] / steps[method, side] for side in sides]
    print(f"{method:25}" + "".join(f"{value:10.2f}" for value in per_step))
    if method == "raster-cached":
        assert max(per_step) < 1.3 * min(per_step)
    else:
        assert per_step[-1] > 5 * per_step[0]

# %% [markdown]
# A step of cached raster order takes nearly the same time whether there are 16 or 1,024 tokens in the picture: it is
# almost all fixed cost, the processor hardly computes. So its time grows like its steps, $n^2$. A step of VAR gets
# more expensive with the map that it draws: there the processor is busy. This is what parallel drawing means, and it
# is the whole of VAR's advantage: *not fewer pairs, but fewer steps that wait for each other*.
#
# ## "At least ten times lower wall clock"?
#
# In April 2024 a reader asked in [issue 35](https://github.com/FoundationVision/VAR/issues/35) of the official
# repository: the paper says raster order costs $O(n^6)$ and VAR $O(n^4)$, but everybody uses a KV cache, and then
# raster order costs $O(n^4)$, too. The reader is right about the counts, as you have seen. The authors' answer, in
# our words: a cache helps both sides; and VAR needs about ten steps instead of $n^2$, so its wall clock is at least
# ten times lower.
#
# The first half is a fact. The second is an expectation about machines. What holds on the machine of the stored
# times?
#
# **Predict.** At side 32 VAR takes 10 steps and raster order 1,024, both with a cache, on one CPU thread. How many
# times faster is VAR: a hundred, thirty, ten, or fewer?
#
# <details><summary>Answer</summary>
#
# Fewer than ten. Each of its steps has two hundred tokens to compute, on average, where raster order has one, and
# one thread cannot do them at once.
#
# </details>

# %% tags=["skip-grading"]
print("side   fewer steps   raster / VAR, both cached   raster without / VAR with a cache")
for side in sides:
    fewer = steps["raster-cached", side] / steps["var-cached", side]
    fair = seconds["raster-cached", side] / seconds["var-cached", side]
    unfair = seconds["raster", side] / seconds["var-cached", side]
    print(f"{side:4} {fewer:11.0f}x {fair:22.1f}x {unfair:30.1f}x")
    assert 1 < fair < 10
assert stored["ten_times_from_side"] is None
reached = min(side for side in sides if seconds["raster", side] >= 10 * seconds["var-cached", side])
print(f"\nTen times is reached against raster order without a cache, from side {reached} on; between caches at no measured side.")

# %% [markdown]
# So, carefully:
#
# - Between cached methods, with a small model, one picture at a time, on one CPU thread, VAR is some 2.5 to 7 times
#   faster, not ten. The steps are a hundred times fewer at side 32, but each of them has far more to do, and a CPU
#   with one thread cannot do it all at once.
# - Against raster order *without* a cache, ten times is reached early. That comparison is the one behind $n^6$
#   against $n^4$.
# - Machines that compute thousands of tokens in about the time of one, such as GPUs, profit more from few large
#   steps. Whether that makes ten times, these numbers do not say: they are of a CPU.
#
# A claim about wall clock needs a machine, a size and a baseline. Ask for all three.

# %% [markdown]
# ## How much of the time is attention?
#
# Attention grows like $n^4$, the linear layers like $n^2$. Where do they meet? In counted floating-point operations,
# for the small model of these measurements:

# %% tags=["skip-grading"]
print("side   tokens   attention's share of the operations of all blocks")
shares = []
for side in (8, 16, 32, 64, 128):
    pyramid = official_like(side)
    attention = raster.SHAPE.depth * raster.SHAPE.heads * attention_flops(pyramid, "exact", raster.SHAPE.head_dim)
    shares.append(attention / (attention + block_flops(raster.SHAPE, pyramid.tokens)))
    print(f"{side:4} {pyramid.tokens:8,} {shares[-1]:12.0%}")
assert shares == sorted(shares)
rows = {(row["what"], row["side"]): row["median_s"] for row in growth["rows"] if (row["method"], row["head_dim"]) == ("exact", 8)}
sides_measured = sorted({side for _, side in rows})
last, names = sides_measured[-4:], {"attention": "one layer's attention", "transformer": "the whole transformer"}
for what, name in names.items():
    exponent = fit(last, [rows[what, side] for side in last])
    print(f"measured, VAR with a cache, sides {last[0]} to {last[-1]}: {name} e = {exponent:.2f}")

# %% [markdown]
# Measured alone and at large sides, attention does reach the $n^4$ of the theory. In a whole transformer the linear
# layers hide it for a long time. Two consequences: at the 88 tokens of the fashion models nothing is gained by
# speeding attention up, and for large pictures everything is. Lesson 5 builds such attention.
#
# ## What the cache costs
#
# The cache trades time for memory: keys and values of all tokens, in every layer.

# %% [markdown]
# {{exercise cache_bytes}}
#
# How many bytes does the KV cache of one picture take when the last scale has been drawn? Numbers are float32, four
# bytes each. With guidance (lesson 3) the model runs twice for each scale, with the class and without, and each run
# has its own cache.


# %% tags=["exercise"]
def cache_bytes(patch_nums, layers, heads, head_dim, guided):
    """Bytes of the KV cache of one finished picture, in float32.

    patch_nums               sides of the token maps, coarse to fine
    layers, heads, head_dim  shape of the transformer; every head of every layer keeps a key and a value per token
    guided                   True: two caches, with the class and without
    returns                  a whole number
    """
    ### BEGIN SOLUTION
    tokens = sum(side * side for side in patch_nums)
    numbers = 2 * tokens * layers * heads * head_dim  # keys and values
    return 4 * numbers * (2 if guided else 1)
    ### END SOLUTION


checks.cache_bytes(cache_bytes)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Tokens × layers × heads × head dimension × 2 (key and value) × 4 bytes, and twice that with guidance.
#
# </details>
#
# {{help cache_bytes}}

# %%
needed = checks.use("cache_bytes")
_, by_scale = models(8)
states = by_scale.model.new_states(1, "exact")
for state in states:
    q = torch.zeros(1, raster.SHAPE.heads, by_scale.pyramid.tokens, raster.SHAPE.head_dim)
    state.extend(q, q)
shape = (raster.SHAPE.depth, raster.SHAPE.heads, raster.SHAPE.head_dim)
assert sum(state.state_bytes for state in states) == needed(by_scale.pyramid.patch_nums, *shape, False)
for side in (16, 32, 64):  # the shape of the published VAR-d16: 16 layers, 16 heads of dimension 64
    megabytes = needed(official_like(side).patch_nums, 16, 16, 64, True) / 1e6
    print(f"last side {side}: {megabytes:7.0f} MB for one guided picture with 16 layers of 16 heads of dimension 64")
ratio = ScalePyramid(PATCH_NUMS_256).tokens / PATCH_NUMS_256[-1] ** 2
print(f"\nraster order at side 16 would keep {ratio:.1f} times less: 256 tokens instead of 680")
assert math.isclose(ratio, 680 / 256)

# %% [markdown]
# The cache grows with the number of tokens, $n^2$. Lesson 5 replaces it by a state whose size does not grow, and
# lesson 6 asks what that must lose.
#
# ## What to remember
#
# | | steps | pairs, no cache | pairs, KV cache |
# | --- | --- | --- | --- |
# | raster order | $n^2$ | $O(n^6)$ | $O(n^4)$ |
# | VAR | about 10 | $O(n^4)$ | $O(n^4)$, and a larger constant than raster order |
#
# - $n^6$ against $n^4$ compares raster order *without* a cache with VAR. With caches both are $n^4$.
# - VAR's advantage is few steps that wait for each other. How many times faster that is depends on the machine.
# - Measured exponents below the theory mean that fixed costs and linear layers still dominate.
# - A KV cache buys time with memory, which grows like $n^2$.
