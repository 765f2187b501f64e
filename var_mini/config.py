"""What a model is made of, as plain dataclasses that go to JSON and back, and the presets of this project.

The same dataclasses describe the compact models trained here and the published VAR-d16 ... VAR-d36, so one set
of classes serves both.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields

from . import validate
from .classes import find_class
from .pyramid import ScalePyramid

PATCH_NUMS_256 = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
PATCH_NUMS_512 = (1, 2, 3, 4, 6, 9, 13, 18, 24, 32)
MAX_GUIDANCE = 100.0
TEMPERATURES = (0.01, 10.0)
MAX_TOP_K = 2**31 - 1


def _keep(config: object, name: str, value: object) -> None:
    """Stores a checked value in a frozen dataclass, as the plain int, float or bool that the check returned."""
    object.__setattr__(config, name, value)


@dataclass(frozen=True)
class TokenizerConfig:
    """The multi-scale VQVAE. Defaults: the published tokenizer (vae_ch160v4096z32)."""

    patch_nums: tuple[int, ...] = PATCH_NUMS_256
    image_channels: int = 3  # 3 for colour, 1 for grey
    vocab_size: int = 4096  # V, number of codes in the one codebook that all scales share
    z_channels: int = 32  # Cvae, length of a code
    channels: int = 160  # width of the first resolution
    channel_mult: tuple[int, ...] = (1, 1, 2, 2, 4)  # width of each resolution, as a multiple of `channels`
    res_blocks: int = 2  # residual blocks per resolution in the encoder; the decoder has one more
    stem: int = 1  # space-to-depth factor before the first convolution; 1 = none
    attention: bool = True  # attention blocks at the lowest resolution and in the middle
    norm_groups: int = 32
    phi_count: int = 4  # convolutions phi shared by the K scales
    phi_ratio: float = 0.5  # h = (1 - ratio) * h + ratio * conv(h)
    beta: float = 0.25  # weight of the commitment loss

    @staticmethod
    def from_dict(data: object) -> TokenizerConfig:
        """Builds a config from parsed JSON. Raises ValueError on unknown, missing or out-of-range entries."""
        return _build(TokenizerConfig, data, "tokenizer")

    def __post_init__(self) -> None:
        _keep(self, "patch_nums", ScalePyramid(self.patch_nums).patch_nums)
        if not isinstance(self.channel_mult, (tuple, list)) or not 1 <= len(self.channel_mult) <= 8:
            raise ValueError(f"channel_mult = {validate.shown(self.channel_mult)}: must hold 1 to 8 whole numbers")
        mult = tuple(validate.integer("channel_mult", m, 1, 64) for m in self.channel_mult)
        _keep(self, "channel_mult", mult)
        for name, low, high in (
            ("vocab_size", 2, 1 << 20),
            ("z_channels", 1, 4096),
            ("channels", 1, 4096),
            ("res_blocks", 1, 16),
            ("stem", 1, 16),
            ("norm_groups", 1, 256),
            ("phi_count", 1, 64),
        ):
            _keep(self, name, validate.integer(name, getattr(self, name), low, high))
        if validate.integer("image_channels", self.image_channels, 1, 3) == 2:
            raise ValueError("image_channels = 2: must be 1 (grey) or 3 (colour)")
        _keep(self, "image_channels", int(self.image_channels))
        for m in mult:
            if self.channels * m % self.norm_groups:
                raise ValueError(f"norm_groups = {self.norm_groups}: must divide every width, here {self.channels * m}")
        _keep(self, "attention", validate.boolean("attention", self.attention))
        _keep(self, "phi_ratio", validate.number("phi_ratio", self.phi_ratio, 0, 1))
        _keep(self, "beta", validate.number("beta", self.beta, 0, 100))

    @property
    def pyramid(self) -> ScalePyramid:
        return ScalePyramid(self.patch_nums)

    @property
    def downsampling(self) -> int:
        """Pixels per side of one cell of the last token map."""
        return self.stem * 2 ** (len(self.channel_mult) - 1)

    @property
    def image_size(self) -> int:
        """Side of the image in pixels."""
        return self.pyramid.side * self.downsampling


@dataclass(frozen=True)
class TransformerConfig:
    """The VAR transformer. Defaults: VAR-d16."""

    depth: int = 16
    width: int = 1024  # C
    heads: int = 16
    head_dim: int = 64  # heads * head_dim may be narrower than the width
    num_classes: int = 1000  # label num_classes itself is the null class of guidance
    num_styles: int = 0  # a second condition, where there is one; style num_styles itself is "any"
    mlp_ratio: float = 4.0
    shared_adaln: bool = False  # one AdaLN projection for all blocks plus an offset per block
    attn_l2_norm: bool = True  # unit q and k times a learned scale, so every logit lies in [-scale, scale]
    scale_init: float = 4.0  # initial logit scale of each head
    scale_cap: float = 100.0  # upper bound of the logit scale
    class_drop: float = 0.1  # share of training labels replaced by the null class (with styles: see `drop_conditions`)
    dropout: float = 0.0  # on both residual branches, in training only

    def __post_init__(self) -> None:
        for name, low, high in (
            ("depth", 1, 256),
            ("width", 1, 1 << 16),
            ("heads", 1, 1024),
            ("head_dim", 1, 1024),
            ("num_classes", 1, 1 << 20),
            ("num_styles", 0, 1 << 16),
        ):
            _keep(self, name, validate.integer(name, getattr(self, name), low, high))
        _keep(self, "shared_adaln", validate.boolean("shared_adaln", self.shared_adaln))
        _keep(self, "attn_l2_norm", validate.boolean("attn_l2_norm", self.attn_l2_norm))
        _keep(self, "mlp_ratio", validate.number("mlp_ratio", self.mlp_ratio, 0, 64, low_open=True))
        _keep(self, "scale_cap", validate.number("scale_cap", self.scale_cap, 0, 1e4, low_open=True))
        _keep(self, "scale_init", validate.number("scale_init", self.scale_init, 0, self.scale_cap, low_open=True))
        _keep(self, "class_drop", validate.number("class_drop", self.class_drop, 0, 1))
        _keep(self, "dropout", validate.number("dropout", self.dropout, 0, 0.99))

    @property
    def attention_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def plain_scale(self) -> float:
        """Logit scale where q and k are not normalised, as in the published code."""
        return 0.25 / math.sqrt(self.head_dim)


@dataclass(frozen=True)
class Sampling:
    """How to draw tokens. Raises ValueError naming the argument, its value and the range."""

    guidance: float = 0.0  # classifier-free guidance at the last scale, 0 to 100; 0 = none, and half the work
    temperature: float = 1.0  # 0.01 to 10
    top_k: int = 0  # 0 = all codes, else at least 1; a value above V acts as V
    top_p: float = 1.0  # 0 to 1; 1 = all codes, 0 = the most likely code only

    def __post_init__(self) -> None:
        _keep(self, "guidance", validate.number("guidance", self.guidance, 0, MAX_GUIDANCE))
        _keep(self, "temperature", validate.number("temperature", self.temperature, *TEMPERATURES))
        _keep(self, "top_k", validate.integer("top_k", self.top_k, 0, MAX_TOP_K))
        _keep(self, "top_p", validate.number("top_p", self.top_p, 0, 1))


@dataclass(frozen=True)
class ModelConfig:
    """A whole model: tokenizer, transformer, what it was trained on, and its sampling defaults."""

    name: str
    tokenizer: TokenizerConfig
    transformer: TransformerConfig
    class_names: tuple[str, ...] = ()
    data: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    class_groups: tuple[str, ...] = ()  # the group each class belongs to, where classes have groups
    style_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.data, str):
            raise ValueError(f"name = {validate.shown(self.name)}, data = {validate.shown(self.data)}: must be strings")
        classes, styles = self.transformer.num_classes, self.transformer.num_styles
        for field_name, count in (("class_names", classes), ("class_groups", classes), ("style_names", styles)):
            names = getattr(self, field_name)
            if not isinstance(names, (tuple, list)) or not all(isinstance(n, str) for n in names):
                raise ValueError(f"{field_name} = {validate.shown(names)}: must be a list of strings")
            if names and len(names) != count:
                raise ValueError(f"{field_name} has {len(names)} names: must have {count}")
            _keep(self, field_name, tuple(names))

    @property
    def pyramid(self) -> ScalePyramid:
        return self.tokenizer.pyramid

    def groups(self) -> dict[str, list[int]]:
        """Class labels under the name of their group; every class is its own group where there are none."""
        found: dict[str, list[int]] = {}
        for label in range(self.transformer.num_classes):
            found.setdefault(self.class_groups[label] if self.class_groups else self.class_name(label), []).append(label)
        return found

    def class_name(self, label: int) -> str:
        return self.class_names[label] if self.class_names else f"class {label}"

    def style_name(self, style: int | None) -> str:
        """The name of a style; None and num_styles are "any"."""
        if style is None or style == self.transformer.num_styles:
            return "any"
        return self.style_names[style] if self.style_names else f"style {style}"

    def find_style(self, name: str) -> int | None:
        """A style by its name or number, None for "any". Raises ValueError where the model has no such style, or none at all."""
        if not self.transformer.num_styles:
            raise ValueError(f"style = {validate.shown(name)}: {self.name} has no styles")
        return None if name == "any" else find_class(name, self.style_names, self.transformer.num_styles, "style")

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(data: object) -> ModelConfig:
        """Builds a config from parsed JSON. Raises ValueError on unknown, missing or out-of-range entries."""
        parts = {"tokenizer": TokenizerConfig, "transformer": TransformerConfig, "sampling": Sampling}
        values = _known_fields(ModelConfig, data, "config")
        for key, kind in parts.items():
            if key in values:
                values[key] = _build(kind, values[key], key)
        return _build(ModelConfig, values, "config")


def _known_fields(kind: type, data: object, where: str) -> dict:
    if not isinstance(data, dict):
        raise ValueError(f"{where} = {validate.shown(data)}: must be a JSON object")
    unknown = sorted(map(str, set(data) - {f.name for f in fields(kind)}))
    if unknown:
        raise ValueError(f"{where} has unknown entries: {validate.listed(unknown)}")
    return dict(data)


def _build(kind: type, data: object, where: str):
    values = _known_fields(kind, data, where)
    try:
        return kind(**values)
    except TypeError as error:  # a missing entry, or a list where a number belongs
        raise ValueError(f"{where}: {error}") from None


FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
