# %% [markdown]
# # 13. Fast fine-tuning, and its threshold
#
# Fine-tuning a whole model means storing it again. **LoRA** ([arXiv 2106.09685](https://arxiv.org/abs/2106.09685)) keeps
# the weights and learns a change of low rank. Then a second question: the *gradient* of such a change still looks at all
# pairs of tokens. Can it be computed without them? [arXiv 2406.03136](https://arxiv.org/abs/2406.03136) says: below a
# threshold of the norms yes, above it no (unless SETH fails).
#
# After it you can say
#
# - what an adapter is, how many numbers it has, and why it starts as no change at all,
# - which gradients its two factors get,
# - how the gradient of attention becomes a chain of thin products,
# - why an approximation that is good at the start of training may be useless at its end.
#
# Time: 65 minutes with the exercises, 20 without. Before each output marked **Guess** write down an answer of your own.

# %%
import contextlib
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from var_mini import checks, load
from var_mini.checkpoints import ASSETS
from var_mini.theory import lora as theory
from var_mini.training import lora
from var_mini.training.transformer import cross_entropy, tokenize_images
from var_mini.view.plates import grid, new_figure, shown

STEPS = 5 if os.environ.get("VAR_MINI_FAST") else 50
stored = json.loads((ASSETS / "results" / "limits-lora.json").read_text())

# %% [markdown]
# ## An adapter
#
# A weight $W$ stays; beside it stand $B$ (as many rows as $W$, $r$ columns) and $A$ ($r$ rows, as many columns as $W$).
# The layer uses $W + \frac{\alpha}{r} B A$ with a fixed number $\alpha$.

# %% [markdown]
# {{exercise adapted_weight}}


# %% tags=["exercise"]
def adapted_weight(weight, B, A, alpha):
    """W + (alpha / r) B A.

    weight   (out, in), frozen
    B        (out, r)
    A        (r, in)
    alpha    a number
    returns  (out, in)
    """
    ### BEGIN SOLUTION
    return weight + alpha / B.shape[1] * B @ A
    ### END SOLUTION


checks.adapted_weight(adapted_weight)

# %% [markdown]
# {{help adapted_weight}}
#
# **Guess:** adapters of rank 8 on all matrices of the blocks of `fashion-28`: which share of its parameters learns, and
# how large is the file in 16 bits?

# %%
model = load("fashion-28")
everything = model.num_parameters()
adapters = lora.apply(model.transformer, rank=8)
learning = sum(p.numel() for adapter in adapters.values() for p in adapter.parameters())
print(
    f"{len(adapters)} matrices; {learning:,} of {everything:,} parameters learn ({learning / everything:.1%}), "
    f"{learning * 2 / 1000:.0f} kB in 16 bits"
)
name, adapter = next(iter(adapters.items()))
frozen = model.transformer.get_submodule(name).parametrizations.weight.original
mine = checks.use("adapted_weight")(frozen, adapter.B, adapter.A, 8.0)
assert torch.allclose(mine, model.transformer.get_submodule(name).weight)
print("change at the start:", (mine - frozen).abs().max().item())
lora.take_off(model.transformer)

# %% [markdown]
# $A$ starts random and $B$ at 0, so the adapted model begins as the old one. `lora.save` keeps the adapters in a file of
# their own; `lora.merge` adds them into the weights, so that the adapted model costs nothing extra when it draws. A
# command trains them: `python -m var_mini train transformer --lora-rank 8 --start fashion-28 --data FOLDER`.
#
# ## Ten pictures
#
# Here are ten: one of each class, mirrored. In the data set nearly all shoes look to the left; in these they look to the
# right.
#
# **Guess:** after training on these ten, how do the losses of the mirrored pictures and of the pictures as they were
# change? And which way do the shoes look that the adapted model draws?

# %% tags=["skip-grading"]
files = sorted((ASSETS / "samples" / "fashion-mnist").glob("*.png"))  # one of each class, in the order of the classes
images = torch.stack([torch.from_numpy(np.array(Image.open(file).convert("L"))) for file in files]).unsqueeze(1)
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
    for file, image in zip(files, images.flip(-1)):
        place = Path(folder, "pictures", file.stem[3:])
        place.mkdir(parents=True)
        Image.fromarray(image[0].numpy()).save(place / "mirrored.png")
    adapted = lora.train_adapter("fashion-28", Path(folder, "run"), Path(folder, "pictures"), 8, STEPS, "no")
    kilobytes = Path(folder, "run", "adapter.safetensors").stat().st_size / 1000
labels = torch.arange(len(files))
print(f"{STEPS} steps; the file of adapters has {kilobytes:.0f} kB")
for name, pictures in (("mirrored", images.flip(-1)), ("as they were", images)):
    ids = tokenize_images(model.tokenizer, pictures)
    before, after = (
        cross_entropy(one.transformer, model.tokenizer.quantize, ids, labels)["cross_entropy"] for one in (model, adapted)
    )
    print(f"{name:13} {before:.2f} -> {after:.2f} nats per token")
