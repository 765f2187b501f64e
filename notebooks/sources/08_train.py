# %% [markdown]
# # 8. Train your own
#
# In this lesson you train a complete VAR, both stages, small enough for a laptop: first the tokenizer, then the
# transformer. You learn to read what training prints, why codes die and how they are brought back, and how to find
# out whether a model has learned or merely *memorised*.
#
# After it you can say
#
# - what the two stages learn, and what each number in a training log means,
# - what a dead code is, and what happens without revival,
# - how a learning rate rises and falls, and why labels are dropped,
# - how to tell a copy from a new picture, and why the comparison with unseen pictures is needed.
#
# Time: 75 minutes with the exercises, 40 without. The cells run for some minutes (training), or for about one
# minute if the environment variable `VAR_MINI_FAST` is set: then training is shortened, but nothing is left out.

# %%
import contextlib
import csv
import math
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from var_mini import checks, load
from var_mini import data as datasets
from var_mini.analysis.distances import NEAR_COPY, memorised_threshold
from var_mini.analysis.neighbours import nearest_images
from var_mini.checkpoints import ASSETS
from var_mini.tokenizer import VQVAE
from var_mini.training.loop import Trainer
from var_mini.training.recipes import RECIPES
from var_mini.training.schedule import Schedule
from var_mini.training.stages import train_tokenizer, train_transformer
from var_mini.training.tokenizer import REVIVE_EVERY, TokenizerObjective, measure_tokenizer
from var_mini.training.transformer import tokenize_images
from var_mini.view.plates import grid, new_figure, row, shown

FAST = bool(os.environ.get("VAR_MINI_FAST"))
PICTURES = None  # a folder of your own pictures, such as "pictures"; its sub-folders are the classes
RUN = Path(tempfile.mkdtemp())  # where the runs of this lesson are kept; give a folder of yours to keep them for good
torch.manual_seed(0)
print("shortened:", FAST)

# %% [markdown]
# ## The pictures
#
# Three sources, the first one that there is: your own folder; Fashion-MNIST, 70,000 small grey pictures of clothes,
# where it is installed (Debian: `apt install dataset-fashion-mnist`); or simple shapes that this cell draws itself.
# Whatever they are, in the end there are four tensors: training pictures and test pictures, and their labels.


# %%
def draw_shapes(folder, count=300, size=48):
    """Writes `count` pictures of each of three shapes into sub-folders: what your own folder might look like."""
    generator = torch.Generator().manual_seed(0)
    for name in ("circle", "square", "triangle"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            x, y, r, grey = (torch.rand(4, generator=generator) * torch.tensor([10, 10, 8, 120])).tolist()
            x, y, r = 14 + x, 14 + y, 6 + r
            picture = Image.new("L", (size, size), 0)
            pen, fill = ImageDraw.Draw(picture), int(120 + grey)
            if name == "circle":
                pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
            elif name == "square":
                pen.rectangle((x - r, y - r, x + r, y + r), fill=fill)
            else:
                pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=fill)
            picture.save(folder / name / f"{number:03d}.png")
    return folder


def part(data, train, test):
    """The first pictures of a data set, so that a short run need not turn all of them into tokens."""
    return replace(
        data,
        train_images=data.train_images[:train],
        train_labels=data.train_labels[:train],
        test_images=data.test_images[:test],
        test_labels=data.test_labels[:test],
    )


fashion_is_here = (datasets.FASHION_FOLDER / "train-images-idx3-ubyte.gz").exists()
if PICTURES is not None:
    images = datasets.load_folder(PICTURES, size=28, channels=1)
elif fashion_is_here:
    images = datasets.load("fashion-mnist")
    images = part(images, 1_500 if FAST else 12_000, 500)
else:
    images = datasets.load_folder(draw_shapes(RUN / "shapes"), size=28, channels=1)
datasets.REGISTRY["lesson-8"] = lambda: images  # now the training recipes find it under this name

