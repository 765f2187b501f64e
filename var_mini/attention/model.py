"""What a transformer has to do with back ends: which one a name stands for, its calibrated tables, a state for every block."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from torch import Tensor, nn

from .. import validate
from ..config import TransformerConfig
from ..pyramid import ScalePyramid
from .backends import new_state
from .calibration import Calibration
from .choose import choose
from .layer import SelfAttention
from .spec import AttentionSpec
from .state import AttentionState

if TYPE_CHECKING:
    M = TypeVar("M", bound=nn.Module)

    class ModuleListOf(nn.ModuleList, Generic[M]):
        """A ModuleList whose type says what it holds."""

        def __iter__(self) -> Iterator[M]: ...
        def __getitem__(self, idx: int) -> M: ...

else:
    ModuleListOf = nn.ModuleList


class Attending(Protocol):
    attn: SelfAttention


class BackEnds(nn.Module):
    """A transformer of which a subclass says `config`, `pyramid` and `blocks`."""

    config: TransformerConfig
    pyramid: ScalePyramid
    blocks: Iterable[Attending]

    def __init__(self, config: TransformerConfig, pyramid: ScalePyramid):
        super().__init__()
        self.config, self.pyramid = config, pyramid
        self.calibration = Calibration(config.depth, config.heads, config.head_dim)

    def resolve(self, attention: str | AttentionSpec) -> AttentionSpec:
        """The definite back end behind a name.

        Raises ValueError where the name is unknown, a parameter is out of range, or this model lacks what the method needs.
        """
        spec = AttentionSpec.parse(attention)
        spec = self.choose()[0] if spec.method == "auto" else spec
        spec.rank(self.config.head_dim)
        self.calibration.check(spec)
        return spec

    def choose(self) -> tuple[AttentionSpec, str]:
        """What `auto` stands for here, and the reason in words."""
        bound = max(block.attn.logit_scale().max().item() for block in self.blocks) if self.config.attn_l2_norm else math.inf
        return choose(self.pyramid.tokens, self.config.head_dim, bound, sorted(self.calibration.landmarks))

    def new_states(
        self, batch: int, attention: str | AttentionSpec = "exact", reserve: bool | None = None, implementation: str = "auto"
    ) -> list[AttentionState]:
        """One empty state per block, for `batch` sequences; `reserve` and `implementation` as in `new_state`."""
        validate.integer("batch", batch, 1, 1 << 20)
        spec, shape = self.resolve(attention), (self.config.head_dim, self.pyramid.tokens)
        states = []
        for layer, block in enumerate(self.blocks):
            tables = self.calibration.of_layer(spec, layer)
            given = batch, block.attn.logit_scale(), *shape
            states.append(new_state(spec, *given, **tables, reserve=reserve, implementation=implementation))
        return states

    def set_landmarks(self, landmarks: Tensor) -> None:
        """Keeps calibrated landmarks (depth, H, m, d) for `landmark-m`, on the device of the weights."""
        self.calibration.set_landmarks(landmarks.to(next(self.parameters()).device))

    def set_coefficients(self, coefficients: Tensor) -> None:
        """Keeps calibrated coefficients (depth, H, g + 1) for `poly-g-calibrated`, on the device of the weights."""
        self.calibration.set_coefficients(coefficients.to(next(self.parameters()).device))
