# %% [markdown]
# # 12. What constant depth cannot compute
#
# A transformer of ten layers has ten layers, however long its input is. That sounds like a limit, and
# [arXiv 2501.04299](https://arxiv.org/abs/2501.04299) makes it one: VAR with constantly many layers and scales computes
# nothing that circuits of *constant depth* cannot. This lesson builds such circuits, counts their depth, and then looks
# at an experiment that seems to show the limit, and does not.
#
# After it you can say
#
# - what a threshold gate is, and why adding numbers takes constant depth with them,
# - how deep one attention head is, and why that does not depend on the number of tokens,
# - which problem probably needs more, and what "probably" rests on,
# - why a network that fails to learn something has not shown that it cannot compute it.
#
# Time: 68 minutes with the exercises, 20 without. Before each output marked **Guess** write down an answer of your own.

# %%
import json

import numpy as np
import torch

from var_mini import checks
from var_mini.checkpoints import ASSETS
from var_mini.theory import circuits
from var_mini.view.plates import new_figure, shown

stored = json.loads((ASSETS / "results" / "limits-circuits.json").read_text())

# %% [markdown]
# ## Gates
#
# A **threshold gate** reads bits, weighs them, and says whether the sum reaches a threshold. AND and OR are threshold
# gates, and so is one neuron with a hard step. Any number of inputs is allowed; the *depth* of a circuit is the longest
# way from an input to the output.

# %% [markdown]
# {{exercise threshold_gate}}
#
# Compute one gate on many inputs at once.


# %% tags=["exercise"]
def threshold_gate(weights, threshold, bits):
    """1 where the weighted sum of the bits is at least the threshold, else 0.

    weights    int64 (n,)
    threshold  a whole number
    bits       int64 (samples, n), each 0 or 1
    returns    int64 (samples,)
    """
    ### BEGIN SOLUTION
    return ((bits * weights).sum(dim=1) >= threshold).long()
    ### END SOLUTION


checks.threshold_gate(threshold_gate)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A comparison gives a tensor of truth values; `.long()` makes 0 and 1 of it.
#
# </details>
#
# {{help threshold_gate}}
#
# Is the number of ones odd? This is *parity*, and circuits of AND and OR of constant depth cannot compute it for long
# inputs (unless they have more than polynomially many gates): that is a famous theorem. With thresholds two layers are
# enough.

# %% [markdown]
# {{exercise parity_by_thresholds}}
#
# First layer: $n$ gates, "at least 1 bit is set", "at least 2", ..., "at least $n$". Second layer: one gate that reads
# them. Return all $n + 1$ outputs, the last gate's last.


# %% tags=["exercise"]
def parity_by_thresholds(bits):
    """Parity by two layers of threshold gates.

    bits     int64 (samples, n), each 0 or 1
    returns  int64 (samples, n + 1): the gates "at least t bits are set" for t = 1, ..., n, then the parity
    """
    ### BEGIN SOLUTION
    n = bits.shape[1]
    ones = bits.sum(dim=1, keepdim=True)
    reached = (ones >= torch.arange(1, n + 1)).long()  # k ones set reach the first k thresholds
    signs = 1 - 2 * (torch.arange(n) % 2)  # +1, -1, +1, ...
    odd = ((reached * signs).sum(dim=1, keepdim=True) >= 1).long()
    return torch.cat([reached, odd], dim=1)
    ### END SOLUTION


checks.parity_by_thresholds(parity_by_thresholds)

# %% [markdown]
# <details><summary>Hint</summary>
#
# With $k$ ones the first $k$ gates of the first layer are on. What is $+1-1+1-\dots$ with $k$ terms?
#
# </details>
#
# {{help parity_by_thresholds}}
#
# The same trick reads every binary digit of a sum: digit $b$ changes at each multiple of $2^b$, so it is an alternating
# sum of comparisons. **Adding any number of numbers takes constant depth.** And attention is adding: dot products, the
# sum of exponentials, the sum of weighted values.
#
# **Guess:** the library builds one attention head on whole numbers of two bits (products, a table for the exponential,
# two sums, a division). Ten layers for two keys. How many for 32?