print(f"{images.name}: {len(images.train_images):,} training and {len(images.test_images):,} test pictures")
print("classes:", ", ".join(images.class_names))
shapes = tuple(images.train_images.shape), tuple(images.train_labels.shape)
print("training pictures", *shapes, " values", images.train_images.dtype)
first = [int((images.train_labels == label).nonzero()[0]) for label in range(min(10, len(images.class_names)))]
row(
    [images.train_images[i].float() / 255 for i in first],
    [images.class_names[images.train_labels[i]] for i in first],
    size=0.95,
    alt="one training picture of each class",
)

# %% [markdown]
# Test pictures take no part in training. Everything we want to *know* is measured on them: a model can always do well
# on pictures that it has seen.
#
# ### What makes a folder of pictures
#
# `load_folder` takes any sizes and formats, cuts the largest square from the middle and makes it 28 pixels wide. A
# file that is no picture is counted, not fatal. A tenth of every class is held out for testing.

# %%
mine = draw_shapes(RUN / "mine", count=20)
(mine / "circle" / "broken.png").write_text("this is no picture")
few = datasets.load_folder(mine, size=28, channels=1)
print(few.class_names, len(few.train_images), "training,", len(few.test_images), "test,", few.skipped, "skipped")
assert few.skipped == 1 and len(few.train_images) == 54 and len(few.test_images) == 6

# %% [markdown]
# ## The recipe
#
# A recipe says everything that decides a run: the shapes of both parts, and for each stage how many steps, how many
# pictures per step, and how fast to learn. We take the recipe `fashion-28-quick`, which needs up to ten minutes on
# two CPU cores, and do a part of its steps.

# %%
SHARE = 0.02 if FAST else 0.4  # 1.0 is the whole recipe


def shorter(schedule):
    steps = round(schedule.steps * SHARE)
    return replace(schedule, steps=steps, warmup=steps // 8, log_every=max(5, steps // 40))


quick = RECIPES["fashion-28-quick"]
RECIPES["lesson-8"] = recipe = replace(
    quick,
    tokenizer_schedule=shorter(quick.tokenizer_schedule),
    transformer_schedule=shorter(quick.transformer_schedule),
    data="lesson-8",
    validate_every=10 if FAST else 125,
)
print(
    f"tokenizer: codebook of {recipe.tokenizer.vocab_size}, maps {recipe.tokenizer.patch_nums}, "
    f"{recipe.tokenizer_schedule.steps} steps of {recipe.tokenizer_schedule.batch_size} pictures"
)
print(
    f"transformer: {recipe.transformer.depth} blocks of width {recipe.transformer.width}, "
    f"{recipe.transformer_schedule.steps} steps of {recipe.transformer_schedule.batch_size} pictures"
)

# %% [markdown]
# {{exercise learning_rate}}
#
# Both stages change how fast they learn. At the first steps the gradients point nowhere in particular, so the rate
# grows from almost nothing in a straight line: at step $i$, counted from 0, it is $(i+1)/w$ of the peak, for the
# first $w$ steps. Afterwards it falls along half a cosine, from the peak to `final` of the peak:
#
# $$\text{peak} \cdot \left( \text{final} + (1 - \text{final}) \cdot \tfrac12 \left[1 + \cos(\pi x)\right] \right),
# \qquad x = \frac{i - w}{\text{steps} - w} .$$


# %% tags=["exercise"]
def learning_rate(step, steps, warmup, peak, final):
    """The learning rate at one step.

    step     counted from 0, less than steps
    steps    of the whole run
    warmup   number of steps in which the rate grows, less than steps
    peak     the largest rate
    final    share of the peak that the cosine ends at
    returns  a float
    """
    ### BEGIN SOLUTION
    if step < warmup:
        return peak * (step + 1) / warmup
    x = (step - warmup) / (steps - warmup)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * x)))
    ### END SOLUTION


checks.learning_rate(learning_rate)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two cases: `step < warmup`, and all others. `math.cos` takes radians.
#
# </details>
#
# {{help learning_rate}}

