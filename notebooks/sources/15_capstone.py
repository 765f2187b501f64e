# %% [markdown]
# # 15. Your own VAR
#
# In lessons 1 to 3 you met the parts. Here you write the three that matter most, and then they take the place of
# the library's in a trained model: **the token ids must stay the same, to the last one.**
#
# 1. the loss that trains the tokenizer, with a gradient that goes straight through the quantizer (lesson 1),
# 2. a block of the transformer, with AdaLN and attention of unit queries and keys (lesson 2),
# 3. the loop that draws, in about forty lines (lesson 3).
#
# After it you can say
#
# - how an encoder learns although choosing a code has no gradient,
# - what bounds the logits of VAR's attention,
# - which numbers pass from one scale to the next, and which stay where they are.
#
# Time: 125 minutes with the exercises, 20 without.

# %%
import torch
import torch.nn.functional as F

from var_mini import checks, load
from var_mini.view.plates import grid

model = load("fashion-28")
steps = list(model.generate(label=8, seed=0))
grid(
    [[step.image[0] for step in steps]],
    [f"{step.side} x {step.side}" for step in steps],
    ["the library"],
    size=1.1,
    alt="a bag drawn by the library over five scales: what your three parts must draw, too",
)

# %% [markdown]
# This bag is what your three parts must draw at the end.
#
# ## The loss of the tokenizer
#
# The tokenizer of lesson 1 writes a feature map $f$ as a sum of codes, one map per scale: after scale $k$ the sum is
# $\hat f_k$. Two things must be pulled together, and each has a term in which the other is held fixed
# ($\mathrm{sg}$, *stop gradient*, is `.detach()`):
#
# $$\mathcal{L} = \frac1K \sum_k \; \beta\,\overline{(\mathrm{sg}(\hat f_k) - f)^2} + \overline{(\hat f_k - \mathrm{sg}(f))^2}$$
#
# The first term moves the encoder towards the codes, slowly ($\beta = 0.25$), the second the codes towards the
# encoder's output. The bar is the mean over all entries.
#
# The decoder gets $\hat f_K$. But choosing the nearest code has no gradient: the encoder would never learn from the
# decoder's error. The *straight-through* estimator lets the gradient pass as if the quantizer were not there: a tensor
# with the **value** of $\hat f_K$ and the **gradient** of $f$.
#
# **Predict.** Swap the two terms, so that $\beta$ stands before the second. Does the value of the loss change?
#
# <details><summary>Answer</summary>
#
# No. Both terms have the same value, $\overline{(\hat f_k - f)^2}$, and the loss is $1 + \beta$ times their mean over the
# scales either way. What changes is whom the gradient moves, and how fast.
#
# </details>

# %% [markdown]
# {{exercise vq_loss}}


# %% tags=["exercise"]
def vq_loss(f, f_hats, beta):
    """The quantizer's loss, and what the decoder gets.

    f       float (B, C, S, S), the encoder's output
    f_hats  list of K tensors of the same shape, the sum of codes after each scale
    returns (loss, z): a number as a tensor, and a tensor with the value of f_hats[-1] and the gradient of f
    """
    ### BEGIN SOLUTION
    loss = sum(beta * F.mse_loss(f_hat.detach(), f) + F.mse_loss(f_hat, f.detach()) for f_hat in f_hats) / len(f_hats)
    return loss, f_hats[-1].detach() + f - f.detach()
    ### END SOLUTION


checks.vq_loss(vq_loss)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `F.mse_loss(a, b)` is the mean over all entries. For the second result write a sum of three terms whose values add up to
# $\hat f_K$, of which `.detach()` leaves only one with a gradient.
#
# </details>
#
# The check compares values *and* gradients, so the swapped terms are found although the loss is the same number.
#
# {{help vq_loss}}

