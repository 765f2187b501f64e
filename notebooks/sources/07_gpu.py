# %% [markdown]
# # 7. On a GPU
#
# Lessons 4 to 6 counted operations. A GPU cares about a second number just as much: how many bytes have to travel
# between its memory and its cores. This lesson shows how the two fused kernels of this project are laid out so that
# the large matrix of features $\psi$ never travels at all, and what a simple model, the *roofline*, lets us
# expect.
#
# After it you can say
#
# - what arithmetic intensity is, and what decides whether a kernel is limited by arithmetic or by memory,
# - why the degree-2 state is a cube of $(d+1)^3$ numbers on a GPU, and which program owns which part of it,
# - why head dimension 64 does not fit, and where low-rank attention loses.
#
# **Nothing was measured on a GPU while this project was built.** Everything about speed in this lesson is a model,
# computed from data-sheet numbers, and says so. What *was* checked without a GPU stands at the end. If your machine
# has one, the cell that runs the kernels measures them.
#
# Time: 45 minutes with the exercises, 15 without. No GPU is needed.
#
# (As in lesson 5, $\psi$ is the feature map of low-rank attention. The tokenizer's convolution $\varphi$ plays no
# part here.)

# %%
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import var_mini
from var_mini import checks
from var_mini.attention.kernels import why_not
from var_mini.cost.complexity import rank
from var_mini.cost.roofline import A100, DEVICES, H100, overtakes_from, roofline
from var_mini.view.plates import new_figure, row, shown

torch.manual_seed(0)
print("CUDA here:", torch.cuda.is_available(), "  triton here:", importlib.util.find_spec("triton") is not None)

# %% [markdown]
# ## Two speeds
#
# A GPU has a large memory beside the chip and small, fast memories on it. Its tensor cores multiply matrices at an
# enormous rate, if they are fed. How fast depends on the numbers: 16-bit numbers such as bfloat16, which keeps seven
# bits behind the point, go at the full rate; **TF32**, which is float32 rounded to ten such bits, at half of it. The
# degree-2 kernels of this project sum in float32 and multiply in TF32; those of landmarks take three TF32 products
# for one, for nearly the accuracy of float32. The data sheets give the rates:


# %%
def tf32(device):
    """FLOP per second of TF32 products: half the rate of 16-bit ones on all of these devices."""
    return device.tensor / 2


for device in DEVICES.values():
    print(
        f"{device.name}: {device.tensor / 1e12:.0f} TFLOP/s of 16-bit products, {tf32(device) / 1e12:.0f} of TF32 products, "
        f"{device.bandwidth / 1e12:.2f} TB/s; in the time of one byte {tf32(device) / device.bandwidth:.0f} FLOP in TF32"
    )
assert tf32(H100) / H100.bandwidth > tf32(A100) / A100.bandwidth > 50

# %% [markdown]
# So a kernel that does fewer operations per byte than that leaves the tensor cores waiting. That ratio of a
# piece of work, FLOP divided by bytes moved, is its **arithmetic intensity**.
#
# {{exercise arithmetic_intensity}}
#
# Take the work of `extend` with the degree-2 kernel for one head. For each of $N$ keys all $(d+1)^2$ products of two
# entries of $\tilde k = [\sqrt s\, k, 1]$ are formed; these are the features. Then the state grows by the matrix
# product of the features, $(d+1)^2 \times N$, with $[v, 1]$, $N \times (d+1)$. Count only the FLOP of this product,
# $2 N (d+1)^3$.
#
# Bytes: $k$ and $v$ are loaded, 2 bytes per number; the state is stored once, 4 bytes per number. If the features do
# not stay on the chip, a first kernel stores them and a second one loads them, 2 bytes per number each time.


# %% tags=["exercise"]
def arithmetic_intensity(tokens, head_dim, on_chip):
    """FLOP per byte of adding keys and values to the degree-2 state of one head.

    tokens     N, number of keys
    head_dim   d
    on_chip    whether the features stay on the chip, instead of being stored and loaded again
    returns    a float: FLOP of the product of features and [v, 1], divided by the bytes moved
    """
    ### BEGIN SOLUTION
    features, columns = (head_dim + 1) ** 2, head_dim + 1
    flops = 2 * tokens * features * columns
    moved = 2 * (2 * tokens * head_dim) + 4 * features * columns
    if not on_chip:
        moved += 2 * (2 * tokens * features)
    return flops / moved
    ### END SOLUTION