# %%
schedule = recipe.tokenizer_schedule
rates = [
    checks.use("learning_rate")(step, schedule.steps, schedule.warmup, schedule.lr, schedule.final_lr)
    for step in range(schedule.steps)
]
assert all(math.isclose(rate, schedule.lr * schedule.rate(step)) for step, rate in enumerate(rates))
figure = new_figure(6.4, 2.0)
axis = figure.subplots()
axis.plot(rates, color="#0072b2")
axis.set_xlabel("step", fontsize=9)
axis.set_ylabel("learning rate", fontsize=9)
print(f"first {rates[0]:.2g}, largest {max(rates):.2g}, last {rates[-1]:.2g}")
shown(figure, "the learning rate rises in a straight line to its peak and falls along half a cosine")

# %% [markdown]
# ## Stage one: the tokenizer
#
# Encoder, codebook, $\varphi$ and decoder are trained together. The loss has two parts: how far the decoded picture
# is from the original, and how far the sum of codes $\hat f$ is from the encoder's features, at every scale. Choosing
# the nearest code has no gradient, so the decoder's gradient is passed on as if $\hat f$ were $f$ (*straight
# through*).
#
# Run it. The bar shows step, loss and PSNR. If you stop it and run the cell again, it goes on from its last save.


# %% tags=["skip-grading"]
with contextlib.redirect_stderr(sys.stdout):
    train_tokenizer("lesson-8", RUN)


# %% [markdown]
# ### Reading the log
#
# Every run writes `log.csv`. Here is yours beside the log of the whole recipe, recorded while this project was made
# (on all 60,000 training pictures of Fashion-MNIST; if you trained on other pictures the levels differ).


# %%
def read_log(path):
    """Columns of a log as {name: [(step, value), ...]}; some numbers are measured at some steps only."""
    columns = {}
    with open(path, newline="") as file:
        for line in csv.DictReader(file):
            for name, value in line.items():
                if name != "step" and value:
                    columns.setdefault(name, []).append((int(line["step"]), float(value)))
    return columns


def draw_curves(panels, logs, alt):
    """One panel for each title with its columns; the recorded log grey, yours in colour."""
    figure = new_figure(6.4, 2.6)
    for axis, (title, names) in zip(figure.subplots(1, len(panels)), panels.items()):
        for label, (log, colours) in logs.items():
            for (name, told), colour in zip(names.items(), colours):
                if name in log:
                    dots = "." if len(log[name]) < 8 else None
                    axis.plot(*zip(*log[name]), marker=dots, color=colour, label=f"{label}: {told}")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.legend(fontsize=6)
    return shown(figure, alt)


# %% tags=["skip-grading"]
log = read_log(RUN / "tokenizer" / "log.csv")
recorded = read_log(ASSETS / "results" / "quick-tokenizer.csv")
for name in ("psnr_train", "psnr_test", "codebook_used"):
    (begin, first_value), (end, last_value) = log[name][0], log[name][-1]
    print(f"{name:14} step {begin}: {first_value:6.2f}   step {end}: {last_value:6.2f}   recorded: {recorded[name][-1][1]:6.2f}")
assert log["psnr_train"][-1][1] > log["psnr_train"][0][1]
draw_curves(
    {
        "PSNR, dB: higher is better": {"psnr_train": "training", "psnr_test": "test"},
        "share of the codes in use": {"codebook_used": "on test pictures"},
    },
    {"recorded": (recorded, ("0.7", "0.4")), "yours": (log, ("#56b4e9", "#d55e00"))},
    "PSNR rises quickly and then slowly, in your run and in the longer recorded one; nearly all codes are in use",
)

# %% [markdown]
# How to read it:
#
# - `psnr_train` is of one batch and jumps; `psnr_test` is of fixed, unseen pictures. Ten dB more is a tenth of the
#   squared error. The test value is measured with *averaged* weights (the running mean of the last steps), which is
#   why it can lie above the training value, or, in a very short run, below it.
# - If training goes up and test goes down, the model is learning its training pictures by heart.
# - `codebook_used` is the share of codes that at least one test picture chooses. The log has it for each scale, too.
#
# ### Dead codes
#
# Only a code that is chosen gets a gradient. A code that lies far from everything is not chosen and stays where
# it is; only if the encoder's vectors happen to come to it is it chosen again. Meanwhile the model pays for codes that it
# does not use. The remedy is blunt: every few steps, put each dead code
# onto a vector that the encoder really produced.
#
# {{exercise revive_codes}}