# %% [markdown]
# ## A block of the transformer
#
# A block adds two branches to its tokens $x$. Each branch sees them normalised and modulated by the class (lesson 2),
# and is multiplied by a gate before it is added:
#
# $$x \leftarrow x + \gamma_1 \odot \mathrm{attention}\big(\mathrm{LN}(x)(1 + s_1) + t_1\big), \qquad
# x \leftarrow x + \gamma_2 \odot \mathrm{ffn}\big(\mathrm{LN}(x)(1 + s_2) + t_2\big)$$
#
# In the attention queries and keys are made **unit vectors**, so that no logit exceeds the learned scale of its head:
# $\ell = \mathrm{scale}_h\, \langle q, k\rangle \le \mathrm{scale}_h$. That bound is what lessons 5 and 6 build on.
#
# **Predict.** All of the condition is 0. What does the block do to $x$?
#
# <details><summary>Answer</summary>
#
# Nothing: both gates $\gamma$ are 0, so neither branch is added. (The keys and values are still computed and kept.)
#
# </details>

# %% [markdown]
# {{exercise adaln_block}}


# %% tags=["exercise"]
def adaln_block(x, condition, w, keys, values):
    """One block for the tokens of one scale.

    x            float (B, n, C)
    condition    float (B, 6, C): gamma1, gamma2, scale1, scale2, shift1, shift2
    w            dict of weights, W of a linear layer being (out, in): qkv (3 A, C), its first A rows for the queries, then
                 for the keys, then for the values, each head after head; q_bias and v_bias (A,), keys have none; scale (H,);
                 proj, proj_bias; fc1, fc1_bias; fc2, fc2_bias. A is H heads times d
    keys, values float (B, H, N, d): what the coarser scales left, keys of length 1; N is 0 at the first scale
    returns      (x, keys, values), keys and values with those of these n tokens at the end

    Layer norm has no weights and eps = 1e-6; between fc1 and fc2 stands F.gelu(..., approximate="tanh").
    """
    ### BEGIN SOLUTION
    gamma1, gamma2, scale1, scale2, shift1, shift2 = condition.unsqueeze(2).unbind(1)  # each (B, 1, C)
    (B, n, C), H = x.shape, len(w["scale"])
    h = F.layer_norm(x, (C,), eps=1e-6) * (1 + scale1) + shift1
    bias = torch.cat([w["q_bias"], torch.zeros_like(w["q_bias"]), w["v_bias"]])
    q, k, v = F.linear(h, w["qkv"], bias).view(B, n, 3, H, -1).permute(2, 0, 3, 1, 4)  # each (B, H, n, d)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
    logits = w["scale"].view(H, 1, 1) * (q @ keys.transpose(2, 3))  # (B, H, n, N + n)
    out = (logits.softmax(-1) @ values).transpose(1, 2).flatten(2)
    x = x + gamma1 * F.linear(out, w["proj"], w["proj_bias"])
    h = F.layer_norm(x, (C,), eps=1e-6) * (1 + scale2) + shift2
    h = F.gelu(F.linear(h, w["fc1"], w["fc1_bias"]), approximate="tanh")
    return x + gamma2 * F.linear(h, w["fc2"], w["fc2_bias"]), keys, values
    ### END SOLUTION


checks.adaln_block(adaln_block)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `condition.unsqueeze(2).unbind(1)` gives six tensors (B, 1, C). Heads are a dimension of their own:
# (B, n, H d) $\to$ `view(B, n, H, d)` $\to$ `transpose(1, 2)`, and the way back after attention. The scale of a head
# needs the shape (H, 1, 1) beside logits (B, H, n, N + n).
#
# </details>
#
# {{help adaln_block}}

# %% [markdown]
# ## The loop that draws
#
# Now all of it, as in figure 4 of the paper. For each scale $k$ from coarse to fine:
#
# 1. *Input.* At the first scale `start`; later $\hat f$, averaged over areas to this scale's side, through the linear
#    layer `word`. In both cases this scale's part of `positions` is added. Two rows go through the blocks: row 0 with the
#    class, row 1 with the null class; their input after the first scale is the same.
# 2. *Blocks.* Your `adaln_block`, each with its own keys and values, which stay for the scales to come. (While yours is not
#    written, `adaln_block = checks.use("adaln_block")` stands in.)
# 3. *Head.* Layer norm (eps = 1e-6) times 1 + scale, plus shift, `head_condition` being (scale, shift); then the linear
#    layer `head`.
# 4. *Guidance.* $(1 + t)\,\ell_0 - t\,\ell_1$ with $t = \mathrm{guidance} \cdot k/(K-1)$.
# 5. *Draw.* For each token the code with the largest $p / e$, where $e$ is exponential noise, given as `noise[k]`: the Gumbel
#    trick of lesson 3 in another form.
# 6. *Add.* The codes as a map, enlarged bicubically to the last side (not at the last scale), through
#    $\phi_k(h) = (1 - \mathrm{ratio})\,h + \mathrm{ratio}\cdot\mathrm{conv}_{3\times3}(h)$, are added to $\hat f$.
#
# **Predict.** Which of the six steps would you have to change to edit a part of a picture (lesson 9)?
#
# <details><summary>Answer</summary>
#
# The fifth alone: where the picture is to stay, take the given id in place of the drawn one. All else follows.
#
# </details>

