# %% [markdown]
# # 5. Low-rank attention
#
# Exact attention compares every query with every key: $N^2$ pairs for $N$ tokens, $n^4$ for a map of side $n$ (lesson
# 4). This lesson takes the exponential in it apart until the pairs disappear, and a *state of constant size* remains
# that every new token is added to and every query reads from. Then it looks at what that costs in accuracy, on a
# model that was really trained for it.
#
# After it you can say
#
# - why the exponential forces $N^2$ pairs, and why a polynomial does not,
# - what the rank is, and why it does not depend on the number of tokens,
# - why the degree must be even,
# - what landmarks and pooled keys are, and why random features do worse here,
# - why no polynomial is the best for all models: it depends on where the logits lie,
# - when the constant-size state is slower than a KV cache.
#
# Time: 100 minutes with the exercises, 20 without. The cells together take less than a minute on an idle machine.

# %%
import json
import math
from functools import partial

import torch
import torch.nn.functional as F
from IPython.display import Markdown
from numpy.polynomial import Polynomial, chebyshev

from var_mini import checks, load
from var_mini.analysis.fidelity import output_errors
from var_mini.attention import new_state
from var_mini.checkpoints import ASSETS
from var_mini.data.samples import load_samples
from var_mini.training.qkv import collect_qkv
from var_mini.view.curves import COLOURS
from var_mini.view.plates import grid, new_figure, row, shown
from var_mini.view.results import error_table

torch.manual_seed(0)
model = load("fashion-28-bounded")  # head dimension 8, every logit within [-2, 2]
pyramid, settings = model.config.pyramid, model.config.transformer
print(f"{settings.depth} layers of {settings.heads} heads of dimension {settings.head_dim}; {pyramid.tokens} tokens")

# %% [markdown]
# ## The trouble is the exponential
#
# Let $q_i$ and $k_j$ be unit vectors of dimension $d$ and $s$ the scale of the head, so that the **logit**
# $t_{ij} = s\, q_i \cdot k_j$ lies in $[-s, s]$. The output of query $i$ is a weighted mean of the values,
#
# $$o_i = \frac{\sum_j e^{t_{ij}}\, v_j}{\sum_j e^{t_{ij}}}.$$
#
# The exponential ties $i$ and $j$ together: to know $e^{t_{ij}}$ one needs that very pair. Now suppose the weight
# were a product $\psi(q_i) \cdot \psi(k_j)$ of two vectors of $r$ **features**, one made of the query alone, one of
# the key alone. Then the query can be taken out of the sum:
#
# $$\sum_j \big(\psi(q_i) \cdot \psi(k_j)\big)\, [v_j, 1] \;=\; \psi(q_i)^T \underbrace{\sum_j \psi(k_j)\, [v_j, 1]^T}_{S}.$$
#
# $S$ has $r$ rows and $d + 1$ columns, however many keys there are. The 1 appended to each value makes the last
# column add up the weights, which gives the denominator for free. A matrix of weights that factors in this way has
# rank at most $r$: hence *low-rank attention*.
#
# The only question is where $\psi$ (psi) comes from. (Most papers call it $\phi$. In these lessons $\varphi$ is the
# tokenizer's convolution, lesson 1, so the features get a letter of their own.)
#
# ## From the exponential to a polynomial
#
# If $|t| \le s$ and $s$ is small, a few terms of Taylor's series are close to $e^t$:
# $e^t \approx 1 + t + \tfrac{t^2}{2} + \dots + \tfrac{t^g}{g!}$. The highest power $g$ is the **degree**.


# %%
def taylor(t, degree):
    return sum(t**j / math.factorial(j) for j in range(degree + 1))


DEGREES = {1: "#999999", 2: "#d55e00", 3: "#cc79a7", 4: "#0072b2"}
figure = new_figure(6.6, 2.8)
for axis, (low, high) in zip(figure.subplots(1, 2), ((-2, 2), (-5, 2))):
    t = torch.linspace(low, high, 200)
    axis.plot(t, t.exp(), color="black", linewidth=2.5, label="exp")
    for degree, colour in DEGREES.items():
        axis.plot(t, taylor(t, degree), color=colour, linestyle="-" if degree % 2 == 0 else "--", label=f"degree {degree}")
    axis.axhline(0, color="0.7", linewidth=0.8)
    axis.set_ylim(-3, 7.5)
    axis.set_xlabel("logit t", fontsize=8)
axis.legend(fontsize=8)
t = torch.linspace(-2, 2, 401, dtype=torch.float64)
for degree in DEGREES:
    print(
        f"degree {degree}: on [-2, 2] at most {(taylor(t, degree) - t.exp()).abs().max() / math.exp(2):.1%} of e^2 away from exp"
    )
shown(
    figure,
    "exp and its Taylor polynomials of degrees 1 to 4, near it between -2 and 2, far away below; odd degrees dive below zero",
)

