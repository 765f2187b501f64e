# %% [markdown]
# # 2. Next-scale prediction
#
# Lesson 1 wrote a picture as five token maps, 88 tokens in all. This lesson builds the transformer that predicts
# them: not one token after the other, but one *map* after the other, all tokens of a map in one step.
#
# After it you can say
#
# - what goes into the transformer at every scale, and what comes out,
# - how the class steers every block (AdaLN),
# - which tokens see which (the block-causal mask), and why generation needs no mask at all,
# - why one training pass over all scales computes exactly what generation computes step by step.
#
# Time: 65 minutes with the exercises, 15 without. The cells together take a few seconds.

# %%
import torch
import torch.nn.functional as F

from var_mini import checks, load
from var_mini.data.samples import load_samples
from var_mini.view.images import strip
from var_mini.view.plates import new_figure, picture, row, shown

torch.manual_seed(0)
model = load("fashion-28")
transformer, quantizer, pyramid = model.transformer, model.tokenizer.quantize, model.config.pyramid
settings = model.config.transformer
print(f"{settings.depth} blocks, width {settings.width}, {settings.heads} heads of dimension {settings.head_dim}")
print(f"{sum(p.numel() for p in transformer.parameters()):,} parameters; it chooses among {transformer.vocab_size} codes")

# %% [markdown]
# (Heads times dimension is 96, not the width: the heads together are narrower than the stream, and a linear layer leads
# back to it.)
#
# ## What the transformer is asked
#
# Given the class and all token maps up to scale $k$, it answers for *every* place of scale $k+1$: how likely is each
# code there? Its answer is a table of logits, one row per token to be predicted, one column per code. Five steps,
# five tables:

# %%
with torch.no_grad():
    for step in model.generate(label=7, seed=3, keep_logits=True):
        print(f"scale {step.index + 1}: {step.side} x {step.side}, logits {tuple(step.logits.shape)}")
trace = model.trace(7, 3)
assert [tuple(step.token_ids.shape) for step in trace.steps] == [(1, n) for n in pyramid.counts]
picture(
    strip(trace, quantizer.embedding.weight),
    alt="five token maps of a drawn sneaker, and below them the picture decoded after each scale",
)

# %% [markdown]
# ## What goes in
#
# A language model predicts token $i+1$ at the place of token $i$: input and output are shifted by one. Here they are
# **not** shifted by one token but by one *scale*, and the sizes of two scales differ. So the input of scale $k+1$ is
# made to fit: it is $\hat f$, the sum of what all scales up to $k$ have drawn, averaged to $s_{k+1} \times s_{k+1}$
# (lesson 1). Every token to be predicted thus has one input vector, at its own place, that says what the picture
# looks like there so far.
#
# The first scale has nothing before it. Its input is the embedding of the **class**.
#
# Each input is projected to the model's width, and two things are added: an embedding of the scale (its *level*) and
# one of the place in the sequence.

# %%
label = torch.tensor([7])  # sneaker
ids = torch.cat([step.token_ids for step in trace.steps], dim=1)  # (1, 88)
with torch.no_grad():
    var_input = quantizer.inputs_from_ids(ids)  # (1, 87, 16), the input of scales 2 to 5
    condition = transformer.condition(label)
    first, others = transformer.start_tokens(condition), transformer.word_embed(var_input)
    x = torch.cat([first, others], dim=1) + transformer.positions()
print("first scale", tuple(first.shape), " others", tuple(others.shape), " together", tuple(x.shape))
assert x.shape[1] == pyramid.tokens

# %% [markdown]
# {{exercise teacher_forcing_input}}
#
# In training the whole picture is known, so the inputs of all scales can be prepared at once. This is called *teacher
# forcing*: every scale is predicted from the true coarser scales, not from the model's own earlier guesses. Write the
# function that lines them up.