# %% tags=["exercise"]
def revive_codes(codebook, usage, candidates, chosen):
    """Moves dead codes onto vectors that were really there. A code is dead if no scale has chosen it.

    codebook     float (V, C); must not be changed in place
    usage        float (K, V): how often each of the K scales has chosen each code
    candidates   float (M, C): residual vectors of the current batch
    chosen       int64 (V,): which candidates to take. The first dead code, in the order of the codebook, becomes
                 candidates[chosen[0]], the second one candidates[chosen[1]], and so on
    returns      the new codebook, float (V, C)
    """
    ### BEGIN SOLUTION
    dead = (usage.sum(0) == 0).nonzero().flatten()
    new = codebook.clone()
    new[dead] = candidates[chosen[: len(dead)]]
    return new
    ### END SOLUTION


checks.revive_codes(revive_codes)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `usage.sum(0)` counts over all scales; `.nonzero().flatten()` turns a condition into indices. A tensor can be
# indexed by a tensor of indices on both sides of an assignment.
#
# </details>
#
# {{help revive_codes}}
#
# Does it matter? Two short runs of a smaller tokenizer, equal but for one thing: in the second one dead codes are
# left dead. (This is the trainer's own revival, which also works across several processes.)
#
# **Predict.** At the end of a short run: which share of the codes will test pictures use with revival, and which
# without?
#
# <details><summary>Answer</summary>
#
# More with revival; how much more the cell below measures. Without it a code that lies far from all vectors has no
# way to come nearer; some come back because the encoder's vectors move.
#
# </details>

# %% tags=["skip-grading"]
STEPS = 2 * REVIVE_EVERY + 10 if FAST else 6 * REVIVE_EVERY
small = replace(recipe.tokenizer, channels=16, norm_groups=8)


def short_run(revive):
    """Test PSNR, codebook use, and how many codes were in use at each log entry."""
    torch.manual_seed(0)
    objective = TokenizerObjective(VQVAE(small), STEPS, recipe.mse_weight)
    if not revive:
        objective.revive_until = 0
    schedule = Schedule(STEPS, batch_size=4 if FAST else 16, lr=3e-3, warmup=20, ema=0.98, weight_decay=0.01, clip=1.0)
    trainer = Trainer(objective, schedule, RUN / f"revive-{revive}", "no")
    used = {}

    def validation(model):
        found = measure_tokenizer(model, images.test_images[:300])
        used[trainer.step] = found["codebook_used"]
        return {}

    trainer.run(len(images.train_images), lambda i, _: [datasets.to_unit(images.train_images[i])], REVIVE_EVERY, validation)
    return used


with contextlib.redirect_stderr(sys.stdout):
    curves = {name: short_run(revive) for name, revive in (("with revival", True), ("without", False))}
for name, used in curves.items():
    print(f"{name:13}", {step: f"{share:.0%}" for step, share in used.items()})
assert list(curves["with revival"].values())[-1] > list(curves["without"].values())[-1]
figure = new_figure(6.4, 2.2)
axis = figure.subplots()
for (name, used), colour in zip(curves.items(), ("#0072b2", "#d55e00")):
    axis.plot(list(used), list(used.values()), "o-", color=colour, label=name)
axis.set_xlabel("step", fontsize=9)
axis.set_ylabel("codes in use", fontsize=9)
axis.set_ylim(0, 1)
axis.legend(fontsize=8)
shown(figure, "the share of codes in use on test pictures stays high with revival and lower without")

# %% [markdown]
# ## Stage two: the transformer
#
# The tokenizer is frozen; every picture is turned into its token ids once. The transformer sees all inputs of a
# picture at once, with the block-causal mask of lesson 2, and is asked for every token. The loss is the
# **cross-entropy**: the mean of $-\log p$ of the right token, in nats. With a codebook of $V$ codes, blind guessing
# costs $\ln V$; that is where a training log must begin.
#
# {{exercise drop_labels}}
#
# Guidance (lesson 3) needs the same network with and without the class. So in training one label in ten is replaced
# by the *null class*, whose number is one more than that of the last real class.