# %% [markdown]
# ## From a polynomial to monomials
#
# $1$, $t$, $t^2$ are powers of a dot product, and a power of a dot product is a sum of products of coordinates. For
# $d = 2$:
#
# $$(q \cdot k)^2 = (q_1 k_1 + q_2 k_2)^2 = q_1^2\, k_1^2 + 2\, q_1 q_2\, k_1 k_2 + q_2^2\, k_2^2
# = (q_1^2, \sqrt2\, q_1 q_2, q_2^2) \cdot (k_1^2, \sqrt2\, k_1 k_2, k_2^2).$$
#
# There it is, a product of a vector made of $q$ and one made of $k$: the **monomials** of degree 2. The mixed one
# stands twice in the square, once as $q_1 q_2$ and once as $q_2 q_1$; it is kept once, with the weight $\sqrt 2$ on
# each side.

# %% [markdown]
# {{exercise monomial_features}}
#
# Write $\psi$ of degree 2, with $\psi(q) \cdot \psi(k) = 1 + t + \tfrac{t^2}{2}$ for $t = s\, q \cdot k$. With
# $y = \sqrt s\, x$ the features are the following, in any order:
#
# - $1$;
# - $y_1, \dots, y_d$;
# - for every pair $i \le j$ the number $\sqrt{\tfrac12}\, y_i y_i$ where $i = j$, and $y_i y_j$ where $i < j$ (that is
#   $\sqrt{\tfrac12} \cdot \sqrt 2$).
#
# The check asks for the number of features, and compares every product $\psi(x_i) \cdot \psi(x_j)$.


# %% tags=["exercise"]
def monomial_features(x, scale):
    """Features of degree 2: psi(q) . psi(k) = 1 + t + t^2 / 2 with t = scale * (q . k).

    x        float (n, d), queries or keys
    scale    number above 0
    returns  float (n, 1 + d + d * (d + 1) / 2), in any order
    """
    ### BEGIN SOLUTION
    n, d = x.shape
    y = x * scale**0.5
    i, j = torch.triu_indices(d, d)  # pairs i <= j, row by row
    weights = torch.where(i == j, 0.5, 1.0).to(x.dtype).sqrt()
    return torch.cat([torch.ones(n, 1, dtype=x.dtype), y, y[:, i] * y[:, j] * weights], dim=1)
    ### END SOLUTION


checks.monomial_features(monomial_features)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `torch.triu_indices(d, d)` gives the pairs $i \le j$ as two rows of indices. `y[:, i] * y[:, j]`
# are all products at once.
#
# </details>
#
# {{help monomial_features}}

# %% [markdown]
# Now with real queries and keys. We send ten test pictures through the model and keep what reaches its attention
# layers.


# %%
def learned(of):
    """q, k, v (layers, images, heads, tokens, d) of ten test pictures, and the scale of every layer and head."""
    with torch.no_grad():
        pictures = torch.stack([sample.image for sample in load_samples(of.config)])
        maps = of.tokenizer.quantize.quantize(of.tokenizer.encode(pictures * 2 - 1)).token_ids
        scales = torch.stack([block.attn.logit_scale().flatten() for block in of.transformer.blocks])
    return collect_qkv(of, torch.cat(maps, dim=1), torch.arange(len(pictures))), scales


qkv, scales = learned(model)
psi = checks.use("monomial_features")
q, k, v = (part[3, 7, 2].double() for part in (qkv.q, qkv.k, qkv.v))  # layer 4, the sneaker, head 3
s = scales[3, 2].item()
t = s * q @ k.T
features_q, features_k = psi(q, s), psi(k, s)
assert torch.allclose(features_q @ features_k.T, 1 + t + t**2 / 2)
ranks = [int(torch.linalg.matrix_rank(matrix)) for matrix in (t.exp(), features_q @ features_k.T)]
print(f"{len(q)} tokens, d = {q.shape[1]}, s = {s:.2f}; logits from {t.min():.2f} to {t.max():.2f}")
print(f"features r = {features_q.shape[1]} = C(8 + 2, 2); rank of the matrices: exp {ranks[0]}, degree 2 {ranks[1]}")
assert features_q.shape[1] == math.comb(10, 2) == 45 and ranks[1] <= 45 < ranks[0]
row(
    [t.exp(), taylor(t, 2), (t.exp() - taylor(t, 2)).abs()],
    ["exp(t)", "1 + t + t²/2", "difference"],
    size=2.0,
    bar="weight",
    axes=("key", "query"),
    limits=(0, t.exp().max().item()),
    alt="88 by 88 weights of the exponential, of the polynomial of degree 2, and their small difference, on one colour scale",
)

# %% [markdown]
# The two matrices look alike, but the second one has rank 45 at most, for 88 tokens and for 88,000. (Here it is even
# 44: the squares of a unit vector's coordinates add up to 1, so one feature says nothing new.) The number of features
# is the number of monomials of degree up to $g$ in $d$ variables, $r = \binom{d+g}{g}$. It depends on the head
# dimension and the degree, **not on the number of tokens**.
#
# ## A state of constant size
#
# The KV cache has two operations: *extend* it with the keys and values of a new scale, and *attend* to it. The state
# $S$ has the same two.

# %% [markdown]
# {{exercise update_state}}
#
# Extend: add $\psi(k_j)\, [v_j, 1]^T$ of every new key to $S$. One matrix product does it for all heads.


