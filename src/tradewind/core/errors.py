"""Every error that tradewind raises on purpose.

```
TradewindError
├── SettingsError (ValueError)     a setting or argument is unknown, impossible or out of range
├── DataError (ValueError)         bars, frames or files cannot be used as they are
│   ├── QualityError               bars break a rule of markets; `.report` counts each kind
│   └── Corrupt                    the bytes of a file are not the bytes that were written
├── StateError (ValueError)        a saved state does not fit the object that restores it
├── NotFitted (RuntimeError)       predict or decide was called before fit
├── MissingExtra (ImportError)     an optional dependency is absent; names the extra to install
├── ExchangeError (RuntimeError)   an exchange answered with an error or not at all
└── CheckFailed (AssertionError)   a strategy, forecaster or feature broke a promise; `.check`, `.bar`
```

A message says what is wrong, where (file, column, row, bar), and what to do about it. The command line prints it as
one line and exits with 2.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CheckFailed",
    "Corrupt",
    "DataError",
    "ExchangeError",
    "MissingExtra",
    "NotFitted",
    "QualityError",
    "SettingsError",
    "StateError",
    "TradewindError",
]


class TradewindError(Exception):
    """Root of the tree: catch this to catch everything that tradewind raises on purpose."""


class SettingsError(TradewindError, ValueError):
    """A setting or argument is unknown, impossible or out of range."""


class DataError(TradewindError, ValueError):
    """Bars, frames or files cannot be used as they are."""


class QualityError(DataError):
    """Bars break a rule of markets; `report` holds the counts and first rows of each kind."""

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class Corrupt(DataError):
    """The bytes of a file are not the bytes that were written."""


class StateError(TradewindError, ValueError):
    """A saved state does not fit the object that restores it."""


class NotFitted(TradewindError, RuntimeError):
    """`predict` or `decide` was called before `fit`."""


class MissingExtra(TradewindError, ImportError):
    """An optional dependency is absent."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'tradewind[{extra}]'")
        self.package, self.extra = package, extra


class ExchangeError(TradewindError, RuntimeError):
    """An exchange answered with an error, or not at all."""


class CheckFailed(TradewindError, AssertionError):
    """A strategy, forecaster or feature broke a promise: which `check`, and at which `bar` (None when no bar is at fault)."""

    def __init__(self, check: str, message: str, bar: int | None = None) -> None:
        super().__init__(f"{check}: {message}")
        self.check, self.bar = check, bar
