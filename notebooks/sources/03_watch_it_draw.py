# %% [markdown]
# # 3. Watch it draw
#
# The transformer answers with a probability for every code at every place. Between that answer and a picture stands a
# choice: which codes are drawn? This lesson looks at the choice: sampling, temperature, top-p, guidance, and what
# each does to the picture.
#
# After it you can say
#
# - how a token is drawn from logits, and why two runs from one seed can be compared,
# - what temperature, top-p and classifier-free guidance change, with numbers,
# - how sure the model is at every scale (entropy),
# - where a token attends, by clicking on it.
#
# Time: 70 minutes with the exercises, 20 without. The cells together take less than a minute.

# %%
import ipywidgets
import torch
from IPython.display import Image

from var_mini import Sampling, checks, load
from var_mini.generation.sampling import draw, filter_logits, noise_generators
from var_mini.training.classifier import load_classifier
from var_mini.view.images import strip
from var_mini.view.plates import grid, new_figure, picture, shown
from var_mini.view.widget import explorer, static_picture

model = load("fashion-28", device="auto")
transformer, quantizer, pyramid = model.transformer, model.tokenizer.quantize, model.config.pyramid
names = model.config.class_names
print("this model draws on", model.device, "with", model.config.sampling)

# %% [markdown]
# ## One run
#
# `generate` yields one record per scale. Everything below is read from such records.
#
# **Predict.** The model chooses among 4096 codes. How likely was a code of the last map, on average, when it was
# drawn: about 0.9, 0.3 or 0.03?
#
# <details><summary>Answer</summary>
#
# About 0.03, and yet the picture is good.
#
# </details>

# %%
for step in model.generate(label=5, seed=1):
    likely = step.probability.mean().item()
    print(f"{step.side} x {step.side}: {step.seconds * 1000:5.1f} ms, mean probability of the drawn codes {likely:.3f}")
trace = model.trace(5, 1)
picture(
    strip(trace, quantizer.embedding.weight),
    alt="token maps of a drawn sandal, coarse to fine, and the picture decoded after each scale",
)

# %% [markdown]
# The mean probability of the drawn codes is small. That is not a sign of a bad model: many codes look nearly the
# same, and the probability is spread over them.
#
# ## Drawing a token: the Gumbel trick
#
# To draw a code with the probabilities of a softmax one can add noise to the logits and take the largest: if $u$ is
# uniform in $(0, 1)$, then
#
# $$\arg\max_v \big(\ell_v - \ln(-\ln u_v)\big)$$
#
# is distributed exactly as $\mathrm{softmax}(\ell)$. The noise does not depend on the logits. That is convenient for
# teaching: two runs with the same seed have the same noise, and their pictures differ only where their logits do.

# %% [markdown]
# {{exercise gumbel_draw}}
#
# Write it. One line is enough.


# %% tags=["exercise"]
def gumbel_draw(logits, uniform):
    """Draws one code per token.

    logits   float (n, V)
    uniform  float (n, V), numbers strictly between 0 and 1, the noise
    returns  int64 (n,): the code with the largest logit plus Gumbel noise -ln(-ln u)
    """
    ### BEGIN SOLUTION
    return (logits - torch.log(-torch.log(uniform))).argmax(dim=-1)
    ### END SOLUTION


checks.gumbel_draw(gumbel_draw)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Subtracting `torch.log(-torch.log(uniform))` adds the noise.
#
# </details>
#
# {{help gumbel_draw}}