# %% tags=["exercise"]
def teacher_forcing_input(f_hats, patch_nums):
    """Input of all scales but the first, when the true token maps are known.

    f_hats      list of K tensors, float (B, C, S, S): f_hats[k] is the sum of what scales 0, ..., k add
    patch_nums  the K sides, coarse to fine; the last one is S
    returns     float (B, L - n_0, C): for every scale from the second on, the f_hat of the coarser scales averaged to its side
                (mode="area"), one row per place, row by row
    """
    ### BEGIN SOLUTION
    parts = []
    for f_hat, side in zip(f_hats, patch_nums[1:]):  # the f_hat up to scale k belongs to scale k + 1
        small = F.interpolate(f_hat, size=(side, side), mode="area")  # (B, C, side, side)
        parts.append(small.flatten(2).transpose(1, 2))  # (B, side * side, C)
    return torch.cat(parts, dim=1)
    ### END SOLUTION


checks.teacher_forcing_input(teacher_forcing_input)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `zip(f_hats, patch_nums[1:])` pairs each sum with the side of the scale *after* it, and leaves the last sum out by
# itself.
#
# </details>
#
# {{help teacher_forcing_input}}

# %%
with torch.no_grad():
    f_hats = quantizer.accumulate(list(pyramid.split(ids)))
    ours = checks.use("teacher_forcing_input")(f_hats, pyramid.patch_nums)
assert torch.allclose(ours, var_input, atol=1e-5)
print("the same as the library's, up to", (ours - var_input).abs().max().item())

# %% [markdown]
# ## The class speaks in every block: AdaLN
#
# A class embedding at the start of the sequence could be forgotten by the later layers. VAR tells it to every block
# instead. Each block normalises its tokens (layer norm) and then multiplies and shifts every channel by numbers that
# are computed from the class:
#
# $$\mathrm{AdaLN}(x) = \frac{x - \mathrm{mean}(x)}{\sqrt{\mathrm{var}(x) + 10^{-6}}} \, (1 + \mathrm{scale}) + \mathrm{shift}$$
#
# A third number per channel, gamma, says how much of the block's result is added to the stream. That makes six
# vectors per block: scale and shift before attention and gamma after it, and the same three for the feed-forward part. They
# depend on the class alone, so all tokens of a picture share them, and they are computed once per picture.

# %%
with torch.no_grad():
    all_classes = transformer.condition(torch.arange(settings.num_classes + 1))  # the last one is "no class"
scales = torch.stack([block[2][:, 0] for block in all_classes.blocks])  # (blocks, classes, width)
spread = scales.std(dim=1).mean().item()
print(f"AdaLN scale before attention: typical size {scales.abs().mean():.2f}, spread between classes {spread:.2f}")
assert spread > 0.01
names = [*model.config.class_names, "no class"]
figure = new_figure(6.6, 2.6)
axis = figure.subplots()
image = axis.imshow(scales[2, :, :80].numpy(), cmap="cividis", aspect="auto", interpolation="nearest")
figure.colorbar(image, ax=axis, label="scale").ax.tick_params(labelsize=8)
axis.set_yticks(range(len(names)), names, fontsize=7)
axis.set_xlabel("channel (the first 80)", fontsize=8)
axis.set_title("scale before attention in block 3, one row per class", fontsize=9)
shown(figure, "a table of colours: the scale vectors of the ten classes and of no class, alike in parts and different in others")

# %% [markdown]
# {{exercise modulate}}
#
# Write AdaLN. One condition per picture, many tokens per picture: mind the broadcasting.


# %% tags=["exercise"]
def modulate(x, scale, shift):
    """Adaptive layer norm: normalises every token, then scales and shifts its channels as the class demands.

    x            float (B, n, C)
    scale, shift float (B, C), one vector per picture
    returns      float (B, n, C); the layer norm has no parameters of its own, epsilon is 1e-6
    """
    ### BEGIN SOLUTION
    normalised = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    return normalised * (1 + scale[:, None]) + shift[:, None]
    ### END SOLUTION


checks.modulate(modulate)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `F.layer_norm(x, x.shape[-1:], eps=1e-6)` normalises. `scale[:, None]` has the shape (B, 1, C), which broadcasts
# over the tokens.
#
# </details>
#
# {{help modulate}}

# %%
gamma1, gamma2, scale1, scale2, shift1, shift2 = condition.blocks[0]  # each (1, 1, C)
with torch.no_grad():
    theirs = torch.addcmul(shift1, F.layer_norm(x, x.shape[-1:], eps=1e-6), scale1 + 1)
    ours = checks.use("modulate")(x, scale1[:, 0], shift1[:, 0])
