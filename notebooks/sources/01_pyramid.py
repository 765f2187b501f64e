# %% [markdown]
# # 1. An image as a pyramid of token maps
#
# A VAR model (Visual Autoregressive Modeling, [arXiv 2404.02905](https://arxiv.org/abs/2404.02905)) draws a picture
# coarse to fine. Before anything can be drawn, a picture must be *written* that way: as a few square maps of whole
# numbers, the smallest one with a single number in it. This lesson takes a real picture apart, puts it together
# again, and explains every operation on the way.
#
# After it you can say
#
# - what a token map, the codebook, the residual, $\hat f$ (`f_hat`) and $\varphi$ (phi) are,
# - why each scale stores only what the coarser scales left over,
# - why the input of the next scale is *not* the previous token map,
# - why a small map decoded alone looks bad, and why that is no fault.
#
# Time: 75 minutes with the exercises, 15 without. Everything runs on a laptop; the cells together take a few seconds.

# %%
import math

import torch
import torch.nn.functional as F

from var_mini import checks, load
from var_mini import data as datasets
from var_mini.data.samples import load_samples
from var_mini.view.images import code_colours, token_map
from var_mini.view.plates import grid, new_figure, row, shown

torch.manual_seed(0)
model = load("fashion-28")  # trained on Fashion-MNIST; the weights are in assets/
tokenizer, quantizer, pyramid = model.tokenizer, model.tokenizer.quantize, model.config.pyramid

samples = load_samples(model.config)  # test pictures, which the model has never seen in training
row([s.image for s in samples], [s.name for s in samples], size=0.95, alt="ten test pictures of clothes, in grey")

# %% [markdown]
# ## Two translations: picture to features, features to picture
#
# A convolutional **encoder** turns a picture of 28 × 28 pixels into a **feature map** $f$: 7 × 7 places with a vector
# of 16 numbers at each. A **decoder** turns such a map back into a picture. Both were trained together so that the
# picture survives. What lies between them is what this lesson is about: $f$ holds real numbers, and we want whole
# numbers from a finite list, because a transformer predicts one entry of a finite list well.

# %%
picture = samples[7].image  # (1, 28, 28), values in [0, 1]
with torch.no_grad():
    f = tokenizer.encode(picture[None] * 2 - 1)  # the encoder takes values in [-1, 1]
    back = (tokenizer.decode(f) + 1) / 2
print("picture", tuple(picture.shape), " features f", tuple(f.shape), " decoded", tuple(back.shape))
row(
    [picture, f[0, 0], f[0, 1], f[0, 2], back[0]],
    ["picture", "channel 1 of f", "channel 2", "channel 3", "decoded from f"],
    bar="value of f",
    alt="a sneaker, three of the sixteen channels of its feature map at 7 by 7, and the sneaker decoded from it",
)

# %% [markdown]
# ## The pyramid
#
# The token maps of this model have the sides 1, 2, 3, 5 and 7. VAR calls this list `patch_nums`. A map of side $s$
# holds $s^2$ tokens; written one after the other, coarse to fine, all maps form one sequence of $L = \sum_k s_k^2$
# tokens.

# %%
print("sides", pyramid.patch_nums)
print("tokens of each scale", pyramid.counts, " together L =", pyramid.tokens)
assert pyramid.tokens == sum(side**2 for side in pyramid.patch_nums) == 88

# %% [markdown]
# {{exercise pyramid_offsets}}
#
# Nearly every bug in a VAR implementation begins with a wrong offset. Write the function that says where each scale
# lies in the sequence.


# %% tags=["exercise"]
def pyramid_offsets(patch_nums):
    """Where each scale lies in the sequence of all tokens.

    patch_nums   sides of the token maps, coarse to fine, such as (1, 2, 3)
    returns      a list of one pair (begin, end) per scale; the tokens begin, ..., end - 1 belong to it
    """
    ### BEGIN SOLUTION
    offsets, begin = [], 0
    for side in patch_nums:
        end = begin + side * side
        offsets.append((begin, end))
        begin = end
    return offsets
    ### END SOLUTION