checks.arithmetic_intensity(arithmetic_intensity)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $k$ has $N d$ numbers, so has $v$. The features have $N (d+1)^2$, the state has $(d+1)^2 (d+1)$.
#
# </details>
#
# {{help arithmetic_intensity}}
#
# **Predict.** $d = 16$, many keys. How many FLOP per byte does `extend` do if the features go through memory, and
# how many if they stay on the chip: 8 and 8, 8 and 150, or 150 and 150?
#
# <details><summary>Answer</summary>
#
# About 8 and 150. The features are 18 times as many numbers as the keys, and they would travel twice.
#
# </details>

# %%
tokens = 9217
for d in (8, 16, 32):
    fused, stored = (checks.use("arithmetic_intensity")(tokens, d, on_chip) for on_chip in (True, False))
    print(f"d = {d:2}: {fused:6.1f} FLOP per byte with psi on the chip, {stored:5.1f} with psi through memory")
    assert fused > 3 * stored

# %% [markdown]
# With $\psi$ in memory the intensity is about $(d+1)/2$ whatever $N$ is: the features are $(d+1)^2/d$ times as
# many numbers as the keys, and their traffic drowns everything else. This is why a "linear" attention written as two
# plain matrix products can be slower than exact attention, although it does fewer operations. It is also why exact
# attention itself is run as one fused kernel that never stores its $N \times N$ matrix.
#
# ## The roofline
#
# The simplest useful model of a kernel: arithmetic and traffic overlap, so the longer of the two times counts.
#
# {{exercise roofline_time}}


# %% tags=["exercise"]
def roofline_time(flops, nbytes, peak, bandwidth):
    """The least time a kernel can take, and what limits it.

    flops       operations to be done
    nbytes      bytes to be moved between memory and chip
    peak        operations per second of the chip
    bandwidth   bytes per second of the memory
    returns     a pair: seconds, and "compute" or "memory", whichever takes longer
    """
    ### BEGIN SOLUTION
    compute, memory = flops / peak, nbytes / bandwidth
    return max(compute, memory), "compute" if compute > memory else "memory"
    ### END SOLUTION


checks.roofline_time(roofline_time)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Compute both times first.
#
# </details>
#
# {{help roofline_time}}
#
# The picture that gives the model its name: the rate that can be reached, against arithmetic intensity. Left of the
# edge the memory limits (the slope), right of it the arithmetic does (the flat roof). The dots are the work of the
# exercise above, under the roof of TF32 on an H100; the dotted roof is that of 16-bit products.

# %%
figure = new_figure(6.4, 3.0)
axis = figure.subplots()
intensities = [2.0 ** (i / 8) for i in range(97)]
rate = checks.use("roofline_time")
roofs = [(H100, H100.tensor, ":", "16-bit"), (H100, tf32(H100), "-", "TF32"), (A100, tf32(A100), "-", "TF32")]
for (device, peak, style, numbers), colour in zip(roofs, ("#0072b2", "#0072b2", "#56b4e9")):
    reached = [i / rate(i, 1.0, peak, device.bandwidth)[0] for i in intensities]
    axis.loglog(intensities, [r / 1e12 for r in reached], style, color=colour, label=f"{device.name}, {numbers}")
limits = {}
for d, marker in ((8, "o"), (16, "s"), (32, "^")):
    for on_chip, colour in ((False, "#d55e00"), (True, "#009e73")):
        i = checks.use("arithmetic_intensity")(tokens, d, on_chip)
        seconds, limits[d, on_chip] = rate(i, 1.0, tf32(H100), H100.bandwidth)
        label = f"d = {d}, psi {'on the chip' if on_chip else 'through memory'}"
        axis.plot([i], [i / seconds / 1e12], marker, color=colour, label=label)