# %%
many = 4000
logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0])
uniform = torch.rand(many, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
drawn = checks.use("gumbel_draw")(logits.expand(many, 5), uniform)
shares, wanted = torch.bincount(drawn, minlength=5) / many, logits.softmax(0)
print("drawn  ", [f"{share:.3f}" for share in shares.tolist()])
print("softmax", [f"{share:.3f}" for share in wanted.tolist()])
assert (shares - wanted).abs().max() < 4 * (wanted * (1 - wanted) / many).sqrt().max()  # four standard deviations

# %% [markdown]
# All tokens of one scale are drawn in the same step, each from its own row, independently of what its neighbours
# drew. What keeps them consistent is that all rows were computed from the same coarser scales; and the next scale
# sees what was drawn and can correct it.
#
# ## Temperature
#
# The logits are divided by the temperature $T$ before drawing. $T < 1$ makes likely codes likelier, $T > 1$ evens
# them out. The same seed down each column:

# %%
temperatures, seeds = (0.3, 1.0, 2.0), list(range(5))
pictures = [
    list(model.sample_images([8] * len(seeds), seeds, Sampling(guidance=3, temperature=temperature)))
    for temperature in temperatures
]
grid(
    pictures,
    [f"seed {seed}" for seed in seeds],
    [f"T = {temperature}" for temperature in temperatures],
    size=1.0,
    alt="bags drawn with three temperatures: plain and alike at 0.3, varied at 1, broken at 2",
)

# %%
openness = []
for temperature in temperatures:
    first = next(model.generate(8, 0, Sampling(guidance=3, temperature=temperature)))  # the step of the 1 x 1 map alone
    openness.append(first.entropy.item())
    print(f"T = {temperature}: entropy of the first token {openness[-1]:.2f} nats")
assert openness == sorted(openness)

# %% [markdown]
# ## Top-p: leaving out the tail
#
# 4096 codes leave room for a long tail of unlikely ones. *Top-p* keeps the most likely codes that together hold at
# least the share $p$ of the probability, and forbids all others. (At $p = 0$ that rule would forbid every code. The
# library takes $p = 0$ for "the most likely code only"; the exercise leaves it out.)

# %% [markdown]
# {{exercise keep_top_p}}
#
# Write it. Sort, add up, decide, and bring the decision back to each code's own place.


# %% tags=["exercise"]
def keep_top_p(logits, p):
    """Forbids the unlikely tail.

    logits   float (n, V); must not be changed in place
    p        number above 0, at most 1
    returns  float (n, V): the logits, with -inf at every code for which all more likely codes together hold p or more
    """
    ### BEGIN SOLUTION
    sorted_logits, order = logits.sort(dim=-1, descending=True)
    chances = sorted_logits.softmax(dim=-1)
    before = chances.cumsum(dim=-1) - chances  # mass of all more likely codes
    drop = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= p)
    return logits.masked_fill(drop, -torch.inf)
    ### END SOLUTION


checks.keep_top_p(keep_top_p)

# %% [markdown]
# <details><summary>Hint</summary>
#
# After `sorted_logits, order = logits.sort(descending=True)` the mass *before* each code is `cumsum - own`.
# `scatter(-1, order, flags)` puts flags of sorted codes back to the codes' places.
#
# </details>
#
# {{help keep_top_p}}

# %%
with torch.no_grad():
    last = list(model.generate(5, 1, keep_logits=True))[-1].logits[0]  # (49, V)
for p in (0.5, 0.9, 0.99):
    ours = checks.use("keep_top_p")(last[:3], p)
    kept = ours.isfinite().sum(-1)
    assert (kept - filter_logits(last[:3], top_p=p).isfinite().sum(-1)).abs().max() <= 1  # one code may lie on the edge
    print(f"p = {p}: codes kept at the first three places of the last map: {kept.tolist()}")
tops = (0.3, 0.8, 1.0)
grid(
    [list(model.sample_images([8] * len(seeds), seeds, Sampling(guidance=3, top_p=p))) for p in tops],
    [f"seed {seed}" for seed in seeds],
    [f"p = {p}" for p in tops],
    size=1.0,
    alt="bags drawn with three values of top-p",
)

# %% [markdown]
# ## Guidance: asking twice
#
# During training the class was left out now and then, so the model can also answer *without* a class. Classifier-free
# guidance asks twice, with class ($c$) and without ($u$), and goes further in the direction in which the class
# points:
#
# $$\ell = (1 + t)\, \ell_c - t\, \ell_u , \qquad t = w \, \frac{k}{K - 1}$$
#
# VAR lets the strength $t$ grow from 0 at the first scale ($k = 0$) to the full weight $w$ at the last ($k = K - 1$):
# coarse choices stay varied, fine ones become faithful to the class.

# %% [markdown]
# {{exercise guided_logits}}
#
# Write it, with the growing strength.


# %% tags=["exercise"]
def guided_logits(conditional, unconditional, weight, k, num_scales):
    """Classifier-free guidance of one scale.

    conditional, unconditional  float (B, n, V), logits with and without the class
    weight                      the strength at the last scale
    k, num_scales               index of this scale, from 0, and the number of scales (at least 2)
    returns                     float (B, n, V)
    """
    ### BEGIN SOLUTION
    t = weight * k / (num_scales - 1)
    return (1 + t) * conditional - t * unconditional
    ### END SOLUTION


checks.guided_logits(guided_logits)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two lines: first $t$, then the formula.
#
# </details>
#
# {{help guided_logits}}

