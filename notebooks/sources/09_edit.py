# %% [markdown]
# # 9. Edit an image
#
# A model that was only ever trained to draw whole pictures can also *change* one: fill a hole, continue a picture
# beyond its border, put something of another class into a place. No further training is needed: some tokens are
# given, the others are drawn.
#
# After it you can say
#
# - how a mask on the picture becomes a mask on every token map,
# - why given tokens must enter $\hat f$ at every scale, and what the drawn tokens see of them, and when,
# - why pixels outside the mask change although their tokens do not,
# - when such an edit fails.
#
# Time: 40 minutes with the exercises, 15 without. The cells take a few seconds.

# %%
import torch
import torch.nn.functional as F

from var_mini import checks, load
from var_mini.analysis.editing import edit, masks_per_scale, tokenize_picture
from var_mini.config import Sampling
from var_mini.data.samples import load_samples
from var_mini.generation.trace import Trace
from var_mini.view.images import code_colours, token_map
from var_mini.view.plates import grid, row

model = load("fashion-28", device="auto")
pyramid, quantizer = model.config.pyramid, model.tokenizer.quantize
samples = load_samples(model.config)  # test pictures, never seen in training
names = list(model.config.class_names)
row([s.image for s in samples], [s.name for s in samples], size=0.95, alt="ten test pictures of clothes")

# %% [markdown]
# ## First the picture becomes tokens
#
# The tokenizer of lesson 1 writes the picture as five token maps. What comes back from them, without any edit, is the
# best that an edit can look like outside the mask.

# %%
sample = samples[names.index("Pullover")]
label = names.index("Pullover")
written = tokenize_picture(model, sample.image)
original = [step.token_ids[0] for step in written.steps]  # int64 (n_k,) per scale
colours = code_colours(quantizer.embedding.weight)
row(
    [sample.image, *[token_map(ids, colours) for ids in original], written.image[0]],
    ["picture", *[f"{side} × {side}" for side in pyramid.patch_nums], "decoded"],
    alt="a pullover, its five token maps, and the pullover decoded from them",
)

# %% [markdown]
# ## A mask for every scale
#
# The user marks places on the last token map (7 × 7): these are to be drawn anew. But the coarser maps must be told,
# too. A token of the 2 × 2 map covers a quarter of the picture; should it be drawn anew if the mask covers a bit of
# it? If yes, the picture changes far outside the mask; if never, the old picture shines through. The rule here: a
# token is drawn anew if the mask covers **at least half** of its area.
#
# **Predict.** The mask covers the right three of seven columns. Is the single token of the 1 × 1 map drawn anew?
# How many of the four tokens of the 2 × 2 map?
#
# <details><summary>Answer</summary>
#
# The single token is not: three sevenths are less than half. Of the 2 × 2 map the two on the right are: each covers
# the columns 4 to 7 (the middle one is shared), and three of these four are marked.
#
# </details>
#
# {{exercise masks_for_scales}}
#
# Cell $i$ of $s$ covers the places $\lfloor i \cdot S/s \rfloor$ to $\lceil (i+1) \cdot S/s \rceil - 1$ of the $S$
# places of the last map, as in lesson 1.


# %% tags=["exercise"]
def masks_for_scales(mask, patch_nums):
    """Which tokens of every scale are drawn anew: those of which the mask covers at least half.

    mask         bool (S, S) on the last token map, True where the picture is drawn anew
    patch_nums   sides of the token maps, the last one is S
    returns      a list with one bool tensor (side * side,) per scale, row by row
    """
    ### BEGIN SOLUTION
    covered = mask.float()[None, None]  # (1, 1, S, S), as F.interpolate wants it
    return [(F.interpolate(covered, size=(side, side), mode="area") >= 0.5).flatten() for side in patch_nums]
    ### END SOLUTION


checks.masks_for_scales(masks_for_scales)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The share of a cell that is covered is the mean of the mask over the cell: the area average of lesson 1.
# `F.interpolate` wants floating-point numbers and four dimensions.
#
# </details>
#
# {{help masks_for_scales}}