checks.pyramid_offsets(pyramid_offsets)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Each scale begins where the one before it ends. Keep that place in a variable.
#
# </details>
#
# {{help pyramid_offsets}}

# %%
offsets = checks.use("pyramid_offsets")(pyramid.patch_nums)
assert offsets == [(part.start, part.stop) for part in pyramid.slices]
print(offsets)

published = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)  # of the published models for 256 x 256 pixels
tokens, last = sum(side**2 for side in published), published[-1] ** 2
print(f"published: {tokens} tokens in {len(published)} maps; the last map alone has {last}")
assert (tokens, last) == (680, 256)

# %% [markdown]
# *Is it not wasteful to write 680 tokens where the last map has only 256?* It is more tokens, but what counts for
# speed is how many must wait for each other. An autoregressive model that draws the 256 tokens one by one needs 256
# steps, each waiting for the one before. VAR draws a whole map in one step: 10 steps. Lesson 4 measures what that is
# worth, and what it is not.

# %% [markdown]
# ## Looking at a map from further away
#
# To say something coarse about $f$, we look at it with fewer places: each of the $s \times s$ cells takes the
# **mean** of the values it covers. PyTorch calls this `mode="area"`. Where 7 is not divisible by $s$, a cell covers
# the places from $\lfloor i \cdot 7/s \rfloor$ up to $\lceil (i+1) \cdot 7/s \rceil$ (the end not included);
# neighbouring cells then share a place.

# %%
small = [F.interpolate(f, size=(side, side), mode="area")[0, 0] for side in pyramid.patch_nums]
row(
    small,
    [f"{side} × {side}" for side in pyramid.patch_nums],
    limits=(f[0, 0].min().item(), f[0, 0].max().item()),
    bar="channel 1",
    alt="channel 1 of f averaged to 1 by 1, 2 by 2, 3 by 3, 5 by 5 and 7 by 7 cells",
)

# %% [markdown]
# {{exercise area_downsample}}
#
# Write it without `F.interpolate` and without `adaptive_avg_pool2d`. Two loops over the cells are fine. (Checks compare
# numbers and cannot see how they were made: that is left to you, here and later.)


