# %% [markdown]
# # 10. Official VAR
#
# Everything so far ran on a compact model. The published models, VAR-d16 to VAR-d36, are *the same classes* with
# other numbers: this lesson builds them, counts their parameters, follows the shapes through them, and loads the
# published weights where they are on your machine. Where they are not, nothing is downloaded: the same code draws
# with the compact model instead, and says so.
#
# After it you can say
#
# - which parts the 310,283,520 parameters of VAR-d16 lie in,
# - which of its four convolutions $\varphi$ each of the ten scales uses, and why a plausible other rule is wrong,
# - why 680 tokens are not more expensive than 256, and in which sense they are,
# - which sampling settings the published code uses, and for what.
#
# Time: 45 minutes with the exercises, 15 without. The cells take about ten seconds; with the published weights a
# minute or two more, and 3 GB of memory.

# %%
import json
import math
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from var_mini import Model, checks, load
from var_mini.checkpoints import ASSETS, HUB_REPOSITORY, OFFICIAL, TOKENIZER_FILE, load_official, official_config
from var_mini.config import Sampling
from var_mini.tokenizer.quantizer import phi_index
from var_mini.view.plates import new_figure, row, shown

NAME = "var_d16"
config = official_config(NAME)
print(config.tokenizer)
print(config.transformer)

# %% [markdown]
# ## A model without memory
#
# 310 million parameters in float32 are 1.2 GB. To look at shapes and names none of that is needed: on PyTorch's
# device `meta` a tensor has a shape and a type, but no numbers.

# %%
with torch.device("meta"):
    official = Model.build(config)


def size(module):
    return sum(p.numel() for p in module.parameters())


print(f"transformer {size(official.transformer):,} parameters, tokenizer {size(official.tokenizer):,}")
assert size(official.transformer) == 310_283_520 and size(official.tokenizer) == 108_948_355

with torch.device("meta"):
    for name in OFFICIAL:
        other = official_config(name)
        transformer = Model.build(other).transformer
        print(
            f"{name}: depth {other.transformer.depth}, width {other.transformer.width}, {other.pyramid.tokens:,} tokens, "
            f"{other.tokenizer.image_size} pixels, {size(transformer):,} parameters"
        )

# %% [markdown]
# One number decides the others: VAR-d$D$ has $D$ blocks, $D$ heads of dimension 64, and so the width $C = 64 D$.
#
# ### Where are they?
#
# **Predict.** Which part holds the most parameters, and does attention hold more than the layers that turn the
# class into scales and shifts (`ada_lin`)?
#
# <details><summary>Answer</summary>
#
# The feed-forward layers hold the most; `ada_lin` holds more than attention.
#
# </details>

# %%
parts = Counter()
for name, p in official.transformer.named_parameters():
    found = re.match(r"blocks\.\d+\.(attn|ffn|ada_lin)", name)
    parts[f"blocks: {found[1]}" if found else name.partition(".")[0]] += p.numel()
for name, count in parts.most_common():
    print(f"{name:18}{count:14,}  {count / size(official.transformer):5.1%}")
assert parts["blocks: ada_lin"] > parts["blocks: attn"]

# %% [markdown]
# A surprise: nearly a third of the parameters sits in `ada_lin`, the layers that turn the class into scales, shifts
# and gates (AdaLN, lesson 2), more than in attention. They run once per picture instead of once per token, so they
# cost memory and hardly any time. VAR-d36 shares one such layer among all blocks.
#
# {{exercise count_parameters}}
#
# Count by hand. With width $C = 64 \cdot$ depth, for the models of 256 pixels:
#
# | part | tensors |
# |---|---|
# | input | `word_embed`: linear 32 → C; `class_emb`: one row of C for each of 1000 classes and the null class |
# | places | `pos_start`: C; `pos_1LC`: C for each of 680 tokens; `lvl_embed`: C for each of 10 scales |
# | each block, attention | `scale_mul_1H11`: one number per head; `mat_qkv`: C → 3C without bias; `q_bias`, `v_bias`: C each |
# | each block, after it | `proj`: linear C → C |
# | each block, rest | `ffn.fc1`: linear C → 4C; `ffn.fc2`: linear 4C → C; `ada_lin`: linear C → 6C |
# | head | `head_nm.ada_lin`: linear C → 2C; `head`: linear C → 4096 |
#
# A linear layer $m \to n$ has $mn$ weights and, unless it says otherwise, $n$ biases. There are as many heads as
# blocks.