assert torch.allclose(ours, theirs, atol=1e-5)
print("equal to the first block's own, up to", (ours - theirs).abs().max().item())

# %% [markdown]
# ## Who sees whom: the block-causal mask
#
# In training all 88 tokens pass through the transformer at once. A token must not see what it is to predict, nor
# anything finer. In a language model that gives a triangle. Here it gives **blocks**: token $i$ may look at token $j$
# if the scale of $j$ is not finer than the scale of $i$.
#
# *Do tokens of one scale see each other?* Yes, all of them, in both directions. It is no cheating: what a token sees
# of its neighbours are their *inputs* ($\hat f$ of the coarser scales), not the codes that are to be predicted. The
# codes of one scale are drawn in the same step, each from its own distribution, without knowing what its neighbours
# drew.

# %% [markdown]
# {{exercise block_causal_mask}}
#
# Write the mask as a table of True and False.


# %% tags=["exercise"]
def block_causal_mask(patch_nums):
    """Which token may look at which.

    patch_nums  sides of the token maps, coarse to fine
    returns     bool (L, L), L the number of all tokens: entry [i, j] is True where query token i may look at key token j,
                that is, where the scale of j is the scale of i or a coarser one
    """
    ### BEGIN SOLUTION
    counts = torch.tensor([side * side for side in patch_nums])
    level = torch.arange(len(patch_nums)).repeat_interleave(counts)  # scale of every token, (L,)
    return level[:, None] >= level[None, :]
    ### END SOLUTION


checks.block_causal_mask(block_causal_mask)

# %% [markdown]
# <details><summary>Hint</summary>
#
# First make a vector with the scale of every token: 0, 1, 1, 1, 1, 2, … Then compare it with itself, once as a column
# and once as a row.
#
# </details>
#
# {{help block_causal_mask}}
#
# **Predict.** A triangle allows about half of the $88 \cdot 88 = 7744$ pairs. How many do the blocks allow?
#
# <details><summary>Answer</summary>
#
# More: 5434, seven in ten. Nothing is hidden inside a block on the diagonal, and the last block alone, the 49
# tokens of the 7 × 7 map, has 2401 pairs.
#
# </details>

# %%
mask = checks.use("block_causal_mask")(pyramid.patch_nums)
assert torch.equal(mask, pyramid.block_causal_mask())
triangle = torch.ones_like(mask).tril()
print(f"allowed pairs: {int(mask.sum())} of {mask.numel()}; a language model would allow {int(triangle.sum())}")
row(
    [mask.float(), triangle.float(), (mask & ~triangle).float()],
    ["VAR", "language model", "VAR only"],
    size=1.9,
    bar="1: may look",
    axes=("key", "query"),
    alt="the block-causal mask with its five blocks, the triangle, and their difference: the upper halves of the blocks",
)

# %% [markdown]
# **Predict.** A colleague trains a VAR with the triangle instead of the blocks. Will training fail? Can she still
# draw a whole map in one step?
#
# <details><summary>Answer</summary>
#
# Training runs and the loss falls: every token still sees all coarser scales. And a whole map can be drawn in one
# step all the same, *if the triangle stays*: the inputs of all tokens of a scale are known before the step, so one
# step with the triangle computes just what training has computed. (The end of this lesson shows it.) What fails is
# to draw with another mask than that of training: without any mask tokens see later neighbours, which they never
# did in training, and the model is used in a situation that it does not know. The next cell measures how much the
# answers of *our* model, trained with the blocks, change when the mask is wrong.
#
# The triangle has a price all the same: a token sees the inputs of fewer neighbours, and the first token of a scale
# of none. What that costs in quality only two trained models could tell; this lesson trains none.
#
# </details>

# %%
everything = torch.ones_like(mask)
with torch.no_grad():
    right = transformer(label, var_input)
    for name, other in (("triangle", triangle), ("no mask at all", everything)):
        wrong = transformer(label, var_input, mask=other)
        change = (wrong - right).abs().mean().item()
        flips = (wrong.argmax(-1) != right.argmax(-1)).float().mean().item()
        print(f"{name}: logits change by {change:.2f} on average, the most likely code changes at {flips:.0%} of the tokens")
        assert flips > 0.2