# %% tags=["exercise"]
def update_state(state, psi, v):
    """The state after the keys of one more scale: S + sum over the new keys of psi(k) [v, 1]^T.

    state    float (H, r, d + 1), the sums so far; must not be changed in place
    psi      float (H, n, r), features of the n new keys
    v        float (H, n, d), their values
    returns  float (H, r, d + 1)
    """
    ### BEGIN SOLUTION
    ones = torch.ones_like(v[..., :1])
    return state + psi.transpose(-1, -2) @ torch.cat([v, ones], dim=-1)
    ### END SOLUTION


checks.update_state(update_state)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `psi.transpose(-1, -2) @ values` sums over the keys. `torch.cat` appends a column of ones to the values.
#
# </details>
#
# {{help update_state}}

# %% [markdown]
# {{exercise read_state}}
#
# Attend: $\psi(q)^T S$ has $d + 1$ numbers. The last is the sum of the query's weights, its **denominator**; the
# others are divided by it.


# %% tags=["exercise"]
def read_state(state, psi):
    """Attention output of queries that see everything that is in the state.

    state    float (H, r, d + 1), with the sums of the features in its last column
    psi      float (H, n, r), features of the n queries
    returns  float (H, n, d)
    """
    ### BEGIN SOLUTION
    sums = psi @ state  # (H, n, d + 1)
    return sums[..., :-1] / sums[..., -1:]
    ### END SOLUTION


checks.read_state(read_state)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `x[..., -1:]` keeps the last dimension, so that the division fits.
#
# </details>
#
# {{help read_state}}

# %% [markdown]
# **Is it the same?** Once the exponential has been replaced by the polynomial, nothing else is approximated. To show
# it, we compute one head's attention twice in float64: scale by scale through the state, and with the explicit
# $88 \times 88$ matrix of polynomial weights under the block-causal mask of lesson 2.

# %%
update, read = checks.use("update_state"), checks.use("read_state")
state, outputs = torch.zeros(1, 45, 9, dtype=torch.float64), []
for where in pyramid.slices:
    state = update(state, psi(k[where], s)[None], v[where][None])  # extend
    outputs.append(read(state, psi(q[where], s)[None]))  # attend
through_state = torch.cat(outputs, dim=1)[0]

weights = taylor(t, 2) * pyramid.block_causal_mask()
explicit = (weights @ v) / weights.sum(dim=1, keepdim=True)
print(f"largest difference between state and explicit matrix: {(through_state - explicit).abs().max():.1e}")
assert torch.allclose(through_state, explicit, rtol=1e-6, atol=1e-8)

theirs, outputs = new_state("poly-2", 1, torch.tensor([s]), 8, pyramid.tokens), []
for where in pyramid.slices:  # the library's, in float32
    theirs.extend(k[where].float()[None, None], v[where].float()[None, None])
    outputs.append(theirs.attend(q[where].float()[None, None])[0, 0])
assert torch.allclose(torch.cat(outputs).double(), through_state, atol=1e-4)
print(f"the state holds {45 * 9} numbers per head; a KV cache of 88 tokens {2 * 8 * 88}, of 680 tokens {2 * 8 * 680:,}")

# %% [markdown]
# ## The switch
#
# In this library attention is chosen by name, per call: `exact`, `poly-2`, `poly-4`, `landmark-64`, `pool-2`, and so
# on. (Landmarks and pooling follow below.) Same model, same seed, same noise.
#
# **Predict.** The outputs of degree 2 are off by 15 % (median over the heads of this model). Which share of the
# drawn tokens will be the same as with exact attention: nearly all, about half, nearly none? And will the pictures
# be worse?
#
# <details><summary>Answer</summary>
#
# About half; and no: look at the pictures, and at the table below them.
#
# </details>

# %% tags=["skip-grading"]
NAMES = ("exact", "poly-2", "poly-4", "landmark-16", "landmark-64", "pool-2")
lines, names = [], []
equal = {name: [] for name in NAMES}
for label, seed in ((7, 0), (1, 2)):
    runs = [model.trace(label, seed, attention=name) for name in NAMES]
    images = [run.image[0] for run in runs]
    lines += [images, [(image - images[0]).abs().mean(0) for image in images]]
    names += [model.config.class_name(label), "difference"]
    for name, run in zip(NAMES, runs):
        ids = [torch.cat([step.token_ids[0] for step in one.steps]) for one in (run, runs[0])]
        equal[name].append((ids[0] == ids[1]).double().mean().item())
for name in NAMES:
    print(f"{name:12} tokens equal to those of exact attention: {sum(equal[name]) / 2:.0%}")
assert equal["exact"] == [1.0, 1.0]
grid(
    lines,
    NAMES,
    names,
    limits=(0, 1),
    bar="difference",
    alt="a sneaker and a pair of trousers drawn with six kinds of attention, and each one's difference from exact",
)

# %% [markdown]
# Slightly different pictures, all of them plausible. A small change of a probability lets another token be drawn, and
# the later scales follow it. So "half of the tokens differ" does not mean "half as good". To judge quality one must
# draw many pictures. These are the stored results for 2,000 pictures of the same seeds: *class accuracy* is how often
# an independent classifier sees the class that was asked for; the *Frechet distance* compares drawn with real
# pictures, lower is better.

# %%
Markdown(error_table(ASSETS / "results", "fashion-28-bounded"))