# %% [markdown]
# With this the whole sampler can be rebuilt. The next cell asks the transformer for both answers at every scale,
# guides them with your function, draws with the noise of the seed, and compares with what `generate` draws.

# %%
seed, weight = 1, 3.0
label = torch.tensor([5, model.config.transformer.num_classes], device=model.device)  # the class, and "no class"
noise = noise_generators([seed])
guided = checks.use("guided_logits")
with torch.no_grad():
    condition, states = transformer.condition(label), transformer.new_states(2)
    f_hat, ours = torch.zeros(1, transformer.z_channels, pyramid.side, pyramid.side, device=model.device), []
    for k in range(pyramid.num_scales):
        given = None if k == 0 else quantizer.transformer_input(f_hat, k).repeat(2, 1, 1)  # the same for both questions
        answers = transformer.step(k, given, condition, states)
        logits = guided(answers[:1], answers[1:], weight, k, pyramid.num_scales)
        ours.append(draw(logits, noise))
        f_hat = f_hat + quantizer.contribution(ours[-1], k)
theirs = [step.token_ids for step in model.generate(5, seed, Sampling(guidance=weight))]
equal = [(a.cpu() == b).float().mean().item() for a, b in zip(ours, theirs)]
print("tokens equal to those of generate, per scale:", equal)
assert equal == [1.0] * pyramid.num_scales

# %% [markdown]
# What does guidance buy, and what does it cost? A small classifier, trained on real pictures only, tells how often
# the drawn class is recognised.
#
# **Predict.** From $w = 0$ to $w = 8$: does the share of pictures that are recognised rise or fall? And how much
# the pictures of one class differ from each other?
#
# <details><summary>Answer</summary>
#
# Recognition rises, variety falls: the picture goes further in the direction in which the class points, and away
# from what is unusual for it.
#
# </details>

# %%
each = 6  # pictures per class
judge = load_classifier(model.config.data)
labels = [label for label in range(10) for _ in range(each)]
shows = {}
for weight in (0, 3, 8):
    images = model.sample_images(labels, list(range(len(labels))), Sampling(guidance=weight))
    recognised = (judge.judge(images * 2 - 1)[0] == torch.tensor(labels)).float().mean().item()
    spread = images.view(10, each, -1).std(dim=1).mean().item()
    shows[weight] = images[::each], recognised, spread
    print(f"w = {weight}: {recognised:.0%} of {len(labels)} recognised, standard deviation within a class {spread:.3f}")
assert shows[3][1] > shows[0][1] and shows[8][2] < shows[0][2]
grid(
    [list(images) for images, _, _ in shows.values()],
    names,
    [f"w = {weight}" for weight in shows],
    size=0.85,
    alt="ten classes, one picture each, not chosen, for three strengths of guidance: some are unclear at 0, nearly none at 8",
)

# %% [markdown]
# More guidance: more pictures that are recognised, less variety. And twice the work, because the model is asked
# twice. (The picture shows the first seed of each class, good or bad; nobody has chosen them. The shares above are
# of all pictures.)
#
# ## How sure is the model? Entropy per scale
#
# The entropy $-\sum_v p_v \ln p_v$ of a distribution says how open the choice is: 0 when one code is certain,
# $\ln 4096 = 8.32$ nats when all are equally likely.

# %% [markdown]
# {{exercise entropy_per_scale}}
#
# After top-p some codes have probability 0, and $0 \cdot \ln 0$ counts as 0. Your function must not turn it into NaN.


# %% tags=["exercise"]
def entropy_per_scale(logits, patch_nums):
    """Mean entropy of the tokens of each scale, in nats.

    logits      float (L, V), all scales one after the other; some entries may be -inf
    patch_nums  sides of the token maps, coarse to fine
    returns     float (K,)
    """
    ### BEGIN SOLUTION
    entropy = torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1)  # (L,); entr(p) = -p ln p, and 0 at 0
    parts = entropy.split([side * side for side in patch_nums])
    return torch.stack([part.mean() for part in parts])
    ### END SOLUTION


checks.entropy_per_scale(entropy_per_scale)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `torch.special.entr(p)` is $-p \ln p$ and gives 0 at 0. `split` with a list of sizes cuts the tokens into scales.
#
# </details>
#
# {{help entropy_per_scale}}
#
# **Predict.** The next cell measures the entropy of every scale for guidance 0, 3 and 8. At which scale will
# guidance make no difference at all, and at which the largest?
#
# <details><summary>Answer</summary>
#
# None at the first scale: its strength is $t = w \cdot 0 / (K - 1) = 0$, so the three runs are the same there. The
# largest at the last scale, where $t = w$.
#
# </details>

