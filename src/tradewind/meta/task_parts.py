"""Training, validation and test tasks apart: in time with an embargo between them, and in symbols where there are enough.

The parts lie one after the other in time; a row belongs to a part when its label ends inside it, and the first `embargo` rows of the later
parts belong to nobody, so that neither a label nor the window of an input reaches from one part into the other (Lopez de Prado 2018,
Advances in Financial Machine Learning, section 7.4). Which symbols are held out follows from their names alone, so that distributions with
other seeds hold out the same ones. Costs nothing. Fails to keep markets apart that move together: a symbol held out at another time is
still the same asset class, and an average without end, such as an EMA, remembers a little across every embargo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from tradewind.core.errors import DataError
from tradewind.core.limits import fraction, whole
from tradewind.core.seeds import derive
from tradewind.core.settings import require

__all__ = ["SPLITS", "Division", "Part", "check_shares", "divide"]

SPLITS: Final = ("train", "validation", "test")
FEWEST: Final = 5
"""Symbols from which on some are held out."""


@final
@dataclass(frozen=True)
class Part:
    """Rows from `first` to before `stop`, in which inputs and the ends of labels lie, of the symbols in `columns`."""

    first: int
    stop: int
    columns: tuple[int, ...]


@final
@dataclass(frozen=True)
class Division:
    """The three parts; `by_symbol` tells whether they are apart in symbols too, or in time alone."""

    train: Part
    validation: Part
    test: Part
    by_symbol: bool

    def part(self, split: str) -> Part:
        """The part called `split`, one of SPLITS."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


def check_shares(shares: Sequence[float]) -> None:
    """Raise SettingsError unless these are three shares of the bars that sum to one."""
    require(len(shares) == 3, f"parts are {tuple(shares)}; they are three shares, of train, validation and test")
    for share in shares:
        fraction(parts=share)
    require(abs(sum(shares) - 1.0) < 1e-9, f"parts are {tuple(shares)}, which sum to {sum(shares):g}; they sum to 1")


def divide(bars: int, symbols: Sequence[str], shares: Sequence[float], held_out: float, embargo: int, need: int = 1) -> Division:
    """`bars` rows in three parts of `shares`, and `symbols` in three groups when there are at least 5 and `need` for each.

    A share `held_out` of the symbols goes to validation and as many to test, `need` or more of each; where that leaves too few to learn
    from, or `held_out` is 0, every part has all symbols. Raises DataError where the embargo leaves nothing of a part.
    """
    check_shares(shares)
    fraction(zero=True, held_out=held_out)
    whole(least=0, embargo=embargo)
    first, second = int(bars * shares[0]), int(bars * (shares[0] + shares[1]))
    spans = ((0, first), (first + embargo, second), (second + embargo, bars))
    for split, (start, stop) in zip(SPLITS, spans, strict=True):
        if start >= stop:
            raise DataError(
                f"{bars} bars leave none to the {split} part behind an embargo of {embargo}; give more bars, a shorter embargo or window"
            )
    groups, by_symbol = _groups(symbols, held_out, need)
    train, validation, test = (Part(start, stop, group) for (start, stop), group in zip(spans, groups, strict=True))
    return Division(train, validation, test, by_symbol)


def _groups(symbols: Sequence[str], held_out: float, need: int) -> tuple[tuple[tuple[int, ...], ...], bool]:
    everyone = tuple(range(len(symbols)))
    held = max(need, round(held_out * len(symbols)))
    left = len(symbols) - 2 * held
    if held_out == 0 or len(symbols) < FEWEST or left < max(need, held):
        return (everyone, everyone, everyone), False
    order = sorted(everyone, key=lambda column: (derive(0, "held out", symbols[column]), symbols[column]))
    groups = (order[:left], order[left : left + held], order[left + held :])
    return tuple(tuple(sorted(group)) for group in groups), True