# %% [markdown]
# With `poly-2` attention outputs are off by 15 % (median), half of the tokens become others, and accuracy and Frechet
# distance are those of exact attention: *another drawing, not a worse one*. This model was trained for it: it has a
# small head dimension, its scale is capped at 2, and in the last fifth of its training exact and polynomial attention
# took turns. A model that knew nothing of it follows below.
#
# ## Head by head
#
# Error here means $\lVert \text{approximation} - \text{exact} \rVert / \lVert \text{exact} \rVert$ of one head's
# output, from the same $q$, $k$, $v$; here for the last scale.

# %% tags=["skip-grading"]
matrices = {}
for name in ("poly-2", "poly-4", "landmark-16", "landmark-64", "pool-2"):
    errors, fallbacks = output_errors(model, qkv, name)
    matrices[name] = torch.tensor(errors)[..., -1]  # (layers, heads)
    median, largest = matrices[name].median(), matrices[name].max()
    print(f"{name:12} error: median {median:.3f}, largest {largest:.3f}; fallbacks to exact: {fallbacks}")
assert matrices["poly-4"].max() < matrices["poly-2"].min() and matrices["landmark-64"].median() < matrices["landmark-16"].median()
row(
    list(matrices.values()),
    list(matrices),
    limits=(0, 0.5),
    bar="error",
    axes=("head", "layer"),
    alt="error of each layer (rows) and head (columns) on one scale from 0 to 0.5: pooling is brightest, degree 4 darkest",
)

# %% [markdown]
# Rows are layers, columns are heads, dark is exact, the brightest yellow an error of one half. A *fallback* means: a
# denominator was not positive, and the head was computed exactly instead, and counted. Why can that happen?
#
# ## Why the degree must be even
#
# Softmax weights are positive, so the output is a mean of the values. A polynomial may be negative. Then the
# denominator, a sum of weights, can come near zero or pass through it, and a division by almost zero throws the
# output anywhere.
#
# For Taylor's polynomials $p_g$ of the exponential, the parity of the degree decides. Odd $g$: $p_g(t) \to -\infty$
# for
# $t \to -\infty$, so it is negative somewhere. Even $g$: it has a least value, and there its derivative, which is
# $p_{g-1}$, vanishes. But $p_g = p_{g-1} + t^g / g!$, so the least value is $t^g / g!$, and that is positive. **Even
# Taylor polynomials are positive everywhere**, whatever the logits.

# %% [markdown]
# {{exercise weights_of_degree}}
#
# Measure it: for logits $t$ and a degree, which share of all weights is negative, and what is the least denominator
# of any query?


# %% tags=["exercise"]
def weights_of_degree(t, degree):
    """What Taylor's polynomial of exp does to the weights.

    t        float (n, N), logits of n queries and N keys
    degree   1, 2, 3, ...
    returns  a pair of numbers: the share of weights below 0, and the least sum of weights of any query
    """
    ### BEGIN SOLUTION
    term, weights = torch.ones_like(t), torch.ones_like(t)
    for j in range(1, degree + 1):
        term = term * t / j  # t^j / j!
        weights = weights + term
    return (weights < 0).double().mean().item(), weights.sum(dim=1).min().item()
    ### END SOLUTION


checks.weights_of_degree(weights_of_degree)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Each term is the one before times $t / j$. A query's denominator is the sum over its keys, dimension 1.
#
# </details>
#
# {{help weights_of_degree}}

# %% [markdown]
# Now on learned queries and keys, for two models: this one, with logits within $[-2, 2]$, and `fashion-28`, whose
# scales were free and grew to 11.6. All weights are computed explicitly, so nothing can fall back.


# %% tags=["skip-grading"]
mask = pyramid.block_causal_mask()


def measured(weights, exact, v):
    """Share of negative weights, least denominator, denominators not above 0, and the error of each layer and head."""
    weights = weights * mask
    sums = weights.sum(dim=-1)
    out = (weights @ v) / sums.unsqueeze(-1)
    error = (out - exact).transpose(1, 2).flatten(2).norm(dim=-1) / exact.transpose(1, 2).flatten(2).norm(dim=-1)
    return (
        (weights < 0).sum().item() / (mask.sum() * sums[..., 0].numel()).item(),
        sums.min().item(),
        int((sums <= 0).sum()),
        error,
    )


def logits_and_exact(qkv, scales):
    q, k, v = (part[:, :4].double() for part in (qkv.q, qkv.k, qkv.v))  # four pictures
    t = scales.double()[:, None, :, None, None] * (q @ k.transpose(-1, -2))
    return t, t.masked_fill(~mask, -math.inf).softmax(-1) @ v, v