# %% tags=["exercise"]
def drop_labels(labels, uniform, share, num_classes):
    """Replaces a random share of the labels by the null class.

    labels        int64 (B,), from 0 to num_classes - 1
    uniform       float (B,), one random number from 0 to 1 for each label: those below `share` are dropped
    share         expected share of dropped labels
    num_classes   number of real classes; also the number of the null class
    returns       int64 (B,)
    """
    ### BEGIN SOLUTION
    return torch.where(uniform < share, num_classes, labels)
    ### END SOLUTION


checks.drop_labels(drop_labels)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `torch.where(condition, a, b)`; a or b may be a number.
#
# </details>
#
# {{help drop_labels}}

# %%
labels = torch.arange(10_000) % 10
dropped = checks.use("drop_labels")(labels, torch.rand(10_000), recipe.transformer.class_drop, 10)
print(f"share of the null class: {(dropped == 10).float().mean():.3f}; rows of the class embedding: 10 + 1")
assert abs((dropped == 10).float().mean().item() - 0.1) < 0.02 and torch.equal(dropped[dropped < 10], labels[dropped < 10])

# %% tags=["skip-grading"]
with contextlib.redirect_stderr(sys.stdout):
    train_transformer("lesson-8", RUN)

# %% [markdown]
# Again your log beside the recorded one. **Take care**: a cross-entropy belongs to a tokenizer. Your tokens come
# from your own, which was trained for a shorter time and has another codebook; they may be *easier to guess*. So
# your loss may lie below the recorded one although your model has learned less. Compare the *form* of the curves,
# not their levels.
#
# **Predict.** At which loss must both logs begin, before anything is learned? The codebook has 512 codes.
#
# <details><summary>Answer</summary>
#
# At $\ln 512 = 6.24$ nats, blind guessing. The first entry is of a step a little later and lies below.
#
# </details>

# %% tags=["skip-grading"]
log = read_log(RUN / "transformer" / "log.csv")
recorded = read_log(ASSETS / "results" / "quick-transformer.csv")
blind = math.log(recipe.tokenizer.vocab_size)
print(f"blind guessing: ln {recipe.tokenizer.vocab_size} = {blind:.2f} nats per token")
for name in ("loss", "test_cross_entropy", "accuracy"):
    print(f"{name:20} yours {log[name][-1][1]:5.2f}   recorded {recorded[name][-1][1]:5.2f}")
assert log["loss"][-1][1] < blind
draw_curves(
    {
        "cross-entropy, nats per token": {"loss": "training", "test_cross_entropy": "test"},
        "share of tokens guessed right": {"accuracy": "training"},
    },
    {"recorded": (recorded, ("0.7", "0.4")), "yours": (log, ("#56b4e9", "#d55e00"))},
    "the cross-entropy falls from that of blind guessing; the share of tokens guessed right rises",
)

# %% [markdown]
# A loss of 3 nats does not look like much: the right token is given a probability of $e^{-3} = 0.05$ (in the mean
# of logarithms), among 512. Is that the model's fault? The loss alone cannot say. Which of several similar codes
# the tokenizer picks for a bit of texture may be impossible to guess, or the model may just be bad at it.
#
# One thing can be tested: does the model *know* how unsure it is? Take all places where it gives its favourite code
# a probability near $p$. If it is **calibrated**, that code is right in a share $p$ of them. Another sign: the mean
# entropy of its answers, how unsure it says it is, equals the cross-entropy, how wrong it is.

# %% tags=["skip-grading"]
own = load(RUN / "model", device="auto")
few = slice(0, 100 if FAST else 400)
with torch.no_grad():
    ids = tokenize_images(own.tokenizer, images.test_images[few]).long()
    given = own.tokenizer.quantize.inputs_from_ids(ids.to(own.device))
    logits = own.transformer(images.test_labels[few].to(own.device), given).cpu()
    chances = logits.softmax(-1)
    right = -chances.gather(-1, ids[..., None]).log().mean().item()
    unsure = torch.special.entr(chances).sum(-1).mean().item()