axis.set_xlabel("arithmetic intensity, FLOP per byte", fontsize=9)
axis.set_ylabel("TFLOP/s at best", fontsize=9)
axis.set_title("modelled from data sheets, not measured", fontsize=9)
axis.legend(fontsize=7)
print("limited on an H100 by:", {f"d={d}, {'chip' if c else 'memory'}": limit for (d, c), limit in limits.items()})
assert {limits[d, False] for d in (8, 16, 32)} == {"memory"} and limits[8, True] == "memory" and limits[32, True] == "compute"
shown(
    figure, "roofs of two GPUs; with psi through memory all dots lie low on the slope, on the chip they lie several times higher"
)

# %% [markdown]
# ## Degree 2 as a product of outer products
#
# For one pair let $t = s\,(q \cdot k)$. Lesson 5 wrote $1 + t + t^2/2$ with monomials. A GPU prefers something more
# regular. Append a 1: $\tilde q = [\sqrt s\, q, 1]$, $\tilde k = [\sqrt s\, k, 1]$. Then
# $\tilde q \cdot \tilde k = 1 + t$, and
#
# $$1 + t + \tfrac12 t^2 \;=\; \tfrac12 \left[(1+t)^2 + 1\right], \qquad
# (1+t)^2 = \sum_{a,b} \tilde q_a \tilde q_b\, \tilde k_a \tilde k_b .$$
#
# So the features are all products of two entries of $\tilde k$: a square table, $(d+1)^2$ numbers. It holds every
# mixed product twice; that costs nearly half of the arithmetic, but every row of the table is the vector $\tilde k$
# times one number, which needs no list of monomials. The state is a cube,
#
# $$T_{a b c} = \sum_{\text{keys}} \tilde k_a\, \tilde k_b\, [v, 1]_c ,$$
#
# and the constant 1 in the bracket comes for free: since the last entry of $\tilde k$ is 1, the line $T_{d d c}$ is
# the plain sum of $[v, 1]$.

# %%
d, s, n = 16, 2.0, 300
q, k = (F.normalize(torch.randn(n, d, dtype=torch.float64), dim=-1) for _ in range(2))
v = torch.randn(n, d, dtype=torch.float64)
ones = torch.ones(n, 1, dtype=torch.float64)
q1, k1 = (torch.cat([s**0.5 * x, ones], 1) for x in (q, k))  # with the 1 appended, (n, d + 1)
v1 = torch.cat([v, ones], 1)

t = s * q @ k.T
assert torch.allclose(1 + t + t**2 / 2, ((q1 @ k1.T) ** 2 + 1) / 2)

features = (k1[:, :, None] * k1[:, None, :]).flatten(1)  # (n, (d + 1)^2): what must not be stored
T = (features.T @ v1).view(d + 1, d + 1, d + 1)
assert torch.allclose(T[d, d], v1.sum(0))
print(f"keys {k.numel():,} numbers, features {features.numel():,}, state {T.numel():,}; different monomials: {rank(d, 2)}")

# %% [markdown]
# ## Tiles: who computes what
#
# A GPU runs thousands of small *programs* at once, each with its own piece of fast memory. The kernel that reads keys
# is a grid of programs with three numbers: head, row $a$ of the table, and part of the keys. A program
#
# 1. loads a **tile** of keys and values (32 or 64 of them),
# 2. forms the features of its row only, $\tilde k_a \tilde k$: one multiplication per number, in registers,
# 3. multiplies them with $[v, 1]$ on the tensor cores, in TF32, and adds the result to its own sums, $P \times P$
#    numbers,
# 4. goes on to the next tile, and stores the sums at the end.
#
# Every program owns its sums: there are no atomic additions and the result is the same every time. Here it is in
# plain PyTorch, loop by loop, keeping count of how many features exist at the same time.