free = load("fashion-28")
cases = {"fashion-28-bounded": logits_and_exact(qkv, scales), "fashion-28": logits_and_exact(*learned(free))}
NEGATIVE_BELOW = {  # the only real zero of an odd polynomial
    degree: max(z.real for z in Polynomial([1 / math.factorial(j) for j in range(degree + 1)]).roots() if abs(z.imag) < 1e-9)
    for degree in (1, 3, 5)
}
print("odd degrees are negative below t =", {degree: round(float(zero), 2) for degree, zero in NEGATIVE_BELOW.items()})
print("                             negative   least sum   sums <= 0   error: median, largest head")
for name, (t, exact, values) in cases.items():
    for degree in (1, 2, 3, 4, 5):
        share, least, failed, error = measured(taylor(t, degree), exact, values)
        print(f"{name:19} degree {degree} {share:9.1%} {least:11.3g} {failed:11} {error.median():14.2g}, {error.max():.2g}")
        assert (share == 0 and failed == 0) if degree % 2 == 0 else (share > 0) == (t.min() < NEGATIVE_BELOW[degree])
        # one head's last scale, with the function above
        mine = checks.use("weights_of_degree")(t[0, 0, 0][pyramid.slices[-1]], degree)
        assert mine[1] >= least - 1e-6 and (mine[0] == 0 or share > 0)

# %% [markdown]
# Degree 3 is closer to the exponential than degree 2 for small logits, and has the smaller median error in
# `fashion-28-bounded`. But even there some denominators are negative, and with `fashion-28` the error goes into the
# hundreds. Degree 5 is safe for `fashion-28-bounded`, but only because its zero lies outside of $[-2, 2]$. Even
# degrees have no such accidents; at the large logits of `fashion-28` they are poor approximations, but safe ones.
# This library refuses odd degrees.
#
# ## Would better coefficients help?
#
# Taylor's polynomial is best near $t = 0$. The polynomial through the *Chebyshev points* is nearly the best one on
# all of $[-s, s]$, in its largest error. Is it better for attention? We try both with three kinds of logits: those
# of this model; as many that are spread evenly over the same $[-s, s]$; and those of `fashion-28`.
#
# **Predict.** Write down for each of the three which polynomial will have the smaller error at degree 2, and which
# at degree 4.
#
# <details><summary>Answer</summary>
#
# Degree 2: Taylor, Chebyshev, Taylor. Degree 4: Chebyshev, Chebyshev, Taylor. The text below the cell says why.
#
# </details>


# %% tags=["skip-grading"]
def chebyshev_weights(t, scales, degree):
    weights = torch.empty_like(t)
    for layer, row_of_scales in enumerate(scales.tolist()):
        for head, s in enumerate(row_of_scales):
            nearest = chebyshev.Chebyshev.interpolate(lambda x: torch.as_tensor(x).exp().numpy(), degree, [-s, s])
            coefficients = nearest.convert(kind=Polynomial).coef
            weights[layer, :, head] = sum(float(c) * t[layer, :, head] ** j for j, c in enumerate(coefficients))
    return weights


t, exact, values = cases["fashion-28-bounded"]
anywhere = 2 * torch.rand(t.shape, generator=torch.Generator().manual_seed(0), dtype=t.dtype) - 1
evenly = scales.double()[:, None, :, None, None] * anywhere
kinds = {
    "fashion-28-bounded": (t, exact, values, scales),
    "spread evenly": (evenly, evenly.masked_fill(~mask, -math.inf).softmax(-1) @ values, values, scales),
    "fashion-28": (*cases["fashion-28"], torch.stack([b.attn.logit_scale().detach().flatten() for b in free.transformer.blocks])),
}
medians, shares = {}, {}
for name, (t, exact, values, its_scales) in kinds.items():
    bound = its_scales.double()[:, None, :, None, None]
    far = (t.abs() > 0.75 * bound)[..., mask].double().mean().item()
    print(f"{name}: logits deviate by {t[..., mask].std():.2f}, s up to {its_scales.max():.1f}; beyond 3/4 of s: {far:.0%}")
    for degree in (2, 4, 6):
        for kind, weights in (("Taylor", taylor(t, degree)), ("Chebyshev", chebyshev_weights(t, its_scales, degree))):
            share, _, failed, error = measured(weights, exact, values)
            medians[name, degree, kind], shares[name, degree, kind] = error.median().item(), share
            print(f"  degree {degree} {kind:9}  error: median {error.median():.2g}, largest head {error.max():.2g};", end=" ")
            print(f"negative weights {share:.1%}, sums <= 0: {failed}")
better = {name: [medians[name, g, "Chebyshev"] < medians[name, g, "Taylor"] for g in (2, 4, 6)] for name in kinds}
assert better["fashion-28-bounded"] == [False, True, True]
assert better["spread evenly"] == [True, True, True] and better["fashion-28"] == [False, False, False]
assert shares["fashion-28", 2, "Chebyshev"] > 0.4