# %% [markdown]
# ## Why generation needs no mask: the KV cache
#
# Generation runs scale by scale. When scale $k$ is computed, finer scales do not exist yet: there is nothing to hide.
# And what was computed for the coarser scales stays valid, because they never look at finer ones. So their keys and
# values are kept, the **KV cache**, and each step only adds the keys and values of its own scale.
#
# In this project a cache is an object with two operations: `extend(k, v)` takes in the keys and values of one more
# scale, `attend(q)` answers queries from everything taken in so far. Lesson 5 replaces that object by a smaller one.

# %% [markdown]
# {{exercise extend_and_attend}}
#
# Write both operations as one function without an object: old cache in, attention output and new cache out. First
# extend, then attend. Keys and queries come as **unit vectors**: instead of dividing $q \cdot k$ by the root of $d$, VAR makes
# both of length 1 and multiplies by a number that each head has learned, its *scale* (the third meaning of that word).


# %% tags=["exercise"]
def extend_and_attend(keys, values, k, v, q, scale):
    """Attention of one more scale through a KV cache. No mask.

    keys, values  float (H, m, d), the cache of the coarser scales; m may be 0; must not be changed in place
    k, v, q       float (H, n, d), keys, values and queries of the new scale
    scale         float (H,): the logit of head h is scale[h] * (q . k)
    returns       out (H, n, d), new keys (H, m + n, d), new values (H, m + n, d)
    """
    ### BEGIN SOLUTION
    keys, values = torch.cat([keys, k], dim=1), torch.cat([values, v], dim=1)
    logits = scale[:, None, None] * q @ keys.transpose(1, 2)  # (H, n, m + n)
    return logits.softmax(dim=-1) @ values, keys, values
    ### END SOLUTION


checks.extend_and_attend(extend_and_attend)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `torch.cat([keys, k], dim=1)` makes the new cache. Then softmax of `scale * q @ keys^T` over the last dimension,
# times the values.
#
# </details>
#
# {{help extend_and_attend}}

# %% [markdown]
# ## One pass of training equals five steps of generation
#
# Now the test of everything above. We run the same picture through the model in two ways:
#
# - **training**: all 88 tokens at once, with the mask;
# - **generation**: scale by scale, without any mask, with *your* function as the attention of all blocks (or ours, if
#   your check has not passed yet).

# %%
attend_with_cache = checks.use("extend_and_attend")


class OwnCache:
    """Stands in for the library's cache of one block; q, k, v have a batch of one in front."""

    def __init__(self, block):
        self.scale = block.attn.logit_scale()
        self.keys = self.values = torch.zeros(transformer.config.heads, 0, transformer.config.head_dim)

    def extend(self, k, v):
        self.new = k[0], v[0]  # (H, n, d); your function takes them in together with the queries

    def attend(self, q):
        out, self.keys, self.values = attend_with_cache(self.keys, self.values, *self.new, q[0], self.scale)
        return out[None]


with torch.no_grad():
    masked = transformer(label, var_input)  # (1, 88, V)
    caches = [OwnCache(block) for block in transformer.blocks]
    inputs = [None, *var_input.split(pyramid.counts[1:], dim=1)]
    stepped = [transformer.step(k, inputs[k], condition, caches) for k in range(pyramid.num_scales)]

for side, where, logits in zip(pyramid.patch_nums, pyramid.slices, stepped):
    apart = (masked[:, where] - logits).abs().max().item()
    size = masked[:, where].abs().max().item()
    print(f"scale {side} x {side}: logits up to {size:.1f}, largest difference {apart:.1e}")
    assert apart < 1e-3
print("keys in the cache of each block:", [cache.keys.shape[1] for cache in caches])

# %% [markdown]
# The two ways agree to float precision. This is the property that lets VAR train on all scales in parallel and draw
# with a cache: the mask of training and the missing mask of generation are the same thing.
#
# ### The same with a triangle
#
# Was it the blocks that made this possible? We give the same model a triangle, which it was not trained with, so
# its answers are poor. But the question is whether *training's* pass and *drawing's* five steps agree: now each
# step hides the later tokens of its own scale.