# %%
hole = torch.zeros(7, 7, dtype=torch.bool)
hole[:, 4:] = True  # the right three columns
border = torch.ones(7, 7, dtype=torch.bool)
border[1:6, 2:5] = False  # everything but the middle
patch = torch.zeros(7, 7, dtype=torch.bool)
patch[1:5, 2:5] = True
marks = {"right side": hole, "border": border, "patch": patch}
for name, mask in marks.items():
    parts = checks.use("masks_for_scales")(mask, pyramid.patch_nums)
    assert all(torch.equal(a, b) for a, b in zip(parts, masks_per_scale(mask, pyramid.patch_nums)))
    print(f"{name:11} drawn anew:", [f"{int(p.sum())} of {p.numel()}" for p in parts])
grid(
    [[p.view(s, s).float() for p, s in zip(masks_per_scale(m, pyramid.patch_nums), pyramid.patch_nums)] for m in marks.values()],
    [f"{side} × {side}" for side in pyramid.patch_nums],
    list(marks),
    limits=(0, 1),
    bar="1: drawn anew",
    alt="three masks on the five token maps, yellow where tokens are drawn anew; the first one only with the border mask",
)

# %% [markdown]
# See the first column. The single coarsest token is drawn anew only if half of the picture is marked. With the mask
# on the right it is *given*: the drawing starts from the brightness and the rough form of the original.
#
# ## Splice, scale by scale
#
# At every scale the transformer proposes a token at *each* place, inside and outside. Then the given tokens replace
# those outside. Only now the scale is added to $\hat f$, so the next scale sees the original outside and what was
# drawn inside.
#
# {{exercise spliced_step}}
#
# Write that step, with $\varphi$ left out (as if it changed nothing).


# %% tags=["exercise"]
def spliced_step(f_hat, drawn, original, inside, codebook):
    """One scale of an edit: given tokens outside the mask, drawn ones inside, added to f_hat.

    f_hat     float (B, C, S, S), the sum of the coarser scales; must not be changed in place
    drawn     int64 (B, n), what the transformer has drawn for each of B pictures; must not be changed in place
    original  int64 (n,), the tokens of the picture to be edited
    inside    bool (n,), True where the drawn token counts
    codebook  float (V, C)
    returns   a pair: the ids of this scale, int64 (B, n), and the new f_hat, float (B, C, S, S): the old one plus the
              codes of these ids as a map, enlarged to S x S (bicubic)
    """
    ### BEGIN SOLUTION
    ids = torch.where(inside, drawn, original)  # (n,) spreads over the batch
    side = round(ids.shape[1] ** 0.5)
    codes = codebook[ids].transpose(1, 2).unflatten(2, (side, side))  # (B, C, side, side)
    return ids, f_hat + F.interpolate(codes, size=f_hat.shape[2:], mode="bicubic")
    ### END SOLUTION


checks.spliced_step(spliced_step)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `torch.where(inside, drawn, original)` does the splicing; a tensor of shape (n,) spreads over (B, n) by itself.
# `codebook[ids]` is (B, n, C); the map wants the channels before the places.
#
# </details>
#
# {{help spliced_step}}
#
# The library does the same (with $\varphi$): `edit(model, original, mask, label, seed)`.

# %% [markdown]
# ## In-painting
#
# The right side of the pullover is lost. We draw it anew, with three seeds. Grey in the second picture: what the
# model does not get to see.

# %%


def run(original, mask, label, seed, sampling=None):
    """The picture after an edit, and its token ids per scale."""
    trace = Trace({}, list(edit(model, original, mask, label, seed, sampling)))
    return trace.image[0], [step.token_ids[0] for step in trace.steps]


def hidden(image, mask):
    """The picture with a grey area where the mask is."""
    cells = mask.repeat_interleave(4, 0).repeat_interleave(4, 1)
    return torch.where(cells, 0.5, image)


results = [run(original, hole, label, seed) for seed in range(3)]
for _, ids in results:
    for new, old, inside in zip(ids, original, masks_per_scale(hole, pyramid.patch_nums)):
        assert torch.equal(new[~inside], old[~inside])  # every given token is still there