# %% [markdown]
# It depends.
#
# - **Spread evenly** over $[-s, s]$, with $s \le 2$, Chebyshev's polynomial is better at every degree: this is what
#   it was made for.
# - The logits of **this model** are not spread evenly. They gather around 0, where Taylor's polynomial is nearly
#   exact, so at degree 2 Taylor wins. At degree 4 and 6 Chebyshev's error is so small on the whole interval that it
#   wins all the same.
# - With the free logits of **`fashion-28`** it loses at all three degrees. What it keeps small is the largest
#   *absolute* error on $[-s, s]$. That error is spread evenly, and at $s = 11.6$ it is far larger than the small
#   weights on the left: many of them become negative, and sums pass through zero. In softmax it is the *relative*
#   size of the weights that matters.
#
# `poly-2-calibrated` in the table above draws the conclusion: it fits the coefficients to the model's own logits
# and insists on being positive. That helps, nearly three times less error for the same state, but takes calibration
# and gives no guarantee beyond the interval.
#
# ## Would random features do?
#
# A well-known other way to write the exponential as a product is FAVOR+ (Performer): for a random normal direction
# $w$, the mean of $e^{\sqrt s\, w \cdot q - s/2} \cdot e^{\sqrt s\, w \cdot k - s/2}$ is exactly
# $e^{s\, q \cdot k}$ for unit vectors. Take $r$ such directions, orthogonal in groups of $d$: all weights are
# positive. But the mean of few samples is noisy. How noisy depends on the directions that were drawn, so we draw
# them six times.
#
# **Predict.** How many random features are as good as the 45 monomials of degree 2: about 45, 200, 1,000 or more?
#
# <details><summary>Answer</summary>
#
# More than 1,000, at these logits.
#
# </details>