# %% [markdown]
# {{exercise generate}}


# %% tags=["exercise"]
def generate(model, noise, guidance):
    """Draws one picture; returns a list of K tensors of token ids, int64 (n_k,).

    model     dict: patch_nums, a tuple of K sides; start (2, n_0, C); positions (L, C); word, word_bias;
              blocks and conditions, lists with one w and one condition (2, 6, C) per block; head_condition (2, 2, C);
              head, head_bias; codebook (V, Cvae); phi, a list of K pairs (weight, bias); ratio
    noise     list of K tensors (n_k, V) of exponential noise
    guidance  number
    """
    ### BEGIN SOLUTION
    sides, drawn, first = model["patch_nums"], [], 0
    K, last, channels = len(sides), sides[-1], model["codebook"].shape[1]
    f_hat = model["codebook"].new_zeros(1, channels, last, last)
    caches = []
    for w in model["blocks"]:
        empty = f_hat.new_zeros(2, len(w["scale"]), 0, len(w["q_bias"]) // len(w["scale"]))
        caches.append((empty, empty))
    for k, side in enumerate(sides):
        x = model["start"]
        if k > 0:
            small = F.interpolate(f_hat, (side, side), mode="area").flatten(2).transpose(1, 2)  # (1, n, Cvae)
            x = F.linear(small, model["word"], model["word_bias"]).expand(2, -1, -1)
        x = x + model["positions"][first : first + side**2]
        first += side**2
        for i, (w, condition) in enumerate(zip(model["blocks"], model["conditions"])):
            x, *caches[i] = adaln_block(x, condition, w, *caches[i])
        scale, shift = model["head_condition"].unsqueeze(2).unbind(1)
        h = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift
        logits = F.linear(h, model["head"], model["head_bias"])  # (2, n, V)
        t = guidance * k / (K - 1)
        guided = (1 + t) * logits[0] - t * logits[1]
        ids = (guided.softmax(-1) / noise[k]).argmax(-1)
        drawn.append(ids)
        h = model["codebook"][ids].T.reshape(1, channels, side, side)
        if k < K - 1:
            h = F.interpolate(h, (last, last), mode="bicubic")
        weight, bias = model["phi"][k]
        f_hat = f_hat + (1 - model["ratio"]) * h + model["ratio"] * F.conv2d(h, weight, bias, padding=1)
    return drawn
    ### END SOLUTION


checks.generate(generate)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Before the first scale every block has keys and values of shape (2, H, 0, d): `new_zeros(2, H, 0, d)`. Averaging over areas
# is `F.interpolate(..., mode="area")`. The map of codes is (1, Cvae, side, side): take the codes (n, Cvae), transpose,
# reshape. The convolution keeps the side with `padding=1`.
#
# </details>
#
# {{help generate}}

# %% [markdown]
# ## In place of the library's
#
# `checks.capstone` takes the trained model of lesson 3 and exchanges one part at a time:
#
# - a copy of its tokenizer is trained for five steps with *your* loss, another one with the library's; both then
#   tokenize the same pictures;
# - *your* block computes in all six layers, inside the library's loop;
# - *your* loop, with your block in it, draws from the library's weights and noise.

# %%
if all(checks.use(name) is part for name, part in (("vq_loss", vq_loss), ("adaln_block", adaln_block), ("generate", generate))):
    checks.capstone(vq_loss, adaln_block, generate, label=8, seed=0)
else:
    print("Write the three parts first.")

# %% [markdown]
# Every id is the same, so every picture is. What you have not written yourself is encoder and decoder, which are
# plain convolutions, and the training of the transformer, which is cross-entropy on the ids (lesson 8).