assert len({ids[-1].tolist().__repr__() for _, ids in results}) == 3
row(
    [sample.image, hidden(sample.image, hole), *[image for image, _ in results]],
    ["original", "given", "seed 0", "seed 1", "seed 2"],
    alt="a pullover, the same with its right side hidden, and three completions of the right side",
)

# %% [markdown]
# The completions continue sleeve, hem and shade, each in another way. All tokens outside are those of the original,
# as the assertion says.
#
# **Predict.** What about the *pixels* outside: do they stay as they are everywhere, nowhere, or only at some
# distance?
#
# <details><summary>Answer</summary>
#
# Nearly so at some distance. Right beside the mask they change about as much as inside.
#
# </details>

# %%
cells = hole.repeat_interleave(4, 0).repeat_interleave(4, 1)
change = (results[0][0] - written.image[0])[0].abs()
rings = {"inside": cells, "column beside it": torch.zeros_like(cells), "further away": torch.zeros_like(cells)}
rings["column beside it"][:, 12:16] = True
rings["further away"][:, :12] = True
for name, where in rings.items():
    print(f"{name:17} mean change of a pixel {change[where].mean():.4f}")
assert min(change[rings[name]].mean() for name in ("inside", "column beside it")) > 2 * change[rings["further away"]].mean()
row(
    [written.image[0], results[0][0], change],
    ["decoded, unedited", "edited", "change"],
    limits=(0, 1),
    bar="change",
    alt="the unedited and the edited pullover; the change lies on the right side and fades away beside it",
)

# %% [markdown]
# Far from the mask hardly anything changes; in the four columns of pixels beside it about as much as inside. Two
# reasons. Decoder, $\varphi$ and bicubic enlargement look at neighbouring places, so drawn tokens reach over the
# edge. And the coarse tokens that were drawn anew reach far, while the given finer tokens outside are *corrections to
# the original's* coarse tokens: to others they do not fit exactly. That softens the seam, and moves what one wanted
# to keep. Whoever needs the outside pixels untouched must paste the original over the result, and gets a hard seam.
#
# <details><summary>Can one do better? (A question for those who have finished.)</summary>
#
# Outside the mask, do not give the old tokens but quantize anew: at each scale, average what is missing now,
# $f - \hat f$ with the $\hat f$ of the edit, and take the nearest codes. Then each scale outside corrects what the
# drawn coarse tokens changed. It needs the picture itself and not only its tokens.
#
# </details>
#
# ## What do drawn tokens see, and when?
#
# A token inside the mask is drawn from the *coarser* scales, through $\hat f$ and attention. The given tokens of its
# **own** scale do not help it: all tokens of a scale are drawn at once. They count from the next scale on. We check
# it: change one given token of the 5 × 5 map and compare what is drawn, from the same seed.
#
# **Predict.** At which scales do drawn tokens become others: 1, 2, 3, 5, 7?
#
# <details><summary>Answer</summary>
#
# At 7 only. The coarser ones were drawn before, and those of the 5 × 5 map at the same time.
#
# </details>

# %%
changed = [ids.clone() for ids in original]
changed[3][0] = (changed[3][0] + 1000) % model.config.tokenizer.vocab_size  # a corner outside the mask
_, before = run(original, hole, label, 0)
_, after = run(changed, hole, label, 0)
inside = masks_per_scale(hole, pyramid.patch_nums)
differ = [int((a != b)[i].sum()) for a, b, i in zip(before, after, inside)]
print("drawn tokens that became others, by scale:", dict(zip(pyramid.patch_nums, differ)))
assert differ[:4] == [0, 0, 0, 0] and differ[4] > 0

# %% [markdown]
# Nothing changed at the scale of the changed token, something at the scale after it. This also says what cannot work:
# if *only* the last map were given outside the mask, and everything coarser drawn freely, the inside would be drawn
# without knowing anything of the original.

