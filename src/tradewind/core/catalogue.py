"""`Catalogue`: things that are made by name from a class and its config, or by a user's own factory; each loads when first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, final

from tradewind.core.errors import SettingsError
from tradewind.core.settings import choose, load, require

__all__ = ["Catalogue", "Entry", "tuples"]

Factory = Callable[..., Any]


@final
@dataclass(frozen=True)
class Entry:
    """Where a class and its config are, `module:Class:Config` inside the catalogue's package (`module:Class` where the class takes its
    settings as keywords), or a factory; and one line about it."""

    home: str | Factory
    description: str


@final
class Catalogue:
    """Entries of one kind, such as `agent`, by name. `package` holds the built-in ones; `methods` is what whatever is made has to have,
    and `mend` says how one gets it."""

    def __init__(self, kind: str, package: str, entries: Mapping[str, Entry], methods: Iterable[str], mend: str) -> None:
        self.kind, self.package, self.mend = kind, package, mend
        self.entries: dict[str, Entry] = dict(entries)
        self.methods: Final = tuple(methods)

    def names(self) -> list[str]:
        """Every name, the registered ones last."""
        return list(self.entries)

    def descriptions(self) -> dict[str, str]:
        """One line about each name."""
        return {name: entry.description for name, entry in self.entries.items()}

    def register(self, name: str, factory: Factory) -> None:
        """Know `factory` by `name`. Raises SettingsError when the name is empty or taken by something else."""
        require(bool(name), f"a name of the {self.kind} is empty; give it one")
        taken = self.entries.get(name)
        require(taken is None or taken.home is factory, f"the {self.kind} name {name!r} is taken; choose another")
        first_line = (factory.__doc__ or "").strip().partition("\n")[0]
        self.entries[name] = Entry(factory, first_line or f"{factory.__module__}.{factory.__qualname__}")

    def find(self, name: str) -> tuple[Factory, Factory | None]:
        """What makes the thing called `name`, or your own at `my_module:make`, and the class of its config: the attribute `Config` of your
        own, None where there is none. Raises SettingsError, with the nearest known word, for an unknown name."""
        home = load(name) if ":" in name else choose(name, self.entries, self.kind).home
        if not isinstance(home, str):
            return home, getattr(home, "Config", None)
        module_name, class_name, *config_name = home.split(":")
        module = importlib.import_module(f"{self.package}.{module_name}")
        return getattr(module, class_name), getattr(module, config_name[0]) if config_name else None

    def configurable(self, name: str) -> Mapping[str, Any]:
        """The settings of what `name` makes, with their defaults; empty where it has no config."""
        _, config = self.find(name)
        if config is None or not is_dataclass(config):
            return {}
        made = config()
        return {field.name: getattr(made, field.name) for field in fields(made)}

    def checked(self, made: Any, name: str) -> Any:
        """`made` itself. Raises SettingsError when it lacks one of `methods`."""
        lacking = [method for method in self.methods if not callable(getattr(made, method, None))]
        if lacking:
            raise SettingsError(f"{name} makes a {type(made).__name__}, which lacks {', '.join(lacking)}; {self.mend}")
        return made


def tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with tuples for lists, so that they may come from JSON."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