# %%
figure = new_figure(6.0, 2.6)
axis = figure.subplots()
titles = [f"{side} × {side}" for side in pyramid.patch_nums]
for weight, colour in ((0, "#0072b2"), (3, "#e69f00"), (8, "#009e73")):
    runs = [list(model.generate(label, 4, Sampling(guidance=weight), keep_logits=True)) for label in range(10)]
    per_run = [checks.use("entropy_per_scale")(torch.cat([s.logits[0] for s in run]), pyramid.patch_nums) for run in runs]
    stored = torch.stack([torch.stack([step.entropy.mean() for step in run]) for run in runs]).mean(0)
    mean = torch.stack(per_run).mean(0)
    assert torch.allclose(mean.float(), stored, atol=1e-3)  # what `generate` records
    print(f"w = {weight}:", [f"{value:.2f}" for value in mean.tolist()])
    axis.plot(titles, mean.tolist(), "o-", color=colour, label=f"guidance {weight}")
axis.axhline(torch.tensor(4096.0).log().item(), color="0.5", linestyle="--")
axis.set_ylim(0, 8.8)
axis.set_ylabel("nats per token", fontsize=8)
axis.legend(fontsize=8)
shown(figure, "entropy of each scale for three strengths of guidance, and the dashed line ln 4096 of pure guessing above")

# %% [markdown]
# ## Turn the knobs yourself
#
# Move a control and let go: the picture is drawn anew with these settings, in this notebook. Keep the seed and
# change one thing at a time. (Where no controls appear, as on GitHub, run the notebook in JupyterLab or Colab; the
# picture below them is the first one drawn.)

# %% tags=["skip-grading"]
keep = {"continuous_update": False}  # draw when the slider is let go, not on the way
which = ipywidgets.Dropdown(options=[(name, label) for label, name in enumerate(names)], value=7, description="class")
seed_of = ipywidgets.IntSlider(0, 0, 50, description="seed", **keep)
guidance_of = ipywidgets.FloatSlider(3.0, min=0, max=10, step=0.5, description="guidance", **keep)
temperature_of = ipywidgets.FloatSlider(1.0, min=0.1, max=3, step=0.1, description="temperature", **keep)
top_p_of = ipywidgets.FloatSlider(1.0, min=0.1, max=1, step=0.05, description="top-p", **keep)
controls = [which, seed_of, guidance_of, temperature_of, top_p_of]
screen = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))
say = ipywidgets.HTML()


def redraw(_=None):
    sampling = Sampling(guidance=guidance_of.value, temperature=temperature_of.value, top_p=top_p_of.value)
    run = model.trace(which.value, seed_of.value, sampling)
    screen.value = static_picture(model, run)
    entropies = ", ".join(f"{step.entropy.mean():.2f}" for step in run.steps)
    say.value = f"{names[which.value]}, {run.seconds * 1000:.0f} ms; entropy per scale {entropies} nats"


for control in controls:
    control.observe(redraw, names="value")
redraw()
before = screen.value
guidance_of.value = 8.0  # what a hand on the slider does
assert screen.value != before
guidance_of.value = 3.0
assert screen.value == before  # the same settings, the same picture
ipywidgets.VBox([ipywidgets.HBox(controls[:2]), ipywidgets.HBox(controls[2:]), say, screen])

# %% tags=["skip-grading"]
Image(before, format="png", alt="a sneaker of seed 0 with guidance 3: its token maps and the picture after each scale")

# %% [markdown]
# ## The explorer
#
# The same views as on the page of this project. Move over a token map: which code stands there, and what else was
# likely? **Click** a token: where does it attend, on its own scale and on the coarser ones? The question goes to this
# notebook's kernel, which repeats the run and reads the weights. The arrow keys and Enter do the same. *New seed* draws
# again, in the kernel as well, and leaves the run as `view.trace`. Under *This run in numbers*: attention from scale to
# scale.
#
# Look for: a head that attends to the same place on coarser maps; a head that looks at its own scale; the one token
# of the 1 × 1 map.

# %% tags=["skip-grading"]
view = explorer(model, trace)
view

# %% [markdown]
# Another run in the same place: `view.show(model.trace(8, 2))`.
#
# ## What to remember
#
# - Every token of a scale is drawn from its own distribution, in one step; seeds fix the noise, not the picture.
# - Temperature reshapes probabilities, top-p cuts off their tail, guidance moves them towards the class and costs a
#   second pass.
# - Entropy tells how open the choice is at each scale.