# %% tags=["exercise"]
def area_downsample(f, side):
    """Averages a feature map to fewer places.

    f        float (B, C, S, S)
    side     whole number from 1 to S
    returns  float (B, C, side, side): cell (i, j) is the mean of f over the rows floor(i*S/side) to ceil((i+1)*S/side) - 1
             and the same columns of j
    """
    ### BEGIN SOLUTION
    size = f.shape[-1]
    windows = [(i * size // side, -(-(i + 1) * size // side)) for i in range(side)]  # -(-a // b) rounds up
    rows = [[f[:, :, a:b, c:d].mean(dim=(2, 3)) for c, d in windows] for a, b in windows]
    return torch.stack([torch.stack(cells, dim=-1) for cells in rows], dim=-2)
    ### END SOLUTION


checks.area_downsample(area_downsample)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Compute the list of windows `(begin, end)` once; rows and columns have the same. `-(-a // b)` is $a/b$ rounded up.
# Collect the means in lists and join them with `torch.stack`, columns first.
#
# </details>
#
# {{help area_downsample}}

# %% [markdown]
# ## The codebook: from vectors to whole numbers
#
# The **codebook** is a table of 4096 learned vectors, the codes. Quantizing a vector means writing down the *index*
# of the code nearest to it. That index is the **token**. To draw a token map we give every code a colour: codes that
# are near in the codebook get near colours.
#
# There is **one codebook for all scales**: the single token of the coarsest map and the 49 of the finest come from
# the same 4096 codes.

# %%
codebook = quantizer.embedding.weight.detach()  # (V, Cvae)
colours = code_colours(codebook)
print("codebook", tuple(codebook.shape))
row([colours.reshape(64, 64, 3)], ["the 4096 codes"], size=2.2, alt="4096 small squares, one in the colour of each code")

# %% [markdown]
# {{exercise nearest_code}}
#
# For every vector $z_n$ find $\arg\min_v \lVert z_n - c_v \rVert^2$. Without a loop over the vectors, please: real
# maps have thousands.


# %% tags=["exercise"]
def nearest_code(z, codebook):
    """Index of the code nearest to each vector, by squared Euclidean distance.

    z          float (N, C)
    codebook   float (V, C)
    returns    int64 (N,)
    """
    ### BEGIN SOLUTION
    squared = z.square().sum(1, keepdim=True) - 2 * z @ codebook.T + codebook.square().sum(1)  # (N, V)
    return squared.argmin(dim=1)
    ### END SOLUTION


checks.nearest_code(nearest_code)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $\lVert z - c \rVert^2 = \lVert z \rVert^2 - 2 z \cdot c + \lVert c \rVert^2$.
# All pairs $z \cdot c$ are one matrix product. `torch.cdist` works, too.
#
# </details>
#
# {{help nearest_code}}

# %% [markdown]
# ## One scale after the other, each saying only what is missing
#
# Here is the heart of the tokenizer (VAR, algorithm 1). $\hat f$ begins at zero. For every scale, coarse to fine:
#
# 1. $z$ = what is still missing, $f - \hat f$ (the **residual**), averaged to $s \times s$;
# 2. the token map = index of the nearest code at every place of $z$;
# 3. $h$ = those codes as a map, enlarged to 7 × 7 (bicubic interpolation) and passed through $\varphi$;
# 4. $\hat f \leftarrow \hat f + h$.
#
# Because step 1 subtracts $\hat f$, a scale never repeats what a coarser one has said; it corrects it, including the
# errors that quantization made.
#
# First $\varphi$, the one operation not yet explained. An enlarged 1 × 1 or 2 × 2 map is very smooth. A 3 × 3
# convolution may sharpen it, but is allowed to change only part of it:
#
# $$\varphi(h) = (1 - r)\, h + r\,(w * h + b), \qquad r = 0.5 .$$
#
# Only the *upsampled* codes pass through $\varphi$; it is part of the tokenizer and has nothing to do with the
# transformer. There are fewer convolutions than scales, and neighbouring scales share one.

# %%
print("ratio r =", model.config.tokenizer.phi_ratio)
print("convolutions:", model.config.tokenizer.phi_count, " used by the five scales in this order:", quantizer.phi_of_scale)
assert len(set(quantizer.phi_of_scale)) <= model.config.tokenizer.phi_count

# %% [markdown]
# {{exercise mix_phi}}
#
# Write $\varphi$. The convolution is `F.conv2d`; the map must keep its size.


# %% tags=["exercise"]
def mix_phi(h, weight, bias, ratio):
    """phi: part of the map passes unchanged, part through a 3x3 convolution.

    h        float (B, C, S, S)
    weight   float (C, C, 3, 3), bias float (C,): the convolution, with a border of zeros so that the size stays S
    ratio    number from 0 to 1, the share of the convolution
    returns  float (B, C, S, S)
    """
    ### BEGIN SOLUTION
    return (1 - ratio) * h + ratio * F.conv2d(h, weight, bias, padding=1)
    ### END SOLUTION


checks.mix_phi(mix_phi)

# %% [markdown]
# <details><summary>Hint</summary>
#
# One line. `padding=1` keeps the size.
#
# </details>
#
# {{help mix_phi}}

# %%
phi = quantizer.quant_resi.qresi_ls[0]
h = F.interpolate(codebook[[3, 2000, 900, 4011]].T.reshape(1, -1, 2, 2), size=(7, 7), mode="bicubic")
with torch.no_grad():
    ours, theirs = checks.use("mix_phi")(h, phi.weight, phi.bias, phi.ratio), phi(h)
assert torch.allclose(ours, theirs, atol=1e-5)
row(
    [h[0, 0], theirs[0, 0], (theirs - h)[0, 0]],
    ["four codes, enlarged", "after phi", "what phi changed"],
    bar="channel 1",
    alt="a smooth 7 by 7 map made from 2 by 2 codes, the same after phi, and the difference",
)

# %% [markdown]
# {{exercise residual_step}}
#
# Now one whole step, without $\varphi$ (as if it changed nothing). You may use `F.interpolate` with `mode="area"` and
# `mode="bicubic"`.


# %% tags=["exercise"]
def residual_step(f, f_hat, codebook, side):
    """One scale of the residual quantizer, with phi left out.

    f         float (B, C, S, S), the features to be written
    f_hat     float (B, C, S, S), what the coarser scales add up to; must not be changed in place
    codebook  float (V, C)
    side      side of this scale's token map
    returns   a pair: token ids, int64 (B, side * side), row by row; and the new f_hat, float (B, C, S, S)
    """
    ### BEGIN SOLUTION
    z = F.interpolate(f - f_hat, size=(side, side), mode="area")  # (B, C, side, side)
    vectors = z.permute(0, 2, 3, 1).flatten(0, 2)  # (B * side * side, C)
    ids = torch.cdist(vectors, codebook).argmin(dim=1)
    codes = codebook[ids].view(len(f), side, side, -1).permute(0, 3, 1, 2)
    h = F.interpolate(codes, size=f.shape[2:], mode="bicubic")
    return ids.view(len(f), -1), f_hat + h
    ### END SOLUTION


checks.residual_step(residual_step)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Mind the order of dimensions. The nearest code is looked for along the channels, so bring them to the end with
# `permute(0, 2, 3, 1)` before you flatten the places, and back to the front afterwards.
#
# </details>
#
# {{help residual_step}}

# %% [markdown]
# ## A picture, taken apart
#
# With all five steps the model's own quantizer gives this. Above: the token maps. Below: the picture decoded from
# $\hat f$ after each scale.
#
# **Predict.** Every step makes the distance $\lVert f - \hat f \rVert$ smaller. Does every step make the decoded
# picture better, too?
#
# <details><summary>Answer</summary>
#
# For most pictures, but not for all. The quantizer looks at features and never at pixels, and the decoder was
# trained on the sum of *all* scales only: a sum of two scales is an input that it has not learned to decode. The
# cell after the next one counts how often the picture gets worse.
#
# </details>

# %%
with torch.no_grad():
    quantized = quantizer.quantize(f)
    partial = [((tokenizer.decode(f_hat) + 1) / 2)[0] for f_hat in quantized.f_hat]


def psnr(a, b):
    """Peak signal to noise ratio in dB: 10 more means a tenth of the squared error."""
    return -10 * math.log10((a - b).square().mean().item())


titles = [f"{side} × {side}" for side in pyramid.patch_nums]
maps = [token_map(ids[0], colours) for ids in quantized.token_ids]
grid(
    [[*maps, None], [*partial, picture]],
    [*titles, "picture"],
    ["tokens", "decoded"],
    alt="the five token maps of the sneaker, and below each the picture decoded so far, ever sharper, beside the original",
)

# %%
missing = [((f - f_hat).norm() / f.norm()).item() for f_hat in quantized.f_hat]
quality = [psnr(image, picture) for image in partial]
for side, share, db in zip(pyramid.patch_nums, missing, quality):
    print(f"after {side} x {side}: {share:5.1%} of f missing, PSNR {db:.1f} dB")
assert missing == sorted(missing, reverse=True) and quality[-1] == max(quality)

# %% [markdown]
# Here every scale makes the remaining residual smaller; the last one, with more than half of all tokens, does most.
# It does not reach zero: five maps of 4096 possible codes cannot write sixteen real numbers at 49 places exactly.
# What is left is the tokenizer's error, and no transformer can make up for it.
#
# One picture proves little. The next cell asks many: 400 test pictures where Fashion-MNIST is installed, else the
# ten that ship with the project.

# %%
if (datasets.FASHION_FOLDER / "t10k-images-idx3-ubyte.gz").exists():
    many = datasets.to_unit(datasets.load("fashion-mnist").test_images[:400])  # values in [-1, 1]
else:
    many = torch.stack([s.image for s in samples]) * 2 - 1
with torch.no_grad():
    written = quantizer.quantize(tokenizer.encode(many))
    decoded = [tokenizer.decode(f_hat) for f_hat in written.f_hat]
errors = torch.stack([(image - many).square().flatten(1).mean(1) for image in decoded])  # (scales, pictures)
worse = (errors[1:] > errors[:-1]).double().mean(1).tolist()
print(f"{len(many)} pictures")
for side, share in zip(pyramid.patch_nums[1:], worse):
    print(f"the picture gets worse when the {side} x {side} map is added: {share:.0%} of them")
assert worse[-1] < 0.05

# %% [markdown]
# So PSNR may fall at a coarse scale; only the full sum is what encoder, codebook and decoder were trained for.
#
# ### The token ids are all that is stored
#
# From the ids alone the same $\hat f$ comes back. This is what drawing does: the transformer chooses ids, and the
# quantizer adds them up.

# %%
with torch.no_grad():
    again = quantizer.accumulate(quantized.token_ids)
assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(again, quantized.f_hat))
bits = math.log2(len(codebook))
stored = pyramid.tokens * bits / 8
print(f"{pyramid.tokens} tokens of {bits:.0f} bits: {stored:.0f} bytes, instead of {picture.numel()} bytes of pixels")

# %% [markdown]
# ## Why does a small map decoded alone look bad?
#
# A natural experiment: take the 3 × 3 map alone, enlarge it, decode it. The result is poor, and people conclude that
# coarse maps carry no meaning. Let us look at three things that one could decode for each scale: what the scale adds,
# *alone*; the *sum* up to it; and the features averaged to that side and enlarged again, without any codes.
#
# **Predict.** Which of the three will look like a blurred shoe at 3 × 3: alone, sum, averaged features, several of
# them, none?
#
# <details><summary>Answer</summary>
#
# The sum and the averaged features: both are near to feature maps of pictures. What the scale adds alone is the
# features' *change* from the sum before it, and that decodes to a shape of something else.
#
# </details>

# %%
with torch.no_grad():
    zero = torch.zeros_like(f)
    added = [b - a for a, b in zip([zero, *quantized.f_hat], quantized.f_hat)]
    alone = [((tokenizer.decode(h) + 1) / 2)[0] for h in added]
    blurred = [
        ((tokenizer.decode(F.interpolate(F.interpolate(f, (s, s), mode="area"), (7, 7), mode="bicubic")) + 1) / 2)[0]
        for s in pyramid.patch_nums
    ]
for side, one, together in zip(pyramid.patch_nums, alone, partial):
    print(f"{side} x {side}: alone {psnr(one, picture):5.1f} dB, sum so far {psnr(together, picture):5.1f} dB")
assert all(psnr(one, picture) < psnr(partial[-1], picture) - 5 for one in alone)
grid(
    [alone, partial, blurred],
    titles,
    ["alone", "sum so far", "f averaged"],
    alt="decoded pictures: each scale alone is wrong, the sums become the sneaker, the averaged features do so later",
)

# %% [markdown]
# The first row is bad for two reasons, and neither is a fault of the model:
#
# - From the second scale on, a map holds a **residual**: what the coarser ones left over. It means something only
#   together with them. (For the 1 × 1 map, alone and sum are the same thing.)
# - The decoder was trained on sums of *all* scales. A single contribution is a kind of input that it has never seen.
#
# So a token map of side 3 is **not** a small version of the picture that a decoder could enlarge. The pyramid is a
# sum, not a staircase of thumbnails.

# %% [markdown]
# ## The input of the next scale is not the previous token map
#
# When the transformer predicts the 5 × 5 map, what does it see of the past? A natural guess is: the 3 × 3 map,
# enlarged. In VAR it is $\hat f$, *the sum of all scales so far*, averaged to 5 × 5: one vector of 16 numbers per
# token to be predicted, at the very place of that token.

# %%
k = 3  # the scale to be predicted: 5 x 5
side = pyramid.patch_nums[k]
with torch.no_grad():
    real_input = quantizer.transformer_input(quantized.f_hat[k - 1], k)  # (1, 25, 16)
    previous = codebook[quantized.token_ids[k - 1]].transpose(1, 2).reshape(1, -1, 3, 3)
    guessed = F.interpolate(previous, size=(side, side), mode="bicubic")
as_map = real_input.transpose(1, 2).reshape(1, -1, side, side)
assert torch.allclose(as_map, checks.use("area_downsample")(quantized.f_hat[k - 1], side), atol=1e-5)
apart = ((as_map - guessed).norm() / as_map.norm()).item()
print(f"input {tuple(real_input.shape)}; distance from the enlarged previous map: {apart:.0%} of the input's own norm")
goal = F.interpolate(f, size=(side, side), mode="area")  # what a perfect sum of the scales so far would be
for name, given in (("real input", as_map), ("previous map enlarged", guessed)):
    print(
        f"{name}: cosine with the averaged features of the picture {F.cosine_similarity(given.flatten(), goal.flatten(), 0):.2f}"
    )
assert F.cosine_similarity(as_map.flatten(), goal.flatten(), 0) > 0.5 and apart > 0.5
row(
    [as_map[0, 0], guessed[0, 0], goal[0, 0]],
    ["real input", "previous map", "f averaged"],
    limits=(f[0, 0].min().item(), f[0, 0].max().item()),
    bar="channel 1",
    alt="channel 1 of the transformer's input for 5 by 5, of the enlarged 3 by 3 map, and of the averaged features",
)

# %% [markdown]
# The input points where the features of the picture point; the previous map alone, a mere correction, does so much
# less. A second way to see it: change *one* token of the *first* map.
#
# **Predict.** How many of the 49 input vectors of the 7 × 7 map change when the single token of the 1 × 1 map becomes
# another one?
#
# <details><summary>Answer</summary>
#
# All 49. If the input were the previous map, the 5 × 5 one, none would notice. But the input is the sum $\hat f$ of
# all coarser scales, and the first map adds something to every place of it.
#
# </details>

# %%
changed = [ids.clone() for ids in quantized.token_ids]
changed[0][0, 0] = (changed[0][0, 0] + 100) % len(codebook)
with torch.no_grad():
    other = quantizer.accumulate(changed)
difference = quantizer.transformer_input(other[3], 4) - quantizer.transformer_input(quantized.f_hat[3], 4)
moved = (difference.norm(dim=-1) > 0.01).sum().item()
print(f"one token of the 1 x 1 map changed: {moved} of 49 inputs of the 7 x 7 map changed")
assert moved == 49

# %% [markdown]
# ## Is this diffusion?
#
# It looks similar: something coarse becomes fine over a few steps. But nothing is noisy here and nothing is removed.
# Each step *adds* a map of whole numbers chosen from a finite list, and what was chosen is never revised. The coarse
# states are sums of codes, not noisy pictures, and the training signal is the cross-entropy of the next token map, as
# in a language model.
#
# ## Do all scales use the codebook alike?
#
# One codebook serves all scales. How long are the codes that each scale picks, and how many different ones? The
# same many pictures as above; the thin lines reach from the shortest tenth to the longest tenth of the codes used.

# %%
lengths = codebook.norm(dim=1)
used = [lengths[ids.flatten()] for ids in written.token_ids]
means = [found.mean().item() for found in used]
spread = [[abs(found.quantile(q).item() - mean) for found, mean in zip(used, means)] for q in (0.1, 0.9)]
figure = new_figure(6.4, 2.4)
axis = figure.subplots()
axis.bar(titles, means, yerr=spread, color="#0072b2", ecolor="0.4")
axis.set_ylabel("mean length of the codes used", fontsize=8)
assert min(means[0], means[-1]) > 1.3 * max(means[1:-1])
print("mean length of the codes used:", [round(mean, 2) for mean in means])
print(f"different codes used on {len(many)} pictures:", [ids.unique().numel() for ids in written.token_ids])
shown(figure, "bars: mean length of the codes used at each scale, long at the first and at the last one, short between")

# %% [markdown]
# The single token of the coarsest map is a long vector: it says in one stroke where the picture lies. The scales
# after it add short corrections. The last one is long again, about as long as the first: it must write whatever is
# still missing, with nobody after it.
#
# ## What to remember
#
# - A picture is $K$ token maps; each token is the index of a code in one shared codebook.
# - A scale quantizes the **residual** of all coarser ones, and the picture so far is the decoded **sum** $\hat f$.
# - $\varphi$ is a 3 × 3 convolution behind the enlargement of a code map, mixed with it half and half.
# - The transformer's input for the next scale is $\hat f$ averaged to that side. Lesson 2 builds the transformer that
#   uses it.