# %% tags=["exercise"]
def count_parameters(depth):
    """Number of parameters of the transformer of VAR-d{depth} for 256 x 256 pixels.

    depth     number of blocks and of heads; the width is 64 * depth
    returns   an int
    """
    ### BEGIN SOLUTION
    C = 64 * depth

    def linear(m, n):
        return m * n + n

    outside = linear(32, C) + 1001 * C + C + 680 * C + 10 * C
    block = depth + C * 3 * C + 2 * C + linear(C, C) + linear(C, 4 * C) + linear(4 * C, C) + linear(C, 6 * C)
    return outside + depth * block + linear(C, 2 * C) + linear(C, 4096)
    ### END SOLUTION


checks.count_parameters(count_parameters)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Write a small function for a linear layer first. Count one block, multiply by `depth`.
#
# </details>
#
# {{help count_parameters}}

# %%
assert checks.use("count_parameters")(16) == size(official.transformer) == 310_283_520
print(f"d16: {checks.use('count_parameters')(16):,}   d30: {checks.use('count_parameters')(30):,}")

# %% [markdown]
# ## The same names
#
# Weights load by name. The compact models have the very names of the published ones, only fewer and smaller tensors,
# so there is no table of translations that could be wrong. (`fashion-28` shares its AdaLN layer among the blocks, as
# VAR-d36 does; so it is compared with that one.)


# %%
def patterns(module):
    """Names of all tensors with the number of the block left open, and how often each occurs."""
    return Counter(re.sub(r"blocks\.\d+", "blocks.N", name) for name in module.state_dict())


compact = load("fashion-28")
with torch.device("meta"):
    d36 = Model.build(official_config("var_d36"))
assert set(patterns(compact.transformer)) == set(patterns(d36.transformer))
only_d16 = set(patterns(official.transformer)) - set(patterns(d36.transformer))
print(f"{len(patterns(d36.transformer))} kinds of tensors, the same in fashion-28 and var_d36")
print("only in var_d16:", sorted(only_d16))
for name in ("word_embed.weight", "blocks.0.attn.mat_qkv.weight", "blocks.0.attn.scale_mul_1H11", "pos_1LC", "head.weight"):
    print(
        f"{name:32} fashion-28 {tuple(compact.transformer.state_dict()[name].shape)!s:18}"
        f"{NAME} {tuple(official.transformer.state_dict()[name].shape)}"
    )

# %% [markdown]
# ## Shapes on their way
#
# The meta device runs the whole model, without a number being computed. A picture goes in, token maps, inputs and
# logits come out:

# %%
image = torch.empty(1, 3, config.tokenizer.image_size, config.tokenizer.image_size, device="meta")
with torch.no_grad():
    f = official.tokenizer.encode(image)
    quantized = official.tokenizer.quantize.quantize(f)
    given = official.tokenizer.quantize.teacher_forcing_input(quantized.f_hat)
    logits = official.transformer(torch.zeros(1, dtype=torch.long, device="meta"), given)
print("picture", tuple(image.shape), "-> features f", tuple(f.shape))
print("token maps", [tuple(ids.shape) for ids in quantized.token_ids])
print("transformer input", tuple(given.shape), "(the first token is the class embedding)")
print("logits", tuple(logits.shape))
assert tuple(f.shape) == (1, 32, 16, 16) and tuple(logits.shape) == (1, 680, 4096) and given.shape[1] == 679

# %% [markdown]
# ## 680 tokens instead of 256: more or less work?
#
# A raster-order model of the same resolution draws $16 \times 16 = 256$ tokens, one after the other. VAR draws 680,
# in 10 steps. Count both: what is computed (pairs of a query and a key, with a KV cache) and what must wait.
#
# **Predict.** How many times more pairs does VAR count: 0.5, 2.7 or 8.7?
#
# <details><summary>Answer</summary>
#
# 8.7. It has 2.7 times the tokens, so about seven times the pairs, and no token of a map is hidden from another one.
#
# </details>

# %%
pairs_raster = 256 * 257 // 2
pairs_var = config.pyramid.attention_pairs(cached=True)
print(f"raster: 256 tokens, {pairs_raster:,} pairs, 256 steps that wait for each other")
print(f"VAR:    {config.pyramid.tokens} tokens, {pairs_var:,} pairs, {config.pyramid.num_scales} steps")
assert config.pyramid.tokens == 680 and pairs_var == 286_434 > 8 * pairs_raster
assert config.pyramid.num_scales == 10

