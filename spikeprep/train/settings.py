"""Everything that decides what a training run computes, in one value that round-trips through JSON.

The settings of training and of the learning rule share one flat namespace: ``epochs`` beside ``loss.target``. Which
names belong to the rule depends on `rule`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from .. import config
from ..config import Meta, Natural, Setting, Settings, Share
from ..errors import SpikeprepError, UsageError, broken_plugin, near_miss
from ..registry import RULES
from .class_weights import ClassWeights
from .layers.notation import parse_arch
from .layers.per_layer import SharePerLayer, SpreadPerLayer, check_layers
from .layers.spatial import Channels
from .optimiser import OptimiserSettings
from .rules import LearningRule

DEFAULT_RULE = "hm2bp"


def _default_rule() -> LearningRule:
    made: LearningRule = RULES.get(DEFAULT_RULE)()
    return made


@dataclass(frozen=True)
class TrainSettings(Settings):
    """Settings of a run. Defaults are the published ones, but for those found by runs: see benchmarks/RESULTS.md.

    Attributes
    ----------
    arch
        Hidden layers, input side first, such as 800-800 or 15C5-P2-40C5-P2-300: docs/layers.md has the notation.
    channels
        Where the channels (colours, polarities) are among the axes of the store's units, for a convolution or pool
        behind them: "first", "last", or "auto": the axis of at most 4 units, or the first ones of more than three.
    epochs
        Passes over the training samples.
    batch
        Samples per update.
    seed
        Of the initial weights, the order and the validation share.
    init
        Weights start uniform in [−init, init]: one value for all layers, or a list with one for each hidden layer and
        then the output.
    boost
        Raise the weight of samples that were wrong, after every epoch (docs/hm2bp.md section 7).
    class_weights
        Weight of each class in the loss, a list in the order of the store's classes, or "balanced": rare classes weigh
        more, N / (K n_c) for n_c of N training samples of K classes; "none": all are 1 (docs/hm2bp.md section 7).
    dropout
        Share of a layer's inputs that is silent, drawn anew for each sample and epoch while training: one value for all
        layers, or a list with one for each hidden layer (the first: of the network's input) and then the output; 0 for
        pools. The network that is evaluated and kept has all inputs, and weights times 1 − dropout.
    validation
        Share of the training split that chooses the best epoch and is not trained on. A store's own split "validation"
        is used instead, all of it. 0: the last epoch is the best, and nothing is held out or read of that split.
    patience
        Stop after so many epochs without a higher accuracy of the validation samples; "none": train all epochs.
    augment
        Train on a new variant of each sample in every epoch: epoch e, from 0, on copy e, encoded from the source by the
        store's chain. Validation and test samples stay as they are.
    test_every
        Epochs between evaluations of the test split, which is reported and never chosen by; 0: only at the end.
    precision
        Of weights and membranes.
    optim
        The optimiser.
    rule
        The learning rule, with its settings.
    """

    owner: ClassVar[str] = "training"

    arch: str = "800"
    channels: Channels = "auto"
    epochs: Annotated[int, Meta(ge=1, le=10**6)] = 15
    batch: Annotated[int, Meta(ge=1, le=2**20)] = 32
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    init: SpreadPerLayer = 1.0
    boost: bool = False
    class_weights: ClassWeights = None
    dropout: SharePerLayer = 0.0
    validation: Share = 0.05
    patience: Annotated[int, Meta(ge=1, le=10**6)] | None = None
    augment: bool = False
    test_every: Natural = 1
    precision: Literal["float32", "float64"] = "float32"
    optim: OptimiserSettings = field(default_factory=OptimiserSettings)
    rule: LearningRule = field(default_factory=_default_rule)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience is not None and not self.validation:
            raise UsageError(
                f"got patience = {self.patience} with validation = 0",
                "validation samples, whose accuracy is watched",
                "Raise validation, or set patience to none.",
            )
        layers = len(parse_arch(self.arch)) + 1
        check_layers("init", self.init, layers)
        check_layers("dropout", self.dropout, layers)
        check_layers("optim.regularisation.strength", self.optim.regularisation.strength, layers)
        self.rule.check_layers(layers)

    def to_json(self) -> dict[str, Any]:
        """Return the settings of training and rule in one namespace, JSON-ready; `rule` is the rule's name."""
        tree = super().to_json()
        return tree | self.rule.to_json() | {"rule": self.rule.name}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build from what `to_json` returned, or from a part of it.

        Raises
        ------
        UsageError
            A name is of neither training nor the rule (the hint names the nearest one, or the rule that has it), or a
            value is not allowed.
        """
        name = value.get("rule", DEFAULT_RULE)
        if not isinstance(name, str):
            raise UsageError(f"got rule = {config.excerpt(name)}", "the name of a learning rule")
        rule = RULES.get(name)
        own, general = config.hints(rule), config.hints(cls)
        if shared := sorted(set(own) & set(general)):
            raise UsageError(
                f"the learning rule {name!r} has the setting {shared[0]!r}, which training has too",
                "settings of other names: both share one namespace",
                f"Rename {rule.__name__}.{shared[0]}.",
            )
        unknown = [key for key in value if key not in own and key not in general]
        _refuse_foreign(config.leaves({key: value[key] for key in unknown}), name)
        if unknown:
            known = [setting.name for setting in describe_settings(name)]
            raise UsageError(
                f"training has no setting {config.excerpt(unknown[0])}", "", near_miss(str(unknown[0]), known)
            )
        settings = {key: item for key, item in value.items() if key in general and key != "rule"}
        made: Self = config.build(
            cls, settings | {"rule": config.build(rule, {k: v for k, v in value.items() if k in own})}
        )
        return made

    def override(self, changes: Mapping[str, Any]) -> Self:
        """Return the settings with some changed: dotted name → value, or nested mappings, as a recipe has them.

        Another rule brings its own defaults (`LearningRule.defaults`).

        Raises
        ------
        UsageError
            A name is unknown (the hint names the nearest one) or another rule's, or a value is not allowed.
        PluginError
            A name or a value among the defaults of the rule is.
        """
        name = changes.get("rule", self.rule.name)
        base, rule_defaults = self, {}
        if name != self.rule.name:
            rule = RULES.get(str(name))
            base, rule_defaults = replace(self, rule=rule()), rule.defaults
        if not rule_defaults:
            return base._changed(changes)
        try:
            return base._changed({**rule_defaults, **config.leaves(changes)})
        except UsageError as error:
            base._changed(changes)  # raises where the changes are to blame
            got = f"the defaults of the learning rule {name} do not fit: {error.got}"
            raise broken_plugin(type(base.rule), got, error.expected) from error

    def _changed(self, changes: Mapping[str, Any]) -> Self:
        tree = self.to_json()
        _refuse_foreign(config.leaves(changes).keys() - config.leaves(tree).keys(), self.rule.name)
        return self.from_json(config.overridden(tree, changes, "training"))


def _refuse_foreign(unknown: Iterable[str], rule: str) -> None:
    """Raise `UsageError` where one of some names, which `rule` does not know, is a setting of another rule."""
    names = sorted(map(str, unknown))
    for other in RULES.names() if names else ():
        settings: set[str] = set()
        with suppress(SpikeprepError):  # a plugin that cannot be loaded
            settings = {setting.name for setting in config.describe(RULES.get(other))}
        for name in names:
            if name in settings:
                raise UsageError(
                    f"{name} belongs to the rule {other}, and this run uses {rule}",
                    f"settings of training and of {rule}",
                    f"Leave {name} out, or use rule={other}.",
                )


def describe_settings(rule: str = DEFAULT_RULE) -> Iterator[Setting]:
    """Yield every setting of training under a learning rule: dotted name, what is allowed, default, meaning."""
    cls = RULES.get(rule)
    for setting in config.describe(TrainSettings):
        if setting.name != "rule":
            yield replace(setting, default=cls.defaults.get(setting.name, setting.default))
    yield Setting("rule", "a name of `spikeprep list rules`", DEFAULT_RULE, "The learning rule.")
    yield from config.describe(cls)