# %%
TILE, PARTS = 64, 2
most = 0
partial = torch.zeros(PARTS, d + 1, d + 1, d + 1, dtype=torch.float64)
per_part = -(-n // (PARTS * TILE)) * TILE  # whole tiles
for a in range(d + 1):  # on a GPU the two outer loops are the grid: all of it at the same time
    for part in range(PARTS):
        for start in range(part * per_part, min((part + 1) * per_part, n), TILE):
            tile = slice(start, min(start + TILE, n))
            psi = k1[tile] * k1[tile, a : a + 1]  # (TILE, d + 1): row a of the table, for these keys
            most = max(most, psi.numel())
            partial[part, a] += psi.T @ v1[tile]
assert torch.allclose(partial.sum(0), T)
print(f"the same state; features at one time in a program: {most:,} instead of {features.numel():,}")

# %% [markdown]
# The sketch shows the whole table of features, keys from top to bottom, thin lines between the rows $a$, and in
# white the tile that one program holds at this moment. On a GPU with plain matrix products the whole grey area
# would be stored and loaded again.

# %%
where = torch.full((1, n, (d + 1) ** 2), 0.4)
where[..., :: d + 1] = 0.6  # the borders of the rows a
where[:, 64:128, 5 * (d + 1) : 6 * (d + 1)] = 1
row(
    [where],
    ["(d+1)² features of 300 keys"],
    size=3.4,
    alt="a large grey table of features with one small white tile: 64 keys times the 17 features of row a = 5",
)

# %% [markdown]
# The kernel that reads queries goes the other way. A program loads a tile of queries, loops over the rows $a$, forms
# $\tilde q_a \tilde q$, multiplies with $T_a$, and at the end divides by the last column, the denominators.

# %%
sums = torch.zeros(n, d + 1, dtype=torch.float64)
for a in range(d + 1):
    sums += (q1 * q1[:, a : a + 1]) @ T[a]
sums = 0.5 * (sums + T[d, d])
out = sums[:, :d] / sums[:, d:]
weights = 1 + t + t**2 / 2
assert torch.allclose(out, weights @ v / weights.sum(1, keepdim=True))
print("the same output as from the full matrix of weights; smallest denominator", round(sums[:, d].min().item(), 1))

# %% [markdown]
# {{exercise program_bytes}}
#
# How much fast memory does a program of the key kernel need? Triton's matrix product `tl.dot` takes matrices whose
# sides are powers of two and at least 16. (That is a rule of Triton; the hardware's own tiles are smaller.) So
# $d + 1$ columns are padded to $P$, the least power of two that is at least 16 and at least $d + 1$. A program
# holds, all in float32: its sums, $P \times P$, and three tiles of `tile` rows and $P$ columns (keys, values,
# features).


# %% tags=["exercise"]
def program_bytes(head_dim, tile):
    """Bytes that one program of the degree-2 key kernel holds on the chip.

    head_dim   d
    tile       number of keys in a tile
    returns    an int: bytes of the sums (P, P) and of three tiles (tile, P), in float32
    """
    ### BEGIN SOLUTION
    P = 16
    while head_dim + 1 > P:
        P *= 2
    return 4 * (P * P + 3 * tile * P)
    ### END SOLUTION


checks.program_bytes(program_bytes)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Begin with $P = 16$ and double it while it is smaller than $d + 1$.
#
# </details>
#
# {{help program_bytes}}
#
# **Predict.** A multiprocessor of an H100 has 228 KiB of fast memory. Does the state of one head fit, $(d+1)^3$
# numbers of four bytes: for $d = 8$, 16, 32, 64?
#
# <details><summary>Answer</summary>
#
# For all but $d = 64$, whose state is more than 1 MB. Each doubling of $d$ makes it nearly eight times larger.
#
# </details>

# %%
print("head dim   tile   one program   whole state of a head")  # 64 is not among the kernels: see below
for d, tile in ((8, 64), (16, 64), (32, 32), (64, 32)):
    state = 4 * (d + 1) ** 3
    print(f"{d:8}{tile:7}{checks.use('program_bytes')(d, tile) / 1024:10.1f} KiB{state / 1024:15.1f} KiB")
assert 4 * 65**3 == 1_098_500

# %% [markdown]
# The on-chip memory of one multiprocessor is 164 KiB on an A100 and 228 KiB on an H100, and several programs share
# it. A program of any of these sizes fits. The *state* does not for $d = 64$: the query kernel reads the whole cube
# for every tile of queries, and 1.1 MB per head is then read again and again. So this project's kernels take head
# dimensions 8, 16 and 32, and say so for any other. The state grows with $d^3$: this is the price of degree 2, and
# the reason why the models here have small heads.
#
# ## Run the kernels
#
# The kernels are written in Triton. Where CUDA is present they run there, are compared with float64, and timed
# against PyTorch's exact attention. Elsewhere Triton's **interpreter** executes the same source on the CPU, program
# after program: slow, but a real test of indices, masks and arithmetic. It runs in a process of its own, since the
# choice is made when the module is imported.

# %%
PROGRAM = """
import json, os, sys, time
import torch, torch.nn.functional as F
from var_mini.attention import fused

def median(run):
    run(); times = []
    for _ in range(20):
        torch.cuda.synchronize(); begin = time.perf_counter()
        run(); torch.cuda.synchronize(); times.append(time.perf_counter() - begin)
    return sorted(times)[10]

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
found = {"device": torch.cuda.get_device_name() if device == "cuda" else "interpreter on the CPU", "cases": [], "times": []}
for n, d, s in ((70, 8, 2.0), (70, 16, 2.0), (40, 32, 1.0)):
    q, k = (F.normalize(torch.randn(1, 2, n, d), dim=-1) for _ in range(2))
    v, scale = torch.randn(1, 2, n, d), torch.full((2,), s)
    q, k, v, scale = (x.to(device) for x in (q, k, v, scale))
    state = fused.poly2_state(1, 2, d, device)
    fused.poly2_extend(state, k[:, :, :30], v[:, :, :30], scale)  # as two scales arrive
    fused.poly2_extend(state, k[:, :, 30:], v[:, :, 30:], scale)
    out, _ = fused.poly2_attend(state, q, scale)
    t = s * q.double() @ k.double().mT
    weights = 1 + t + t * t / 2
    wanted = weights @ v.double() / weights.sum(-1, keepdim=True)
    found["cases"].append({"n": n, "d": d, "largest_difference": (out - wanted).abs().max().item()})
if device == "cuda":
    for n in (680, 2240, 9216):
        q, k = (F.normalize(torch.randn(8, 16, n, 16, device=device), dim=-1).bfloat16() for _ in range(2))
        v, scale = torch.randn_like(q), torch.full((16,), 2.0, device=device)
        def poly():
            state = fused.poly2_state(8, 16, 16, device)
            fused.poly2_extend(state, k, v, scale)
            fused.poly2_attend(state, q, scale)
        exact = median(lambda: F.scaled_dot_product_attention(q, k, v, scale=2.0))
        found["times"].append({"n": n, "exact": exact, "poly-2": median(poly)})
print(json.dumps(found))
"""


def run_kernels() -> dict | None:
    """What the program above printed; None, with a message, where Triton is missing."""
    if importlib.util.find_spec("triton") is None:
        print("The package triton is not installed here, so the kernels cannot run. `pip install triton` (Linux) adds it.")
        return None
    environment = {**os.environ, "PYTHONPATH": str(Path(var_mini.__file__).parent.parent)}
    if not torch.cuda.is_available():
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, timeout=500)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