# %% tags=["skip-grading"]
def favor_weights(q, k, scales, features, seed):
    """Weights from positive orthogonal random features, of the queries and keys of one model."""
    d, generator = q.shape[-1], torch.Generator().manual_seed(seed)
    normal = partial(torch.randn, generator=generator, dtype=q.dtype)
    blocks = [torch.linalg.qr(normal(d, d))[0] for _ in range(-(-features // d))]
    w = torch.cat(blocks)[:features] * normal(features, d).norm(dim=1, keepdim=True)
    s = scales.to(q.dtype)[:, None, :, None, None]
    made = [torch.exp(s.sqrt() * (x @ w.T) - s / 2) / features**0.5 for x in (q, k)]
    return made[0] @ made[1].transpose(-1, -2)


t, exact, values = cases["fashion-28-bounded"]
curve = {}  # features -> the median over all heads, for each of six draws
for features in (16, 64, 256, 1024):
    curve[features] = []
    for seed in range(6):
        errors = []
        for layer in range(settings.depth):  # layer by layer, to save memory
            part = slice(layer, layer + 1)
            weights = favor_weights(qkv.q[part, :2], qkv.k[part, :2], scales[part], features, seed).double()
            errors.append(measured(weights, exact[part, :2], values[part, :2])[3])
        curve[features].append(torch.cat(errors).median().item())
    least, most = min(curve[features]), max(curve[features])
    print(f"FAVOR+ with {features:4} features: median error {least:.2f} to {most:.2f}, mean {sum(curve[features]) / 6:.2f}")
poly = {
    45: measured(taylor(t, 2), exact, values)[3].median().item(),
    495: measured(taylor(t, 4), exact, values)[3].median().item(),
}
print(f"degree 2 with 45 features: {poly[45]:.2f}; degree 4 with 495 features: {poly[495]:.3f}")
assert poly[45] < min(curve[1024]) and max(curve[1024]) < min(curve[64])

# %% [markdown]
# At these logits 45 monomials do better than a thousand random features, whichever directions are drawn. The error
# of a mean of $r$ random samples falls only with $\sqrt r$.
#
# ## Landmarks
#
# Monomials of all directions are a luxury if queries and keys gather in a few places, and learned ones do. Choose $m$
# **landmarks** $L$ there. With the kernel $K(x, y) = e^{s (x \cdot y - 1)}$ (dividing all weights by $e^s$ changes
# nothing, for the denominator is divided, too), Nyström's method sets
#
# $$K(q, k) \approx K(q, L)\; K(L, L)^{-1}\; K(L, k).$$
#
# It is exact when $q$ or $k$ is a landmark, and good near one. The features of a key are its kernel with the $m$
# landmarks, the state is $m \times (d+1)$, and the small inverse is applied to the state, once per scale.

# %% [markdown]
# {{exercise landmark_kernel}}
#
# Write the approximate kernel of all pairs. Add `ridge` to the diagonal of $K(L, L)$ before you solve: landmarks that
# lie close to each other make the matrix nearly singular.


# %% tags=["exercise"]
def landmark_kernel(q, k, landmarks, scale, ridge):
    """Nystrom's approximation of exp(scale * (q . k - 1)).

    q, k       float (n, d) and (N, d), unit vectors
    landmarks  float (m, d), unit vectors
    scale      number above 0
    ridge      number above 0, to be added to the diagonal of K(L, L)
    returns    float (n, N): K(q, L) (K(L, L) + ridge I)^-1 K(L, k)
    """
    ### BEGIN SOLUTION

    def kernel(x, y):
        return torch.exp(scale * (x @ y.T - 1))

    gram = kernel(landmarks, landmarks) + ridge * torch.eye(len(landmarks), dtype=q.dtype)
    return kernel(q, landmarks) @ torch.linalg.solve(gram, kernel(landmarks, k))
    ### END SOLUTION


checks.landmark_kernel(landmark_kernel)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Write a small function for $K(x, y)$ inside yours and call it three times. `torch.linalg.solve(A, B)` is $A^{-1} B$.
#
# </details>
#
# {{help landmark_kernel}}

# %% [markdown]
# Where to put the landmarks? The model's own were found by k-means among queries and keys of *training* pictures. For
# comparison: as many random directions.
#
# And a yardstick: how good could a matrix of rank $r$ be at all? The best one, in the sum of squared differences,
# is the truncated **singular value decomposition** (SVD) of the matrix of all weights. It is no algorithm for
# attention: to compute it one needs every pair, and a new decomposition for every picture and head. But it shows
# how much room is left.

# %% tags=["skip-grading"]
kernel = checks.use("landmark_kernel")
found = model.transformer.calibration.landmarks  # {m: (layers, heads, m, d)}
generator = torch.Generator().manual_seed(0)
medians = {"k-means": {}, "random": {}}
for m, calibrated in sorted(found.items()):
    anywhere = F.normalize(torch.randn(calibrated.shape, generator=generator), dim=-1)
    for name, landmarks in (("k-means", calibrated), ("random", anywhere)):
        weights = torch.empty_like(t[:, :1])  # one picture
        for layer in range(settings.depth):
            for head in range(settings.heads):
                one = (qkv.q[layer, 0, head].double(), qkv.k[layer, 0, head].double(), landmarks[layer, head].double())
                weights[layer, 0, head] = kernel(*one, scales[layer, head].item(), 1e-5)
        medians[name][m] = measured(weights, exact[:, :1], values[:, :1])[3].median().item()
for name, errors in medians.items():
    print(f"{name:8} landmarks: " + ", ".join(f"{m}: {error:.3f}" for m, error in errors.items()))
assert all(medians["k-means"][m] < medians["random"][m] for m in found)

left, sizes, right = torch.linalg.svd(t[:, :1].exp(), full_matrices=False)
best = {}
for r in (16, 32, 45, 64):
    weights = (left[..., :r] * sizes[..., None, :r]) @ right[..., :r, :]
    best[r] = measured(weights, exact[:, :1], values[:, :1])[3].median().item()
print("best rank r (SVD): " + ", ".join(f"{r}: {error:.2g}" for r, error in best.items()))
assert best[45] < poly[45] / 10 and best[64] < medians["k-means"][64] / 10

figure = new_figure(6.2, 3.4)
axis = figure.subplots()
middle = [sum(found_errors) / len(found_errors) for found_errors in curve.values()]
bars = [[m - min(e) for m, e in zip(middle, curve.values())], [max(e) - m for m, e in zip(middle, curve.values())]]
axis.set_xscale("log")
axis.set_yscale("log")
axis.errorbar(list(curve), middle, yerr=bars, fmt="s--", color="#cc79a7", capsize=3, label="FAVOR+ (six draws)")
axis.loglog(list(medians["random"]), list(medians["random"].values()), "o--", color="#7fc8f0", label="random landmarks")
axis.loglog(list(poly), list(poly.values()), "D-", color="#d55e00", label="monomials of degree 2 and 4")
axis.loglog(list(medians["k-means"]), list(medians["k-means"].values()), "o-", color="#0072b2", label="k-means landmarks")
axis.loglog(list(best), list(best.values()), "k:", marker="_", label="best matrix of rank r (SVD)")
ticks = (16, 32, 64, 256, 1024)
axis.set_xticks(ticks, ticks)
axis.set_yticks([0.001, 0.01, 0.1, 0.5], [0.001, 0.01, 0.1, 0.5])
axis.minorticks_off()
axis.set_xlabel("features r", fontsize=8)
axis.set_ylabel("median error of a head", fontsize=8)
axis.legend(fontsize=8)
shown(
    figure,
    "error against number of features: random features fall slowly, landmarks from k-means and monomials fall fast, "
    "far below them lies the best matrix of that rank",
)

# %% [markdown]
# Of the methods that can be computed as one goes, landmarks from the model's own data give the least error per
# feature. With 45 features the best matrix has an error far below that of degree 2: a picture's weights have a much
# lower rank, nearly, than any fixed set of features can use. The price of landmarks: they must be calibrated and
# stored, and their weights *can* be negative, for which reason the library keeps the keys and values as a reserve
# and falls back to exact attention where a denominator is not positive.
#
# ## Pooled keys
#
# The third way keeps the exponential and takes fewer keys: neighbouring tokens of a fine map are alike, so average
# the keys and values over cells of $f \times f$ tokens. A cell stands for $c$ keys, and its weight should be
# $c\,e^t=e^{t+\log c}$: add $\log c$ to its logit. The cost falls by $f^2$, but keeps its order $n^4$. So this is not
# low-rank, only smaller.

# %% [markdown]
# {{exercise pool_keys}}
#
# Cells at the right and lower border hold fewer keys where $f$ does not divide the side.


# %% tags=["exercise"]
def pool_keys(k, side, factor):
    """Mean key of every cell, and what to add to its logit.

    k        float (side * side, d), keys of one scale, row by row
    side     side of the token map
    factor   cells are factor x factor tokens; at the border what is left
    returns  a pair: float (cells, d), row by row, the mean over the keys that the cell has;
             float (cells,), the logarithm of how many keys it has
    """
    ### BEGIN SOLUTION
    maps = k.T.reshape(1, -1, side, side)
    means = F.avg_pool2d(maps, factor, ceil_mode=True, count_include_pad=False)
    counts = F.avg_pool2d(torch.ones_like(maps[:, :1]), factor, ceil_mode=True, divisor_override=1)  # sums of ones
    return means.flatten(2)[0].T, counts.flatten().log()
    ### END SOLUTION


checks.pool_keys(pool_keys)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two loops over the cells with slices `grid[i : i + factor, j : j + factor]` are short: slices end at the border by
# themselves. Or use `F.avg_pool2d(..., ceil_mode=True)`.
#
# </details>
#
# {{help pool_keys}}

# %% [markdown]
# Is the $\log c$ worth the trouble? On the last map of our model, side 7 and cells of 2 × 2, the cells have 4, 2 or 1
# keys. The coarser maps stay as they are.

# %% tags=["skip-grading"]
pool = checks.use("pool_keys")
fine, coarse = pyramid.slices[-1], slice(0, pyramid.slices[-1].start)
errors = {"with log c": [], "without": []}
for layer in range(settings.depth):
    for head in range(settings.heads):
        q, k, v = (part[layer, 0, head] for part in (qkv.q, qkv.k, qkv.v))
        pooled_k, bias = pool(k[fine], pyramid.side, 2)
        pooled_v, _ = pool(v[fine], pyramid.side, 2)
        keys, vals = torch.cat([k[coarse], pooled_k]), torch.cat([v[coarse], pooled_v])
        zeros = torch.zeros(coarse.stop)
        wanted = torch.softmax(scales[layer, head] * q[fine] @ k.T, dim=-1) @ v
        for name, extra in (("with log c", bias), ("without", torch.zeros_like(bias))):
            out = torch.softmax(scales[layer, head] * q[fine] @ keys.T + torch.cat([zeros, extra]), dim=-1) @ vals
            errors[name].append(((out - wanted).norm() / wanted.norm()).item())
print(f"{pyramid.tokens} keys become {len(keys)}")
for name, found_errors in errors.items():
    print(f"{name:10}: median error {torch.tensor(found_errors).median():.3f}")
assert torch.tensor(errors["with log c"]).median() < torch.tensor(errors["without"]).median()

# %% [markdown]
# ## When does it pay?
#
# A state has a price of its own: it must be updated and read with $r$ features per token. With few tokens a KV cache
# is simply cheaper. Stored measurements of one layer's attention over a whole picture, head dimension 8, one CPU
# thread:

# %%
stored = json.loads((ASSETS / "results" / "scaling.json").read_text())
rows = [r for r in stored["rows"] if (r["what"], r["head_dim"]) == ("attention", 8)]
shown_methods = ("poly-2", "landmark-32", "landmark-64", "pool-2", "pool-4")
figure = new_figure(6.4, 3.0)
axis = figure.subplots()
for method in shown_methods:
    points = sorted((r["side"], r["speedup_vs_exact"]) for r in rows if r["method"] == method)
    axis.loglog(*zip(*points), "o-", color=COLOURS[method], label=method, markersize=4)
    print(f"{method:12}" + "".join(f"  side {side}: {value:5.2f}x" for side, value in points))
    assert points[0][1] < 1  # slower than the cache at the smallest side
gain = {(r["method"], r["side"]): r["speedup_vs_exact"] for r in rows}
states = ("poly-2", "landmark-32", "landmark-64")
assert all(1 < gain[method, 24] < gain["pool-4", 24] and gain[method, 48] > gain["pool-4", 48] for method in states)
axis.axhline(1, color="black", linewidth=1)
sides = [side for side, _ in points]
axis.set_xticks(sides, sides)
axis.set_yticks([0.25, 1, 4, 16, 64], ["1/4", "1", "4", "16", "64"])
axis.minorticks_off()
axis.set_xlabel("side of the last map", fontsize=8)
axis.set_ylabel("times as fast as a KV cache", fontsize=8)
axis.legend(fontsize=8)
shown(
    figure, "speed against a KV cache by side: all below 1 at side 8; polynomial and landmarks climb steeply, pooling levels off"
)

# %% [markdown]
# Below the black line a method is **slower** than exact attention with a cache. At side 8 all are, and the
# model of this lesson stops at side 7: the switch in this lesson shows what changes in the picture, not a gain. From side
# 24 on all constant-size states beat the cache; but there `pool-4` beats them. Their gain keeps growing, because their cost
# grows like $n^2$ instead of $n^4$, while pooling's levels off: at side 32 `poly-2` and `landmark-32` are about
# level with `pool-4`, at side 48 all are ahead.
#
# ## What to remember
#
# - Replace $e^t$ by a polynomial of the logit, expand it into monomials, and the sum over keys becomes a state of
#   $r\times(d+1)$ numbers with $r = \binom{d+g}{g}$, whatever the number of tokens.
# - That is the only approximation: state and explicit matrix agree to rounding.
# - Even Taylor degrees keep every weight positive. Odd ones do not, nor do Chebyshev's coefficients where logits are
#   large. Which coefficients are better depends on the degree and on where the logits lie.
# - Features that are fixed beforehand are far from the best matrix of the same rank, which would need all keys.
# - It works because the logits are *bounded*: within $[-2, 2]$ degree 2 is good, at 11 it is not. Lesson 6 asks how
#   large they may be.