# %%
for n in (2, 4, 8, 16, 32):
    circuit = circuits.attention_circuit(n)
    print(f"n = {n:2} keys: depth {circuit.depth}, {len(circuit.gates):5,} gates, {len(circuit.gates) / n:.0f} a key")
rng = np.random.default_rng(0)
q, k, v = (rng.integers(0, 4, (500, m)) for m in (1, 8, 8))
out = circuits.attention_circuit(8).run(circuits.bits_of(np.concatenate([q, k, v], 1)))
wanted = circuits.attention_oracle(q[:, 0], k, v)
print(f"500 random inputs with 8 keys: {(out[:, 0] + 2 * out[:, 1] == wanted).mean():.0%} right")
assert (out[:, 0] + 2 * out[:, 1] == wanted).all()

# %% [markdown]
# The gates grow in proportion to the keys, the depth not at all. A layer of a transformer is a constant number of such
# steps, a constant number of layers a constant number again. The class of problems that polynomially many threshold gates
# solve in constant depth is called **TC0**, and the paper shows: *VAR is inside TC0.* Three traps:
#
# - The abstract says "equivalent". What is shown is an inclusion: VAR computes no more than TC0, not all of it.
# - The number of scales must be constant. With doubling sides there are $\log_2 n + 1$, and the argument gives a whole
#   picture no constant depth any more.
# - At a *fixed* $n$ there are finitely many inputs, so everything is a table. The sentence speaks of all $n$ together.
#
# ## Something that probably needs depth
#
# Take five cups and a list of moves, each a permutation of the cups. Where does the first cup end? One after the other it
# takes $n$ steps; but permutations can be multiplied in any bracketing, so a tree is enough.

# %% [markdown]
# {{exercise tree_depth}}
#
# One product of two permutation matrices takes two layers: AND ("first a goes from i to m, and b from m to j"), then OR
# over m. Neighbours are multiplied at the same time, in rounds; where the number is odd, one waits. How deep is it for
# $n$ factors?


# %% tags=["exercise"]
def tree_depth(factors):
    """Layers of a balanced tree of products, two layers a product.

    factors  n, 1 or more
    returns  a whole number
    """
    ### BEGIN SOLUTION
    rounds = 0
    while factors > 1:
        factors = (factors + 1) // 2
        rounds += 1
    return 2 * rounds
    ### END SOLUTION


checks.tree_depth(tree_depth)

# %% [markdown]
# <details><summary>Hint</summary>
#
# How many factors are left after one round?
#
# </details>
#
# {{help tree_depth}}

# %%
depth = checks.use("tree_depth")
sizes = (2, 4, 8, 16, 32, 64, 128)
figure = new_figure(6.4, 2.6)
axis = figure.subplots()
axis.semilogx(sizes, [depth(n) for n in sizes], "o-", color="#0072b2", label="five cups, tree", markersize=4, base=2)
axis.semilogx(sizes, [10] * len(sizes), "-", color="#d55e00", label="one attention head", base=2)
axis.set_xlabel("tokens n", fontsize=8)
axis.set_ylabel("depth", fontsize=8)
axis.legend(fontsize=8)
for n in (4, 32, 33):
    assert depth(n) == circuits.product_circuit(n).depth
shown(figure, "depth against tokens: a rising line for the cups that crosses the level line of attention at 32 tokens")

# %% [markdown]
# The tree grows with $\log n$, and it passes the head's ten layers only beyond 32 tokens. Is there a cleverer circuit, of
# constant depth? For all five cups nobody knows one: the problem is complete for a class called **NC1** (Barrington),
# and a constant depth with polynomially many gates would mean TC0 = NC1, which hardly anybody believes and nobody has
# refuted. So: *conditional*.
#
# What is special about five? A *group* is here a set of permutations that holds every product and every inverse of its
# members, and its *order* is their number. A group is called **solvable** if taking commutators again and again leads down
# to the identity alone. All permutations of three or four things are solvable, those of five are not. For solvable groups
# constant depth is enough.