sure, favourite = chances.max(-1)
print(f"on test pictures: cross-entropy {right:.2f} nats, mean entropy {unsure:.2f} nats")
print(f"favourite code: probability {sure.mean():.1%} on average, right at {(favourite == ids).float().mean():.1%} of the places")
said, found = [], []
for part in sure.flatten().argsort().tensor_split(8):  # eight groups of equal size, from unsure to sure
    said.append(sure.flatten()[part].mean().item())
    found.append((favourite == ids).flatten()[part].float().mean().item())
print("said ", [f"{value:.2f}" for value in said])
print("right", [f"{value:.2f}" for value in found])
figure = new_figure(3.6, 2.6)
axis = figure.subplots()
axis.plot([0, max(said)], [0, max(said)], "--", color="0.6", label="calibrated")
axis.plot(said, found, "o-", color="#0072b2", label="your model")
axis.set_xlabel("probability of the favourite code", fontsize=9)
axis.set_ylabel("share that is right", fontsize=9)
axis.legend(fontsize=8)
shown(
    figure,
    "the share of right favourites against the probability that the model gave them, beside the diagonal of a calibrated one",
)

# %% [markdown]
# Near the diagonal the model is honest about what it does not know. That is no proof that nobody could know more: a
# larger or longer trained model may be calibrated, too, and surer. And do not compare losses of models with
# different tokenizers; they answer different questions.
#
# ### Draw with it
#
# Above your model, below the one that was trained to the end, on the same classes and seeds. (They cannot draw the
# same pictures: they have other codebooks. If you trained on other pictures there is only one row.)

# %% tags=["skip-grading"]
count = min(8, own.config.transformer.num_classes)
labels, seeds = list(range(count)), list(range(count))
rows, names = [list(own.sample_images(labels, seeds))], ["yours"]
if images.name == "fashion-mnist":
    rows, names = [*rows, list(load("fashion-28").sample_images(labels, seeds))], [*names, "shipped"]
grid(
    rows,
    [own.config.class_name(label) for label in labels],
    names,
    size=0.95,
    alt="pictures drawn by the model just trained, rough, and by the shipped model, clean",
)

# %% [markdown]
# The whole recipe is one command for each stage, in a terminal, and takes your own folder as well:
#
# ```
# python -m var_mini train tokenizer   --preset fashion-28-quick --data PICTURES --out runs/mine
# python -m var_mini train transformer --preset fashion-28-quick --data PICTURES --out runs/mine
# python -m var_mini generate --model runs/mine/model --class 0 --out drawn.png
# ```
#
# A few hundred pictures are enough to see something, and few enough that the model may learn them by heart. Which
# leads to the question of the rest of this lesson.
#
# ## Learned or memorised?
#
# A model that stores its training pictures and hands them out again would get splendid marks: sharp, of the right
# class. So one must look: for a drawn picture find the **nearest training picture** and judge whether it is a copy.
#
# {{exercise nearest_distance}}
#
# The distance of two pictures with values in $[-1, 1]$ is the root of the mean squared difference over all their
# values; from all black to all white it is 2.


# %% tags=["exercise"]
def nearest_distance(images, train):
    """Distance of every image to the nearest training image.

    images   float (N, channels, S, S), in [-1, 1]
    train    float (M, channels, S, S), in [-1, 1]
    returns  float (N,): the least root-mean-square difference to any training image
    """
    ### BEGIN SOLUTION
    difference = images[:, None] - train[None]  # (N, M, channels, S, S)
    return difference.square().mean(dim=(2, 3, 4)).sqrt().amin(dim=1)
    ### END SOLUTION