# %% tags=["skip-grading"]
found = run_kernels()
if found is not None:
    print(found["device"])
    for case in found["cases"]:
        print(f"n = {case['n']}, d = {case['d']}: largest difference from float64 {case['largest_difference']:.1e}")
        assert case["largest_difference"] < (2e-3 if torch.cuda.is_available() else 2e-5)
    for times in found["times"]:
        print(f"N = {times['n']}, measured: exact {times['exact'] * 1e6:.0f} us, poly-2 {times['poly-2'] * 1e6:.0f} us")
    if not found["times"]:
        print("No times: the interpreter says nothing about speed.")

# %% [markdown]
# In the library nobody has to choose: a state uses the kernels where they can compute it, and plain PyTorch
# otherwise, and can say why.

# %%
with torch.no_grad():
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        for d in (16, 64):
            reason = why_not("poly", torch.ones(2, device=device), d)
            print(f"{device}, head dimension {d}: {reason or 'fused kernels'}")

# %% [markdown]
# ## What to expect
#
# `var_mini.cost.roofline` applies the model to all of it: besides products and bytes it counts exponentials (a GPU
# has few units for them, and exact attention needs $N^2$), the arithmetic that forms features, the padding, and a
# fixed time for each launch; and it assumes that a well-made kernel reaches 70 % of the peaks. This is a **model, not
# a measurement**: believe the shape of the curves and doubt their numbers by a factor of two.
#
# **Predict.** At the 680 tokens of a published 256-pixel model: how many times faster than exact attention will
# degree 2 be, by this model, for $d = 16$? And for the $d = 64$ of that model?
#
# <details><summary>Answer</summary>
#
# Not faster at all. For $d = 16$ about equal or slower, for $d = 64$ many times slower. Exact attention multiplies
# 16-bit numbers at twice the rate, and 680 tokens are too few for $N$ to beat $N^2$.
#
# </details>