# %% [markdown]
# {{exercise commutator_orders}}
#
# The commutator of $a$ and $b$ is $a^{-1} b^{-1} a\, b$. Compute the order of the group that the generators make (all
# products of them), then of the group that the commutators of all pairs of its members make, and so on, until an order is
# 1 or the same as before; that one is still listed. Whether a product is read from the left or from the right changes no
# order.


# %% tags=["exercise"]
def commutator_orders(generators):
    """Orders of a group and of its repeated commutator subgroups.

    generators  list of permutations, each a list: point i goes to generators[k][i]
    returns     list of whole numbers, the last one 1 or equal to the one before
    """

    ### BEGIN SOLUTION
    def then(a, b):
        return tuple(b[i] for i in a)

    def generated(moves):
        found = fresh = {tuple(range(len(moves[0])))}
        while fresh:
            fresh = {then(x, g) for x in fresh for g in moves} - found
            found = found | fresh
        return found

    def back(a):
        return tuple(sorted(range(len(a)), key=lambda i: a[i]))

    group = generated([tuple(g) for g in generators])
    orders = [len(group)]
    while True:
        group = generated([then(then(back(a), back(b)), then(a, b)) for a in group for b in group])
        orders.append(len(group))
        if orders[-1] == 1 or orders[-1] == orders[-2]:
            return orders
    ### END SOLUTION


checks.commutator_orders(commutator_orders)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Three small functions: "first a, then b", the inverse, and the group that a list of permutations generates (multiply
# what is new by every generator until nothing new comes).
#
# </details>
#
# {{help commutator_orders}}
#
# **Guess:** four groups follow: Z5 (turns of a pentagon), F20 (turns and doublings modulo 5), A5 and S5 (half of all, and all
# permutations of five). Which of them come down to 1?

# %%
orders = checks.use("commutator_orders")
for name, generators in circuits.GROUPS.items():
    found = orders([list(g) for g in generators])
    print(f"{name:4} {' -> '.join(map(str, found)):18} {'solvable' if found[-1] == 1 else 'not solvable'}")

# %% [markdown]
# ## An experiment that shows something else
#
# Train a small causal transformer to follow one cup through 20 moves, for four groups. Z5 and F20 are solvable
# (constant depth is enough); A5 and S5 are not.
#
# **Guess:** for which groups does training succeed at position 20, where guessing gives 0.20?

# %%
print("accuracy at positions " + ", ".join(map(str, stored["positions"])) + f" ({stored['seeds']} seed)")
for kind, found in stored["accuracy"].items():
    for group, accuracy in found.items():
        told = "solvable" if stored["derived"][group][-1] == 1 else "not solvable"
        print(f"{kind:12} {group:4} ({told:12}): " + ", ".join(f"{a:.2f}" for a in accuracy))
f20, a5 = (stored["accuracy"]["transformer"][group][-1] for group in ("F20", "A5"))
assert f20 < 0.3  # the control

# %% [markdown]
# Without the line of F20 the table would look like a proof: the cyclic group works, A5 and S5 do not. But **F20 is
# solvable, and training fails on it as well**. And a GRU, with one state that it carries along, learns all four: it is
# not of constant depth, for it takes one step a token.
#
# So what the transformer's failures show is that *this training* found no solution: how fast the moves mix the cups, how
# the loss looks, how many steps. A network that fails to learn has not shown that it cannot compute. Keep a control
# that must succeed if your explanation is right, and look at it before you believe the explanation.
#
# ## Thinking aloud
#
# VAR draws tokens and reads them again. Each drawn scale is a memory between passes, as the written steps of a chain of
# thought are. The bound holds for one pass with constantly many scales; a model that may write and read on
# is not covered by it, and may do more.
#
# ## Three sentences
#
# - With threshold gates, adding, and so attention, takes constant depth; VAR with constantly many layers and scales lies in
#   TC0.
# - Following five cups probably needs depth that grows, on the condition that TC0 and NC1 differ.
# - Learning curves cannot show this; a control that fails although it should succeed tells you so.