shoes, seeds = [5, 7, 9, 5, 7, 9], [0, 0, 0, 1, 1, 1]
grid(
    [list(one.sample_images(shoes, seeds)) for one in (model, adapted)],
    [model.config.class_name(label) for label in shoes],
    ["before", "adapted"],
    size=0.95,
    alt="six shoes drawn by the model, below each the one that the adapted model draws from the same seed",
)

# %% [markdown]
# The loss of the ten has more than halved; look at the drawn shoes before you believe that their direction
# is learned. In the loss every token is judged with the *true* coarser tokens given, in drawing the model goes on from its own. A
# loss on the pictures that were trained says little about what will be drawn, and the other loss says what the change
# cost: on pictures as they were the adapted model is worse. Ten pictures are not a style; the command above takes a folder
# of more.
#
# ## Gradients of the factors
#
# Let $G$ be the gradient of the loss with respect to the adapted weight. What gradients do $B$ and $A$ get?

# %% [markdown]
# {{exercise adapter_gradients}}


# %% tags=["exercise"]
def adapter_gradients(G, B, A, alpha):
    """Gradients of the two factors of an adapter.

    G        (out, in), gradient with respect to W + (alpha / r) B A
    B, A     (out, r) and (r, in)
    alpha    a number
    returns  [gradient of B, gradient of A]
    """
    ### BEGIN SOLUTION
    s = alpha / B.shape[1]
    return [s * G @ A.T, s * B.T @ G]
    ### END SOLUTION


