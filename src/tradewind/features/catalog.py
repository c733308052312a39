"""Names of features and sets of them: `rsi_9`, `ema_12`, `return_96` and `macd_5_35_5` resolve by pattern, not from a table.

A name is a stem and numbers, which count bars; numbers left out take their customary values. Names and sets may be added up, such as
`relative+regime`. Definitions are TA-Lib's where it has one.
Unknown names are SettingsErrors with a suggestion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, final

import numpy as np

from tradewind.core.errors import SettingsError
from tradewind.core.settings import choose, require, suggest
from tradewind.core.types import Array
from tradewind.features.custom import Feature
from tradewind.features.declarations import INDICATORS, Indicator, Kernel
from tradewind.regimes.mapping import SEVEN

__all__ = ["CALENDAR", "SETS", "Chosen", "Indicated", "Wanted", "describe", "names", "resolve", "sets"]

_NAME: Final = re.compile(r"([a-z][a-z_]*[a-z]|[a-z])((?:_[0-9]{1,5})*)")
_STEMS: Final[dict[str, tuple[Indicator, int]]] = {
    stem: (indicator, output) for indicator in INDICATORS for output, stem in enumerate(indicator.outputs) if stem
}

CALENDAR: Final = tuple(f"{unit}_{wave}" for unit in ("hour", "weekday", "day_of_month", "month") for wave in ("sine", "cosine"))
"""Columns that the clock alone tells, and that are therefore known of bars to come."""
_S0: Final = (
    *("rsi_7", "rsi_14", "rsi_21", "macd", "macd_signal", "macd_hist"),
    *("bb_upper_20", "bb_lower_20", "bb_width_20", "bb_upper_50", "bb_lower_50", "bb_width_50"),
    *("atr_14", "obv", "stoch_k", "stoch_d", "cci_20", "adx_14", "williams_r_14", "volume_ratio_20", "volume_std_20"),
    *("return_5", "return_10", "return_20", "return_50", "volatility_20", "volatility_50"),
)
_RELATIVE: Final = (
    *("return_1", "return_5", "return_10", "return_20", "return_50", "volatility_20", "volatility_50"),
    *("rsi_7", "rsi_14", "rsi_21", "bb_width_20", "bb_percent_20", "bb_width_50", "bb_percent_50", "natr_14"),
    *("ema_distance_50", "ema_distance_200", "stoch_k", "stoch_d", "cci_20", "adx_14", "plus_di_14", "minus_di_14"),
)
SETS: Final[dict[str, tuple[str, ...]]] = {
    "standard": (
        *_S0[:6],
        *(f"bb_{part}_{window}" for window in (20, 50) for part in ("upper", "middle", "lower", "width", "percent")),
        *("atr_14", "obv", "stoch_k", "stoch_d", "cci_20", "adx_14", "plus_di_14", "minus_di_14", "williams_r_14"),
        *("ema_50", "ema_200", "volume_ratio_20", "volume_std_20", "return_1"),
        *_S0[-6:],
        *CALENDAR,
    ),
    "price-action": (
        *("open", "high", "low", "close", "volume", "rsi_14", "atr_14", "ema_50", "ema_200"),
        *("bb_middle", "bb_upper", "bb_lower", "bb_width", "bb_percent"),
    ),
    "s0": _S0,
    "relative": (*_RELATIVE, "volume_ratio_20", *CALENDAR),
    "relative-price": (*_RELATIVE, *CALENDAR),
    "regime": tuple(f"regime_{name}" for name in SEVEN),
}
"""`standard`: the classic columns and the calendar. `price-action`: what the PriceActionTransformer reads. `s0`: 27 columns to measure
speed with. `relative`: columns without scale, to learn across symbols and years; `relative-price`: the same for markets without volume.
`regime`: the probabilities of the seven regimes by rules."""


@final
@dataclass(frozen=True)
class Indicated:
    """A built-in feature, resolved: which output of which kernel at which parameters. Features of one `group` share a kernel call."""

    name: str
    inputs: tuple[str, ...]
    warmup: int
    kernel: Kernel = field(repr=False)
    output: int
    outputs: int
    state: int
    lookback: int
    lanes: int
    parameters: Array = field(repr=False)
    group: tuple[Any, ...] = field(repr=False)


Chosen: TypeAlias = Indicated | Feature
Wanted: TypeAlias = "str | Feature | Sequence[str | Feature]"
"""What features are asked for: the name of a set, one name, several of both with + between, one decorated function, or a list of any."""


def sets() -> list[str]:
    """The names of the sets that `compute`, `Stream` and `Live` know."""
    return sorted(SETS)


def names(wanted: Wanted | None = None) -> tuple[str, ...]:
    """The names of the features in a set or list; without one, the stems that names begin with."""
    return tuple(sorted(_STEMS)) if wanted is None else tuple(chosen.name for chosen in resolve(wanted))


def describe(name: str) -> str:
    """One line about a feature: what it is, its inputs and its warm-up in bars. Raises SettingsError when it is unknown."""
    chosen = _indicated(name)
    about = _STEMS[_parts(name)[0]][0].about
    return f"{name}: {about}; of {', '.join(chosen.inputs)}; first value after {chosen.warmup} bars"


def resolve(wanted: Wanted) -> tuple[Chosen, ...]:
    """The features asked for, in order. Raises SettingsError for an unknown or repeated name, an impossible number, or an empty list."""
    asked = (wanted,) if isinstance(wanted, str | Feature) else tuple(wanted)
    parts = [part for name in asked for part in (name.split("+") if isinstance(name, str) else (name,))]
    flat = [item for part in parts for item in (SETS.get(part, (part,)) if isinstance(part, str) else (part,))]
    chosen = tuple(item if isinstance(item, Feature) else _indicated(item) for item in flat)
    require(bool(chosen), f"no features asked for; name some, such as 'rsi_14', or a set: {', '.join(SETS)}")
    seen: set[str] = set()
    for item in chosen:
        require(item.name not in seen, f"feature {item.name!r} is asked for twice; leave one out")
        seen.add(item.name)
    return chosen


def _parts(name: str) -> tuple[str, tuple[int, ...]]:
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in _STEMS:
        known = [*SETS, *_STEMS, *(column for members in SETS.values() for column in members)]
        raise SettingsError(f"unknown feature {name!r}{suggest(name, known)}; a name is a stem and numbers of bars, such as rsi_14")
    return match[1], tuple(int(number) for number in match[2].split("_")[1:])


def _indicated(name: object) -> Indicated:
    if not isinstance(name, str):
        raise SettingsError(f"{name!r} is no feature; give a name, or a function decorated with tradewind.features.feature")
    stem, given = _parts(name)
    indicator, output = choose(stem, _STEMS, "feature")
    takes = len(indicator.defaults)
    require(len(given) <= takes, f"feature {name!r} has {len(given)} numbers; {stem} takes at most {takes}, such as {_example(stem)}")
    numbers = given + indicator.defaults[len(given) :]
    require(all(n >= indicator.least for n in numbers), f"feature {name!r}: its numbers must be at least {indicator.least}")
    require(indicator.valid(numbers), f"feature {name!r}: {indicator.rule}")
    parameters = np.asarray(indicator.parameters(numbers), dtype=np.float64)
    return Indicated(
        name=name,
        inputs=indicator.inputs,
        warmup=indicator.warmups(numbers)[output],
        kernel=indicator.kernel,
        output=output,
        outputs=len(indicator.outputs),
        state=indicator.state(numbers),
        lookback=max(1, indicator.lookback(numbers)),
        lanes=indicator.lanes,
        parameters=parameters,
        group=(id(indicator.kernel), parameters.tobytes()),
    )


def _example(stem: str) -> str:
    return "_".join([stem, *map(str, _STEMS[stem][0].defaults)])