# %% [markdown]
# So VAR does *more* arithmetic: 2.7 times the tokens, almost nine times the pairs. It is faster all the same, because
# the 10 steps are large matrix products that use a processor well, while 256 tiny ones leave it waiting (lesson 4
# measures it). "Fewer steps" is the claim that holds; "less work" is not.
#
# ## Which $\varphi$ for which scale?
#
# The published tokenizer has 4 convolutions $\varphi$ for 10 scales. Scale $k$ of $K$ stands at $k/(K-1)$, and takes
# the convolution whose *tick* is nearest; the ticks are four evenly spaced numbers from $\tfrac1{12}$ to
# $\tfrac{11}{12}$.
#
# **Predict.** How many of the ten scales does each of the four convolutions get? (Not 2.5 each.)
#
# <details><summary>Answer</summary>
#
# 2, 3, 2 and 3, which is not even symmetric: two scales stand just between two ticks, and rounding decides.
#
# </details>
#
# {{exercise phi_of_scale}}
#
# For $K = 10$ two scales stand exactly in the middle between two ticks, if one computes with fractions. The official
# code computes with numpy in float64, where rounding decides, and the weights were trained with what came out. So
# compute exactly as it does: `ticks = np.linspace(1 / 3 / 4, 1 - 1 / 3 / 4, 4)`, then the `np.argmin` of the absolute
# differences.


# %% tags=["exercise"]
def phi_of_scale(num_scales):
    """Which of the four convolutions phi each scale uses.

    num_scales   K, at least 2
    returns      a list of K ints from 0 to 3
    """
    ### BEGIN SOLUTION
    ticks = np.linspace(1 / 3 / 4, 1 - 1 / 3 / 4, 4)
    return [int(np.argmin(np.abs(ticks - k / (num_scales - 1)))) for k in range(num_scales)]
    ### END SOLUTION


checks.phi_of_scale(phi_of_scale)

# %% [markdown]
# <details><summary>Hint</summary>
#
# One line for the ticks, one for the list. `int(...)` turns numpy's number into Python's.
#
# </details>
#
# {{help phi_of_scale}}

# %%
found = checks.use("phi_of_scale")(10)
assert found == phi_index(official.config.pyramid, 4) == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]
assert found == official.tokenizer.quantize.phi_of_scale
ticks = np.linspace(1 / 3 / 4, 1 - 1 / 3 / 4, 4)
for k in (2, 7):
    apart = np.sort(np.abs(ticks - k / 9))[:2]
    print(f"scale {k + 1} of 10: the two nearest ticks are {apart[0]:.17f} and {apart[1]:.17f} away")
colours = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
figure = new_figure(6.4, 1.5)
axis = figure.subplots()
for i, tick in enumerate(ticks):
    axis.plot([tick], [1], "v", ms=9, color=colours[i])
    axis.text(tick, 1.35, f"φ {i}", ha="center", fontsize=8)
for k, i in enumerate(found):
    axis.plot([k / 9], [0], "o", color=colours[i])
    axis.text(k / 9, -0.75, f"{config.pyramid.patch_nums[k]}²", ha="center", fontsize=8)
axis.set_ylim(-1.2, 2)
axis.set_yticks([])
axis.set_xlabel("k / (K - 1)", fontsize=9)
shown(figure, "four ticks above, ten scales below, each in the colour of its nearest tick: 2, 3, 2 and 3 scales")

# %% [markdown]
# Scales 3 and 8 are decided in the last digits. With exact fractions both would go the other way, and every picture
# of the published weights would be decoded with two wrong convolutions: not broken, only worse, which is the kind of
# error that nobody finds by looking.
#
# ## Is it really the same?
#
# Same names and shapes do not prove same results. So the official code was run once in a small configuration, with
# weights that follow from a rule, and its outputs were stored; this project computes them again (`python -m var_mini
# parity tests/data/official_adaln.npz`). The stored result of that comparison:

# %%
for name in ("official_adaln", "official_shared_adaln"):
    stored = json.loads((ASSETS / "results" / f"parity-{name}.json").read_text())
    largest = max(stored["max_abs"].values())
    print(
        f"{name:22} ids equal: {stored['ids_equal']}, drawn ids too: {stored['generated_ids_equal']}, largest error {largest:.1e}"
    )
    assert stored["ok"] and largest < 2e-4