# %%
SIZES = [256, 680, 1326, 2240, 5205, 9217, 16384, 32768]
METHODS = (("poly-2", 8), ("poly-2", 16), ("poly-2", 64), ("landmark-64", 16))


def gain(method, d, tokens, device=H100):
    """How many times faster than fused exact attention, by the model."""
    return roofline(tokens, d, "exact", device=device) / roofline(tokens, d, method, device=device)


figure = new_figure(6.4, 3.0)
axis = figure.subplots()
for (method, d), colour in zip(METHODS, ("#56b4e9", "#0072b2", "#d55e00", "#009e73")):
    axis.loglog(SIZES, [gain(method, d, n) for n in SIZES], "o-", ms=3, color=colour, label=f"{method}, d = {d}")
axis.axhline(1, color="0.4", lw=0.8)
axis.set_xlabel("tokens", fontsize=9)
axis.set_ylabel("times faster than exact", fontsize=9)
axis.set_title("modelled for an H100, batch × heads = 128; not measured", fontsize=9)
axis.legend(fontsize=7)
for method, d in METHODS:
    line = "  ".join(f"{n}: {gain(method, d, n):.2g}x" for n in (680, 2240, 9217, 16384))
    print(f"{method:12} d = {d:2}  {line}   faster from {overtakes_from(method, d)} tokens on")
shown(
    figure,
    "modelled gain of low-rank over exact attention: above 1 from some hundred tokens for small heads, far later for d = 64",
)

# %%
assert gain("poly-2", 64, 2240) < 1 < gain("poly-2", 16, 2240) < gain("landmark-64", 16, 2240)
assert gain("poly-2", 16, 16384) > 3 * gain("poly-2", 16, 2240)
cells = {device.name: gain("poly-2", 16, 9217, device) for device in DEVICES.values()}
print("poly-2, d = 16, 9217 tokens:", {name: f"{value:.0f}x" for name, value in cells.items()})

# %% [markdown]
# Read it with the other lessons in mind:
#
# - At the 680 tokens of the published 256-pixel models there is nothing to win with degree 2 and $d = 16$. The gain
#   grows with $N$, since exact attention needs $N^2$ and the others need $N$.
# - With the head dimension 64 of the published models, degree 2 **loses** up to many thousand tokens (the last
#   column): its arithmetic grows with $(d+1)^3$ per token.
# - These are times of attention alone. The linear layers of a transformer stay as they are, so the gain of the whole
#   model is smaller (lesson 4).
# - And speed is only half of the question. Whether degree 2 is *accurate* enough depends on the bound of the logits
#   (lesson 6).
#
# ## What is known without a GPU, and what is not
#
# | checked | how |
# |---|---|
# | indices, masks, sums, ragged sizes, three number formats | the interpreter against float64 (`tests/attention/test_fused.py`) |
# | tensor cores used, memory of the chip suffices, no spills | compiled for 3 GPUs (`tests/attention/test_fused_compile.py`) |
# | **speed** | **not measured; modelled above** |
# | **races between the threads of a program** | **not seen by an interpreter that runs one after the other** |
#
# On a machine with CUDA `python -m pytest -m gpu` and `python -m var_mini bench scaling --device cuda --json` are the
# commands that turn the model into a measurement.
#
# ## What to remember
#
# - A kernel takes the longer of arithmetic and traffic; intensity, FLOP per byte, decides which.
# - $\psi$ is formed tile by tile in registers and used at once; only keys, values and the state travel.
# - The state is a cube of $(d+1)^3$ numbers: fine for $d = 8$ or 16, too large for 64.
# - A model is not a measurement, and a lesson that shows one has to say so.