checks.nearest_distance(nearest_distance)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `images[:, None] - train[None]` has all pairs. Mean over the last three dimensions, root, minimum over the training
# pictures. (For many pictures $\lVert a - b \rVert^2 = \lVert a \rVert^2 - 2 a \cdot b + \lVert b \rVert^2$ saves
# memory; `var_mini.analysis.neighbours.nearest_images` does it so.)
#
# </details>
#
# {{help nearest_distance}}
#
# ### Whom we examine
#
# The shipped model of a thousand things in eight styles, whose training pictures are shipped with it.
#
# Whom we compare with matters just as much. Some classes are full of look-alikes, others are not. If the drawn
# pictures had other classes than the held-out ones, a difference in distance might come from the classes alone. So
# we take held-out pictures at random and draw pictures **with their labels**.


# %% tags=["skip-grading"]
model = load("things-64")
data = datasets.load(model.config.data).with_classes(model.config.class_names)
COUNT = 24 if FAST else 60
chosen = torch.randperm(len(data.test_images), generator=torch.Generator().manual_seed(0))[:300]
train, test = datasets.to_unit(data.train_images), datasets.to_unit(data.test_images[chosen])
asked = data.test_conditions[chosen[:COUNT]].unbind(1)  # things and styles of held-out pictures: the same mix
drawn = model.sample_images(asked[0], list(range(COUNT)), style=asked[1], batch_size=12) * 2 - 1
distances, places = nearest_images(drawn, train)
agree = checks.use("nearest_distance")(drawn[:2], train[:500])
assert torch.allclose(agree, nearest_images(drawn[:2], train[:500])[0][:, 0], atol=1e-4)
print(f"{model.config.name}: {len(train):,} training pictures, {len(test)} held-out ones, {COUNT} drawn")

# %% tags=["skip-grading"]
order = distances[:, 0].argsort()
chosen = [*order[:4].tolist(), *order[-4:].tolist()]  # the four most suspicious, and the four least
grid(
    [[(drawn[i] + 1) / 2 for i in chosen], [(train[places[i, 0]] + 1) / 2 for i in chosen]],
    [f"{distances[i, 0]:.2f}" for i in chosen],
    ["drawn", "nearest"],
    size=0.95,
    alt="eight drawn pictures with their distance, below each the nearest training picture; the first four are the closest pairs",
)

# %% [markdown]
# The four pairs on the left are the closest ones, the four on the right the least close. Look at them yourself: is
# the upper picture the lower one? And mind what makes two pictures close: large empty areas. A thing that is small on
# a plain background is near to every other small thing, and a thing that fills the picture is far from everything.
#
# ### How near is too near?
#
# No fixed number answers that. In a data set full of twins every *new* picture is near to a training picture, too. So
# ask the same question of pictures that the model has certainly not copied: the **held-out** ones. Two measures:
#
# - *near copies*: the share within a distance of 0.16, which the eye takes for the same picture;
# - *memorised*: the share nearer to a training picture than 95 % of the held-out pictures are. New pictures score 5 %
#   by definition. A model that copies scores much more; one that scores less draws things further away than real new
#   pictures are.
#
# **Predict.** Will the drawn pictures have more near copies than the held-out ones, fewer, or about as many?
#
# <details><summary>Answer</summary>
#
# Read it off the next cell; it depends on the model that is examined. More would mean that it copies.
#
# </details>

# %% tags=["skip-grading"]
unseen = nearest_images(test, train)[0][:, 0]
threshold = memorised_threshold(test, train)
shares = {}
for name, found in (("held out", unseen), ("drawn", distances[:, 0])):
    shares[name] = [(found < NEAR_COPY).float().mean().item(), (found < threshold).float().mean().item()]
    print(
        f"{name:9} near copies {shares[name][0]:6.1%}   memorised {shares[name][1]:6.1%}   median distance {found.median():.3f}"
    )
assert 0.03 < shares["held out"][1] < 0.07
figure = new_figure(6.4, 2.4)
axis = figure.subplots()
edges = torch.linspace(0, max(unseen.max(), distances.max()).item(), 25).tolist()
for (name, found), colour in zip((("held out", unseen), ("drawn", distances[:, 0])), ("#0072b2", "#e69f00")):
    axis.hist(found.tolist(), edges, density=True, histtype="step", lw=1.6, color=colour, label=name)