# %% [markdown]
# ## Draw
#
# The settings of the official *demo*: guidance 4 (rising from 0 at the first scale to 4 at the last), the 900 most
# likely codes (top-k), of these the most likely ones that hold 95 % (top-p). They are chosen for pictures that
# please. For the measured FID the official README names others: guidance 1.5, top-k 900 and top-p 0.96. Guidance
# makes single pictures better and a set of pictures less varied (lesson 3), and FID judges the set.
#
# The next cell looks for the published weights in the folder that the environment variable `VAR_WEIGHTS` names, and
# in the cache of the Hugging Face Hub. It downloads nothing.


# %%
def weights_folder(name):
    """The folder with both files of a published model, or None."""
    files = (f"{name}.pth", TOKENIZER_FILE)
    given = os.environ.get("VAR_WEIGHTS")
    if given:
        return Path(given) if all((Path(given) / file).is_file() for file in files) else None
    from huggingface_hub import try_to_load_from_cache

    cached = [try_to_load_from_cache(HUB_REPOSITORY, file) for file in files]
    return Path(cached[0]).parent if all(isinstance(path, str) for path in cached) else None


folder = weights_folder(NAME)
needed = {f"{NAME}.pth": size(official.transformer), TOKENIZER_FILE: size(official.tokenizer)}
if folder is None:
    print(f"The weights of {NAME} are not here, so the compact model draws below. They are two files of the Hub's")
    print(f"repository {HUB_REPOSITORY}, about {sum(needed.values()) * 4 / 1e9:.1f} GB in float32:")
    for file, count in needed.items():
        print(f"  {file}  about {count * 4 / 1e9:.2f} GB")
    print("Put them into a folder and set VAR_WEIGHTS to it, or let the Hub's client download them:")
    print(f"  python -m var_mini generate --model {NAME} --class 207 --out dog.png")
else:
    print(f"The weights of {NAME} are here.")

# %% tags=["skip-grading"]
if folder is not None:
    model, labels = load_official(NAME, folder), [207, 88, 971]  # golden retriever, macaw, bubble
else:
    model, labels = compact, [7, 8, 1]
settings = Sampling(guidance=4.0, top_k=900, top_p=0.95)
assert settings == config.sampling
last = []
for label in labels:
    steps = list(model.generate(label, seed=0, sampling=settings))
    last.append(steps[-1].image[0])
    seconds = [s.seconds_attention + s.seconds_transformer + s.seconds_decoder for s in steps]
    share = seconds[-1] / sum(seconds)
    print(f"{model.config.class_name(label)}: {len(steps)} scales, {sum(seconds):.2f} s, {share:.0%} of it for the last one")
assert all(torch.isfinite(image).all() for image in last)
row(last, [model.config.class_name(label) for label in labels], size=1.9, alt="three pictures drawn by the model that is here")

# %% tags=["skip-grading"]
row(
    [step.image[0] for step in steps],
    [f"{step.side} × {step.side}" for step in steps],
    size=1.1,
    alt="the last of these pictures after every scale, coarse to fine",
)

# %% [markdown]
# The call is the same for both models: `model.generate(label, seed, sampling)`, one record per scale. Everything in
# the other lessons that takes a model takes this one: the explorer, edits, the attention tables. One difference
# matters, its **logits**: the scale of each head was learned without a tight cap, and its head dimension is 64. So low-rank
# attention of degree 2 is outside its regime (lesson 6); choose `exact`. The null class of guidance is number 1000 here: the
# published models were trained with 10 % of the labels dropped, as ours were.

# %%
bounds = {name: load(name) for name in ("fashion-28", "fashion-28-bounded")}
for name, other in bounds.items():
    largest = max(block.attn.logit_scale().max().item() for block in other.transformer.blocks)
    print(f"{name:20} logits within ±{largest:.1f}, head dimension {other.config.transformer.head_dim}")
start = config.transformer.scale_init
print(f"{NAME}: training starts with ±{start:g}; ln 680 = {math.log(680):.1f}; head dimension {config.transformer.head_dim}")
assert start == 4

# %% [markdown]
# ## What to remember
#
# - One set of classes, one set of names: a configuration decides whether it is `fashion-28` or VAR-d16.
# - VAR-d16 has 310,283,520 parameters, nearly a third of them in AdaLN.
# - 680 tokens are more work than 256 and far fewer steps.
# - Details decide whether weights decode rightly: the ticks of $\varphi$ down to the rounding of a tie.