# %%
class CacheInOrder(OwnCache):
    """The same, but a token of the new scale does not see the tokens after it."""

    def attend(self, q):
        m, n = self.keys.shape[1], q.shape[2]
        self.keys, self.values = torch.cat([self.keys, self.new[0]], dim=1), torch.cat([self.values, self.new[1]], dim=1)
        logits = self.scale.view(-1, 1, 1) * q[0] @ self.keys.transpose(1, 2)
        logits = logits.masked_fill(torch.ones(n, m + n, dtype=torch.bool).triu(m + 1), -torch.inf)
        return (logits.softmax(dim=-1) @ self.values)[None]


with torch.no_grad():
    masked = transformer(label, var_input, mask=triangle)
    caches = [CacheInOrder(block) for block in transformer.blocks]
    stepped = [transformer.step(k, inputs[k], condition, caches) for k in range(pyramid.num_scales)]
apart = max((masked[:, where] - logits).abs().max().item() for where, logits in zip(pyramid.slices, stepped))
print(f"triangle in training and in drawing, a whole map per step: largest difference {apart:.1e}")
assert apart < 1e-3

# %% [markdown]
# They agree as well. So one step per map does not need the blocks. What must hold is that drawing uses the mask of
# training. With the blocks that mask hides nothing that exists when a scale is drawn, so drawing needs none.
#
# ## What is learned: cross-entropy of every token
#
# The training loss is that of a language model: the cross-entropy of the true codes, averaged over all 88 tokens.
# Here it is for the test pictures that ship with the project, per scale, beside the value of pure guessing,
# $\ln 4096$.
#
# **Predict.** Which scale's tokens are the easiest to predict, which the hardest?
#
# <details><summary>Answer</summary>
#
# For these pictures the single token of the first map is the easiest: the class says much about it. The four tokens
# of the second map are the hardest, and then it does not go by size: each scale sees more of the picture than the
# one before it, but also has to write finer, less predictable detail.
#
# </details>

# %%
samples = load_samples(model.config)
labels = torch.tensor([model.config.class_names.index(name) for name in ("T-shirt/top", *[s.name for s in samples[1:]])])
with torch.no_grad():
    maps = model.tokenizer.tokenize(torch.stack([s.image for s in samples]) * 2 - 1).token_ids
    true_ids = torch.cat(maps, dim=1)  # (10, 88)
    logits = transformer(labels, quantizer.inputs_from_ids(true_ids))
losses = F.cross_entropy(logits.transpose(1, 2), true_ids, reduction="none")  # (10, 88)
guessing = torch.tensor(float(transformer.vocab_size)).log().item()
per_scale = [part.mean().item() for part in losses.split(pyramid.counts, dim=1)]
for side, value in zip(pyramid.patch_nums, per_scale):
    print(f"{side} x {side}: {value:.2f} nats")
print(f"all tokens: {losses.mean():.2f} nats; guessing: {guessing:.2f} nats")
assert losses.mean() < guessing - 2
figure = new_figure(5.6, 2.3)
axis = figure.subplots()
axis.bar([f"{side} × {side}" for side in pyramid.patch_nums], per_scale, color="#0072b2")
axis.axhline(guessing, color="#d55e00", linestyle="--")
axis.text(0, guessing + 0.15, "guessing", color="#d55e00", fontsize=8, va="bottom")
axis.set_ylim(0, guessing + 1.5)
axis.set_ylabel("nats per token", fontsize=8)
shown(figure, "bars: cross-entropy of each scale, all below the dashed line of pure guessing")

# %% [markdown]
# These are ten pictures only; the figure for the whole test set is in `assets/results`.
#
# ## What to remember
#
# - One step predicts one whole token map; its input is $\hat f$ of all coarser scales, averaged to its side, plus
#   level and place.
# - The class acts in every block through scale, shift and gamma (AdaLN).
# - Tokens see their own scale and all coarser ones: a mask of blocks in training, no mask in generation, equal
#   results.
# - Keys and values of coarser scales never change, so a cache may keep them.