checks.adapter_gradients(adapter_gradients)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The chain rule for a product: where $W = sBA$, a change $dB$ changes the loss by the sum over all entries of $G * (s\,
# dB\, A)$. Shapes help: which product of $G$ and $A$ has the shape of $B$?
#
# </details>
#
# {{help adapter_gradients}}
#
# **Guess:** at the very start, with $B=0$: which of the two gradients is exactly zero?

# %%
gradients = checks.use("adapter_gradients")
task, start = theory.make_task(40, 1.0)
zero = {key: (torch.zeros_like(B), A) for key, (B, A) in start.items()}
for key, (first, second) in theory.explicit_gradients(task, zero).items():
    print(f"W_{key.upper()}: gradient of B {first.norm():.3f}, of A {second.norm():.3f}")
    assert second.abs().max() == 0
G = torch.randn(4, 4, dtype=torch.float64)
B, A = start["q"]
assert torch.allclose(gradients(G, B, A, 2.0)[0], G @ A.T)

# %% [markdown]
# ## The gradient of attention without the $L \times L$ matrix
#
# Take one layer over $L$ tokens of $d$ numbers, $f H$ with $f = \mathrm{softmax}(\beta\, Q K^\top)$, row by row,
# $Q = X W_Q$, $K = X W_K$, $H = X W_V$ and a fixed number $\beta$, and the loss $E = \tfrac12 \|f H - Y\|^2$ for a target
# $Y$. With $C = f H - Y$ and $*$ for entry by entry,
#
# $$\frac{\partial E}{\partial\, \mathrm{logits}} = p = f * (C H^\top) - \mathrm{diag}(r)\, f, \qquad
# r_i = \sum_j f_{ij}\, (C H^\top)_{ij}.$$
#
# Here $f$, $C H^\top$ and $p$ are $L \times L$. But lesson 5 gave $f \approx U V^\top$ with $m$ features, and $C H^\top$
# has a rank of at most $d$ anyway. What is the rank of their entry-by-entry product?
#
# $$(U V^\top)_{ij} (C H^\top)_{ij} = \sum_{u, a} (U_{iu} C_{ia}) (V_{ju} H_{ja})$$
#
# (This $r$ is not the rank of an adapter, and $f$ is no feature map.) So it is again a product of two thin
# matrices, with $m d$ columns: row by row, all products of one entry of $U$ and one of $C$.

# %% [markdown]
# {{exercise row_products}}


# %% tags=["exercise"]
def row_products(U, C):
    """Row by row all products of an entry of U and an entry of C.

    U        (L, m)
    C        (L, d)
    returns  (L, m d), column u d + a is U's column u times C's column a, all counted from 0
    """
    ### BEGIN SOLUTION
    return (U.unsqueeze(2) * C.unsqueeze(1)).flatten(1)
    ### END SOLUTION


checks.row_products(row_products)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `U.unsqueeze(2)` is $L \times m \times 1$ and `C.unsqueeze(1)` is $L \times 1 \times d$; their product has all pairs.
#
# </details>
#
# {{help row_products}}

# %%
products = checks.use("row_products")
U, V = torch.rand(2, 6, 3, dtype=torch.float64)
C, H = torch.randn(2, 6, 2, dtype=torch.float64)
thin = products(U, C) @ products(V, H).T
assert torch.allclose(thin, (U @ V.T) * (C @ H.T))
print(f"rank {torch.linalg.matrix_rank(thin)} of at most {3 * 2}")

# %% [markdown]
# The numbers $r_i$ need no such product at all.

# %% [markdown]
# {{exercise row_sums_without_matrix}}
#
# With $f = U V^\top$, compute all $r_i = \sum_j f_{ij} (C H^\top)_{ij}$ without ever making an $L \times L$ matrix.
# The check compares numbers and cannot see how they were made: look at the shapes in your code yourself.


# %% tags=["exercise"]
def row_sums_without_matrix(U, V, C, H):
    """Row sums of (U V^T) * (C H^T), entry by entry, in thin matrices only.

    U, V     (L, m)
    C, H     (L, d)
    returns  (L,)
    """
    ### BEGIN SOLUTION
    return (C * (U @ (V.T @ H))).sum(dim=1)
    ### END SOLUTION


checks.row_sums_without_matrix(row_sums_without_matrix)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $\sum_j f_{ij} \sum_a C_{ia} H_{ja} = \sum_a C_{ia} \sum_j f_{ij} H_{ja}$. The inner sum is an entry of $f H$. Mind
# the brackets of $U (V^\top H)$.
#
# </details>
#
# {{help row_sums_without_matrix}}
#
# Every gradient needs $p$ (or its transpose) times an $L \times d$ matrix, and so $O(L\, m\, d^2)$ operations. The
# library's chain against the explicit formula, with all its $L \times L$ matrices (which a test of the library compares with
# autograd):

# %%
sums = checks.use("row_sums_without_matrix")
assert torch.allclose(sums(U, V, C, H), thin.sum(1))
for norm in (1.0, 2.0, 4.0):
    task, start = theory.make_task(200, norm)
    errors = [theory.relative_error(task, start, degree) for degree in (2, 4, 6, 8)]
    print(f"largest entry {norm:g}: " + ", ".join(f"degree {g}: {e:.0e}" for g, e in zip((2, 4, 6, 8), errors)))
print("multiplications at L = 32,768: explicit {:,}, chain of degree 4 {:,}".format(*stored["multiplications"]["32768"]))

# %% [markdown]
# ## Training moves the norm
#
# The *norm* is here the largest entry of $X W_Q$ and of $X W_K$. So at norm 4 a degree of 4 is a few per cent off. Good
# enough for training?
#
# **Guess:** adapters are trained with 400 steps from each kind of gradient. At norm 4, which ones end with a lower loss
# than they began with?

# %%
print(f"loss after training, stored; {stored['seeds']} seed")
for run in stored["trained"]:
    how = "exact" if run["degree"] is None else f"degree {run['degree']}"
    told = "DIVERGED" if run["diverged"] else ""
    losses = f"{run['loss_before']:8.2g} -> {run['loss']:8.2g}"
    print(f"norm {run['norm']:g}, {how:9}: {losses}, largest entry met {run['largest']:6.1f} {told}")
figure = new_figure(6.4, 2.6)
axis = figure.subplots()
norms = sorted({run["norm"] for run in stored["trained"]})
for degree, colour in ((None, "black"), (2, "#d55e00"), (4, "#e69f00"), (8, "#0072b2")):
    runs = [run for run in stored["trained"] if run["degree"] == degree]
    label = "exact" if degree is None else f"degree {degree}"
    axis.semilogy(norms, [run["loss"] / run["loss_before"] for run in runs], "o-", color=colour, label=label, markersize=4)
axis.axhline(1, color="0.6", linewidth=0.8)
axis.set_xlabel("largest entry of X W at the start", fontsize=8)
axis.set_ylabel("loss after / before", fontsize=8)
axis.legend(fontsize=8)
shown(figure, "loss after training against the norm: all gradients alike at small norms; low degrees end above one at norm 4")

# %% [markdown]
# (Diverged: the loss ended above its start, or a gradient was not finite.)
#
# The gradient of a wrong model points somewhere, the optimizer follows, and on its way the entries grow; with them
# grows the error of the gradient. What was a threshold on paper is a feedback loop in training. Watch the norm, not the
# error of the first step.
#
# What kinds of sentences were these? That the chain equals autograd's gradient up to the error of the polynomial:
# proven by algebra and checked to many digits. That below the threshold almost linear time is possible: the paper's
# theorem. That above it nothing sub-quadratic is: conditional on SETH. That degree 2 diverges here: measured, one task
# and one seed.
#
# ## Three sentences
#
# - An adapter is a change of low rank beside a frozen weight; it is small, starts as nothing, and can be merged.
# - Its gradient through attention is a chain of thin products where attention itself has low rank: the threshold on the norms is
#   the same in spirit.
# - Training moves the norms, so an approximation must be watched while it is used.