axis.axvline(NEAR_COPY, color="0.4", ls=":", label="near copy")
axis.axvline(threshold, color="0.4", ls="--", label="5 % of the held out")
axis.set_xlabel("distance to the nearest training picture", fontsize=9)
axis.legend(fontsize=7)
shown(
    figure,
    "two histograms of the distance to the nearest training picture, of held-out and of drawn pictures, and the two thresholds",
)

# %% [markdown]
# Compare the two lines of numbers: both kinds of pictures have the same mix of classes. If the drawn pictures have
# clearly **more** near copies than the held-out ones, the model copies some of what it saw. If they have about as
# many, what looks like copying is the similarity of the data set with itself. With so few pictures a difference of
# a few per cent is chance: the standard error of a share $p$ of $n$ pictures is $\sqrt{p(1-p)/n}$, which is 3 % for
# $p = 5\,\%$ and $n = 60$. The command `python -m var_mini evaluate` takes thousands.
#
# A pixel distance has its limits, too. A copy that is shifted by two pixels, or mirrored, is far away for it and the
# same picture for you. Finding none of *these* copies does not prove that there are none of another kind. And copying
# is no all-or-nothing affair: a model can take the body of one picture and the sleeve of another.
#
# ## Would a larger model be better?
#
# `python -m var_mini bench laws` trained the transformer of this lesson in five widths: on one frozen tokenizer, on the
# same pictures in the same order, so on equally many tokens. The losses on held-out pictures are fitted by
#
# $$L(N) = E + a\,N^{-\alpha}.$$
#
# $N$ counts the weights of the blocks; twice the width has four times as many. $E$ is the loss that more weights of this
# kind would not go below. The runs are stored, the next cell only shows them.
#
# **Predict.** From width 32 to width 192 $N$ grows 35 times. Does the loss fall by more than 2 nats per token, by about
# one, or by less than a half? And which of the four steps gains most?
#
# <details><summary>Answer</summary>
#
# By about one; the next cell has the numbers. The first step gains more than all others together: each further one costs
# more weights and gains less.
#
# </details>

# %%
import json

from var_mini.view.curves import laws_figure

laws = json.loads((ASSETS / "results" / "laws.json").read_text())
print(f"{laws['tokens']:,} tokens ({laws['pictures']:,} pictures), {laws['seeds']} seed, {laws['held_out']:,} held-out pictures")
for entry in laws["rows"]:
    print(
        f"width {entry['width']:3}: N = {entry['parameters']:9,}   {entry['cross_entropy']:.3f} nats per token "
        f"± {entry['standard_error']:.3f}"
    )
law, alpha, floor = laws["fit"], laws["alpha"], laws["floor"]
print(f"alpha = {law['alpha']:.2f}, in 95 % of the resamples {alpha['low']:.2f} to {alpha['high']:.2f}")
print(f"E = {law['floor']:.2f}, in 95 % of the resamples {floor['low']:.2f} to {floor['high']:.2f}")
shown(laws_figure(laws), "held-out loss of five widths against the weights of their blocks, and the fitted law through them")

# %% [markdown]
# The curve fits, and that proves little: three unknowns go through five points easily. What it does **not** show:
#
# - *The exponent of VAR.* The paper fits other models, from 18 million to 2 billion weights, without an $E$, and trained
#   much longer. These runs are short: each picture was seen once, and the loss still falls. A wide model is ahead here also
#   because it learns faster per step, not only because it can hold more.
# - *The best of each width.* All have one learning rate and one seed. The interval comes from drawing the held-out pictures
#   anew, and knows of nothing else; another seed may move a point by more than its bar.
# - *What lies beyond.* A law fitted over a decade and a half says nothing about the next one.
#
# ## What to remember
#
# - Stage one learns to write pictures as token maps, stage two to predict them. The second stage cannot be better
#   than the first one's reconstruction.
# - Read test numbers, not training numbers. Cross-entropy begins at $\ln V$.
# - Codes that are never chosen never move: count them, and revive them.
# - Whether a model copies is a question about its distance to the training pictures *compared with* that of unseen
#   pictures.