# %%
only_last = [(ids, ~where if k == 4 else torch.zeros_like(where)) for k, (ids, where) in enumerate(zip(original, inside))]
naive = [list(model.generate(label, seed, forced=only_last)) for seed in range(3)]
for seed, steps in enumerate(naive):
    alone = list(model.generate(label, seed))  # the same class and seed without any original
    same = [torch.equal(a.token_ids[0][i], b.token_ids[0][i]) for a, b, i in zip(steps, alone, inside)]
    print(f"seed {seed}: drawn tokens inside are those of a picture drawn from nothing: {all(same)}")
    assert all(same)
grid(
    [[image for image, _ in results], [steps[-1].image[0] for steps in naive]],
    ["seed 0", "seed 1", "seed 2"],
    ["every scale", "only last"],
    alt="above completions that fit; below three other pullovers with remains of the original on the left",
)

# %% [markdown]
# ## Out-painting
#
# The same operation with the mask around the picture: the middle is given, the border is drawn. This mask frees all
# tokens of the first two maps, so brightness and rough form are drawn, too. What is given enters only from the 3 × 3
# map on, as corrections; the class tells what the thing is to be.

# %%
boot = samples[names.index("Ankle boot")]
boot_ids = [step.token_ids[0] for step in tokenize_picture(model, boot.image).steps]
as_boot = [run(boot_ids, border, names.index("Ankle boot"), seed)[0] for seed in range(2)]
as_bag = [run(boot_ids, border, names.index("Bag"), seed)[0] for seed in range(2)]
row(
    [boot.image, hidden(boot.image, border), *as_boot, *as_bag],
    ["original", "given", "as boot", "as boot", "as bag", "as bag"],
    alt="an ankle boot, its middle alone, two continuations as a boot, and two as a bag",
)

# %% [markdown]
# ## Another class in a place
#
# For a **class edit** only the label differs: inside the mask another class is drawn. The coarse tokens decide
# whether that succeeds. With a small mask nearly all of them are given, they say "pullover", and the new class gets only a few
# fine tokens. With a mask of more than half of the picture the coarse tokens are drawn for the new class, too.
# Guidance (lesson 3) pulls harder towards it.

# %%
wide = torch.ones(7, 7, dtype=torch.bool)
wide[:2] = False  # all but the two top rows
target = names.index("Dress")
pictures, titles = [sample.image], ["original"]
for name, mask in (("patch", patch), ("wide", wide)):
    for guidance in (0.0, 6.0):
        image, ids = run(original, mask, target, 1, Sampling(guidance=guidance))
        freed = sum(int(part.sum()) for part in masks_per_scale(mask, pyramid.patch_nums)[:3])
        pictures.append(image)
        titles.append(f"{name}, g = {guidance:g}")
        print(f"{name:6} guidance {guidance:g}: {freed} of the 14 tokens of the three coarsest maps were drawn as a dress")
row(
    pictures,
    titles,
    alt="a pullover, and four edits into a dress: with a small mask hardly anything, with a wide mask a dress below",
)

# %%
sizes = {
    name: sum(int(p.sum()) for p in masks_per_scale(m, pyramid.patch_nums)[:3]) for name, m in (("patch", patch), ("wide", wide))
}
assert sizes["wide"] > sizes["patch"]

# %% [markdown]
# ## When it fails
#
# - The picture is unlike anything in the training pictures: already the tokens cannot write it (compare *decoded*
#   with *original* before you blame the edit).
# - The mask and the class disagree: two rows of a pullover's shoulders on top of a dress are neither.
# - The mask is smaller than a token of the last map: 4 × 4 pixels here. There is nothing finer to be given.
#
# *Is the picture outside safe?* Its tokens are; its pixels only at some distance from the mask. *Was the model
# trained for this?* No. Given tokens look to it like tokens that it has drawn itself, and it goes on from there: the
# same property, teacher forcing (lesson 2), that let it be trained on real pictures.
#
# ## What to remember
#
# - One operation, three uses: in-painting, out-painting, class edit. Only mask and label differ.
# - A mask exists on every scale: a token is drawn anew if at least half of it is covered.
# - The splice happens on token ids, before they are added to $\hat f$, at **every** scale; drawn tokens notice it
#   from the next scale on.
