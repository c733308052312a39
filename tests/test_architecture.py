"""The house rules of docs/architecture.md, read from the source itself: every test walks every file of the package."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tradewind

ROOT = Path(tradewind.__file__).parent
FLOORS = {
    "core": 1,
    **dict.fromkeys(("data", "features", "labels", "nets", "simulate", "stats", "regimes", "portfolio"), 2),
    **dict.fromkeys(("models", "venues", "rl", "meta"), 3),
    **dict.fromkeys(("engine", "strategies"), 4),
    **dict.fromkeys(("evaluate", "checks", "serve", "ensemble"), 5),
    **dict.fromkeys(("cli", "__main__"), 6),
}
PURE = {
    "features": {"numba"},
    "labels": {"numba"},
    "simulate": {"numba"},
    "stats": {"numba", "scipy"},
    "regimes": {"numba"},
    "portfolio": {"numba"},
    "nets": {"numba", "torch"},
    "rl": {"numba", "torch", "gymnasium"},
    "meta": {"numba", "torch"},
}
"""Packages that may stand on numpy and these alone, so that they run on a bare GPU machine."""
AT_HOME = {
    "duckdb": "data/",
    "polars": "data/",
    "pyarrow": "data/",
    "ccxt": "data/exchange.py",
    "mlflow": "serve/tracking.py",
    "optuna": "evaluate/tuning/study.py",
    "lightgbm": "models/boosting.py",
    "xgboost": "models/xgboost.py",
    "catboost": "models/catboost.py",
}
"""Where a package may be imported when the module is; elsewhere only inside functions that somebody asks for a frame."""
LONGEST_FILE, LONGEST_FUNCTION, LONG_FUNCTION, SHARE_OF_SHORT = 350, 60, 40, 0.95
# fmt: off
WRITERS = {
    "write_text", "write_bytes", "write_parquet", "write_csv", "write_ipc", "write_table", "write_html", "write_image", "to_csv",
    "to_parquet", "to_pickle", "savez", "savez_compressed", "savetxt", "savefig", "tofile", "save_model", "touch", "rename", "replace",
    "symlink_to",
}
# fmt: on
WRITING = {"np.save", "json.dump", "os.replace", "os.rename", "shutil.move", "shutil.copy", "shutil.copyfile"}
MODERN_RANDOM = {"Generator", "SeedSequence", "default_rng", "BitGenerator", "PCG64", "Philox"}
HOOKS = {"Strategy", "Forecaster"}
ALGORITHMS = ("stats", "labels", "nets", "models", "features", "simulate", "regimes", "portfolio")
# fmt: off
PLUMBING = {
    "__init__.py", "base.py", "registry.py", "account.py", "batch.py", "catalog.py", "checkpoint.py", "contributions.py", "costs.py",
    "custom.py", "declarations.py", "device.py", "driver.py", "pipeline.py", "rows.py", "stream.py", "sweep.py",
}
# fmt: on
"""Files of those packages that carry an algorithm's inputs and outputs about and have none of their own."""


@cache
def source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(source(path), filename=str(path))


def files(folder: str = "") -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


MODULES = {name_of(path): path for path in files()}


def floor(module: str) -> int:
    return FLOORS[module.split(".")[1]]


def for_typing_only(path: Path) -> set[int]:
    """The ids of nodes under `if TYPE_CHECKING:`."""
    hidden: set[int] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            hidden |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    return hidden


def in_functions(path: Path) -> set[int]:
    """The ids of nodes inside functions."""
    inside: set[int] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside |= {id(inner) for inner in ast.walk(node)} - {id(node)}
    return inside


def imports(path: Path, typing: bool = False) -> Iterator[tuple[ast.stmt, str, str]]:
    """Every import: its node, the module, and the name taken out of it, relative ones resolved, lazy ones too."""
    hidden = set() if typing else for_typing_only(path)
    package = name_of(path).split(".") if path.name == "__init__.py" else name_of(path).split(".")[:-1]
    for node in ast.walk(tree(path)):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield from ((node, module, alias.name) for alias in node.names)


def house_imports(path: Path, typing: bool = False) -> Iterator[tuple[int, str, str]]:
    """Line, module of the house, and name for every import from within the house."""
    for node, module, name in imports(path, typing):
        if module.split(".")[0] == "tradewind":
            deeper = f"{module}.{name}"
            yield node.lineno, (deeper if deeper in MODULES else module), name


def calls(path: Path) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def dotted(node: ast.expr) -> str:
    """`np.random.rand` of the expression that says so; "" of any other."""
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]


def report(broken: list[str]) -> None:
    assert not broken, "\n" + "\n".join(broken)


# -- imports ----------------------------------------------------------------------------------------------------------
def test_every_module_has_a_floor() -> None:
    assert {module.split(".")[1] for module in MODULES if module != "tradewind"} <= set(FLOORS)


def test_imports_point_down() -> None:
    broken = []
    for module, path in MODULES.items():
        if module == "tradewind":
            continue
        for line, target, name in house_imports(path, typing=True):
            if target == "tradewind":
                if name != "__version__" and floor(module) < 6:
                    broken.append(f"{short(path)}:{line} imports {name} from the public face; import it from where it lives")
            elif floor(target) > floor(module):
                broken.append(f"{short(path)}:{line} (floor {floor(module)}) imports {target} (floor {floor(target)})")
    report(broken)


def test_the_ensemble_stands_under_those_who_judge_it() -> None:
    judges = {"evaluate", "checks", "serve"}
    report(
        [
            f"{short(path)}:{line} imports {target}"
            for path in files("ensemble")
            for line, target, _ in house_imports(path, typing=True)
            if target.partition(".")[2].partition(".")[0] in judges
        ]
    )


def test_no_import_circles() -> None:
    graph = {
        module: {target for _, target, _ in house_imports(path) if target not in (module, "tradewind")} for module, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_pure_packages_stand_on_numpy() -> None:
    standard = {"numpy", "tradewind", *sys.stdlib_module_names}
    broken = []
    for package, allowed in PURE.items():
        for path in files(package):
            lazy = in_functions(path)
            for node, module, _ in imports(path):
                root = module.split(".")[0]
                frame = root == "polars" and id(node) in lazy
                if root not in standard | allowed and not frame:
                    broken.append(f"{short(path)}:{node.lineno} imports {root}")
    report(broken)


def test_heavy_packages_are_imported_where_they_live() -> None:
    broken = []
    for path in files():
        lazy = in_functions(path)
        for node, module, name in imports(path):
            root = module.split(".")[0]
            home = AT_HOME.get(root)
            if home and not short(path).startswith(home) and id(node) not in lazy:
                broken.append(f"{short(path)}:{node.lineno} imports {root} at its head")
            if root == "numba" and short(path) != "core/compiled.py" and name != "prange":
                broken.append(f"{short(path)}:{node.lineno} imports numba; compile with core.compiled")
            if root == "torch" and not short(path).startswith(("nets/", "models/", "rl/", "meta/")) and id(node) not in lazy:
                broken.append(f"{short(path)}:{node.lineno} imports torch at its head")
    report(broken)


# -- size and form ----------------------------------------------------------------------------------------------------
def test_files_are_short() -> None:
    lengths = {short(path): len(source(path).splitlines()) for path in files()}
    report([f"{path} has {length} lines" for path, length in lengths.items() if length > LONGEST_FILE])


def test_functions_are_short() -> None:
    lengths = {f"{short(path)}:{f.lineno} {f.name}": (f.end_lineno or 0) - f.lineno + 1 for path in files() for f in functions(path)}
    report([f"{place} has {length} lines" for place, length in lengths.items() if length > LONGEST_FUNCTION])
    long = {place: length for place, length in lengths.items() if length > LONG_FUNCTION}
    assert len(long) <= (1 - SHARE_OF_SHORT) * len(lengths), long


def test_classes_are_abstract_or_final() -> None:
    broken = []
    for path in files():
        for node in classes(path):
            bases = {dotted(base.value if isinstance(base, ast.Subscript) else base).split(".")[-1] for base in node.bases}
            marks = {dotted(mark.func if isinstance(mark, ast.Call) else mark).split(".")[-1] for mark in node.decorator_list}
            error = any(base.endswith(("Error", "Exception")) for base in bases)
            if "final" not in marks and not bases & {"ABC", "Protocol", "TypedDict"} and not error:
                broken.append(f"{short(path)}:{node.lineno} class {node.name} is neither abstract nor @final")
    report(broken)


def test_no_implemented_method_is_overridden() -> None:
    table = {node.name: node for path in files() for node in classes(path)}

    def implemented(node: ast.ClassDef) -> set[str]:
        methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
        found = {m.name for m in methods if not any("abstract" in dotted(mark) for mark in m.decorator_list)}
        return found if not any(dotted(base).endswith("Protocol") for base in node.bases) else set()

    broken = []
    for path in files():
        for node in classes(path):
            for base in (table.get(dotted(b).split(".")[-1]) for b in node.bases):
                if base is not None and base.name not in HOOKS:
                    again = implemented(base) & {m.name for m in node.body if isinstance(m, ast.FunctionDef)} - {"__init__"}
                    broken += [f"{short(path)}:{node.lineno} {node.name} overrides {base.name}.{name}" for name in sorted(again)]
    report(broken)


def test_public_names_are_listed() -> None:
    broken = []
    for module, path in MODULES.items():
        body = tree(path).body
        public = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")}
        # A command of the command line is public by being registered, not by being imported.
        public = {name: node for name, node in public.items() if not any("command" in ast.dump(mark) for mark in node.decorator_list)}
        listed = next((node for node in body if isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in ast.dump(node)), None)
        if listed is None:
            broken += [f"{short(path)} has no __all__"] if public else []
            continue
        names = {node.value for node in ast.walk(listed) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        broken += [f"{short(path)}:{node.lineno} {name} is public and not in __all__" for name, node in public.items() if name not in names]
        if path.name != "__init__.py":
            known = {n.id for n in ast.walk(tree(path)) if isinstance(n, ast.Name)} | set(public)
            known |= {alias.asname or alias.name for n in ast.walk(tree(path)) if isinstance(n, ast.ImportFrom) for alias in n.names}
            broken += [f"{short(path)} lists {name} in __all__, which {module} does not have" for name in sorted(names - known)]
    report(broken)


def test_names_are_the_fields_own() -> None:
    pattern = re.compile(r"Manager|Helper|Util", re.IGNORECASE)
    named = [(short(path), node.name) for path in files() for node in [*classes(path), *functions(path)]]
    report([f"{place}: {name}" for place, name in [*named, *((short(p), p.stem) for p in files())] if pattern.search(name)])


# -- what is written at the head ----------------------------------------------------------------------------------------
def test_every_module_and_public_name_is_documented() -> None:
    broken = []
    for path in files():
        if source(path).strip() and not ast.get_docstring(tree(path)):
            broken.append(f"{short(path)} has no docstring")
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node):
                broken.append(f"{short(path)}:{node.lineno} {node.name} has no docstring")
    report(broken)


def test_algorithm_files_say_what_they_cost_and_when_they_fail() -> None:
    broken = []
    for path in (path for package in ALGORITHMS for path in files(package) if path.name not in PLUMBING):
        text = ast.get_docstring(tree(path)) or ""
        computes = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree(path).body)
        for word in ("cost", "fail") if computes else ():
            if word not in text.lower():
                broken.append(f"{short(path)}: its docstring does not say {'what it costs' if word == 'cost' else 'when it fails'}")
    report(broken)


# -- what nobody calls ----------------------------------------------------------------------------------------------------
def test_nothing_is_unpickled_or_evaluated() -> None:
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    forbidden = {"eval", "exec", "__import__", "torch.load", "torch.save", "yaml.load", "np.loadtxt"}
    broken = []
    for path in files():
        broken += [f"{short(path)}:{n.lineno} imports {m}" for n, m, _ in imports(path) if m.split(".")[0] in modules]
        for call in calls(path):
            name = dotted(call.func)
            unsafe = name == "np.load" and not any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in call.keywords)
            if name in forbidden or unsafe or any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in call.keywords):
                broken.append(f"{short(path)}:{call.lineno} calls {name}")
    report(broken)


def test_no_global_random_state() -> None:
    broken = []
    for path in files():
        listens = short(path) == "checks/surroundings.py"  # it compares and puts back the global states, to hear whether others touch them
        broken += [
            f"{short(path)}:{n.lineno} imports random" for n, m, _ in imports(path) if m in ("random", "secrets", "uuid") and not listens
        ]
        for node in (n for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute)):
            match = re.fullmatch(r"(?:np|numpy)\.random\.(\w+)", dotted(node))
            if match and match[1] not in MODERN_RANDOM and not (listens and match[1] in ("get_state", "set_state")):
                broken.append(f"{short(path)}:{node.lineno} uses {dotted(node)}")
        for call in calls(path):
            if dotted(call.func).endswith("default_rng") and not call.args:
                broken.append(f"{short(path)}:{call.lineno} makes a generator without a seed")
    report(broken)


def test_time_comes_from_the_clock() -> None:
    broken = []
    for path in files():
        if short(path) == "core/clock.py":
            continue
        broken += [f"{short(path)}:{n.lineno} imports time" for n, m, _ in imports(path) if m == "time"]
        for call in calls(path):
            if re.search(r"(^|\.)(datetime|date)\.(now|utcnow|today|utcfromtimestamp)$|Timestamp\.now$", dotted(call.func)):
                broken.append(f"{short(path)}:{call.lineno} calls {dotted(call.func)}")
            if dotted(call.func).endswith("datetime64") and call.args and ast.unparse(call.args[0]) in ("'now'", "'today'"):
                broken.append(f"{short(path)}:{call.lineno} asks numpy for the time")
    report(broken)


def test_errors_are_not_swallowed() -> None:
    broken = []
    for path in files():
        for node in (n for n in ast.walk(tree(path)) if isinstance(n, ast.ExceptHandler)):
            broad = node.type is None or dotted(node.type) in ("Exception", "BaseException")
            if node.type is None or (broad and all(isinstance(s, ast.Pass | ast.Continue) for s in node.body)):
                broken.append(f"{short(path)}:{node.lineno} swallows every error")
        for call in calls(path):
            if dotted(call.func).endswith("suppress") and any(dotted(a) in ("Exception", "BaseException") for a in call.args):
                broken.append(f"{short(path)}:{call.lineno} suppresses every error")
    report(broken)


def handed_to_write_with(path: Path) -> set[int]:
    """The ids of nodes in functions and lambdas that are given to `write_with` or `through_file`, which see to what they write."""
    inside: set[int] = set()
    given: set[str] = set()
    for call in calls(path):
        if dotted(call.func).split(".")[-1] in ("write_with", "through_file"):
            for argument in (*call.args, *(k.value for k in call.keywords)):
                given |= {node.id for node in ast.walk(argument) if isinstance(node, ast.Name)}
                inside |= {id(node) for node in ast.walk(argument)}
    for function in functions(path):
        if function.name in given:
            inside |= {id(node) for node in ast.walk(function)}
    return inside


def names_of_buffers(path: Path) -> set[str]:
    """Variables that hold an `io.BytesIO()`: writing there writes no file."""
    made = (n for n in ast.walk(tree(path)) if isinstance(n, ast.Assign) and isinstance(n.value, ast.Call))
    return {t.id for n in made if dotted(n.value.func) in ("io.BytesIO", "io.StringIO") for t in n.targets if isinstance(t, ast.Name)}


def test_files_are_written_by_core_files_alone() -> None:
    broken = []
    for path in files():
        if short(path) == "core/files.py":
            continue
        atomic, buffers = handed_to_write_with(path), names_of_buffers(path)
        for call in calls(path):
            name, method = dotted(call.func), call.func.attr if isinstance(call.func, ast.Attribute) else ""
            texts = [
                a.value for a in (*call.args, *(k.value for k in call.keywords)) if isinstance(a, ast.Constant) and isinstance(a.value, str)
            ]
            opens = (name == "open" or method == "open") and any(re.fullmatch(r"[rwaxbt+]*[wax+][rwaxbt+]*", text) for text in texts)
            # `replace` of text and dataclasses takes two arguments or keywords; that of a Path takes one.
            path_method = method in ("rename", "replace") and (len(call.args) != 1 or bool(call.keywords))
            writes = (
                method in WRITERS and not path_method and not name.startswith(("files.", "dataclasses.", "json.")) and name != "replace"
            )
            in_memory = any(isinstance(a, ast.Name) and a.id in buffers for a in call.args)
            opens = opens or (name == "os.open" and bool(re.search("O_WRONLY|O_RDWR|O_CREAT", ast.unparse(call))))
            if (opens or writes or name in WRITING) and not in_memory and id(call) not in atomic:
                broken.append(f"{short(path)}:{call.lineno} writes by {name or method}; use core.files")
    report(broken)


def test_kernels_call_kernels_of_their_own_file() -> None:
    broken = []
    for path in files():
        foreign = {name for _, module, name in house_imports(path) if not module.endswith(".compiled")}
        for function in functions(path):
            marks = {dotted(mark).split(".")[-1] for mark in function.decorator_list}
            if marks & {"kernel", "parallel_kernel", "inline_kernel"}:
                called = {dotted(node.func).split(".")[0] for node in ast.walk(function) if isinstance(node, ast.Call)}
                broken += [
                    f"{short(path)}:{function.lineno} {function.name} calls {name} of another file" for name in sorted(called & foreign)
                ]
    report(broken)


# -- the rules themselves -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("def f(p):\n    open(p, 'w')\n", "test_files_are_written_by_core_files_alone"),
        ("def f(p):\n    p.write_text('x')\n", "test_files_are_written_by_core_files_alone"),
        ("def f(p, q):\n    q.replace(p)\n", "test_files_are_written_by_core_files_alone"),
        ("import pickle\n", "test_nothing_is_unpickled_or_evaluated"),
        ("def f(p):\n    return np.load(p)\n", "test_nothing_is_unpickled_or_evaluated"),
        ("x = np.random.rand(3)\n", "test_no_global_random_state"),
        ("x = np.random.default_rng()\n", "test_no_global_random_state"),
        ("def f():\n    return datetime.now()\n", "test_time_comes_from_the_clock"),
        ("def f():\n    import time\n", "test_time_comes_from_the_clock"),
        ("try:\n    x = 1\nexcept Exception:\n    pass\n", "test_errors_are_not_swallowed"),
        ("class A:\n    'doc'\n", "test_classes_are_abstract_or_final"),
        ("def f():\n    'doc'\n", "test_public_names_are_listed"),
        ("class A(ABC):\n    def f(self): ...\nclass B(A):\n    def f(self): ...\n", "test_no_implemented_method_is_overridden"),
        ("def f(): ...\n", "test_every_module_and_public_name_is_documented"),
        ("from tradewind.evaluate import run\n", "test_the_ensemble_stands_under_those_who_judge_it"),
        ("from tradewind.stats import broken\nimport tradewind.stats\n", "test_no_import_circles"),
        ("class OrderManager: ...\n", "test_names_are_the_fields_own"),
        ("def f():\n    from tradewind.models.base import Forecaster\n", "test_imports_point_down"),
        ("from tradewind.stats.metrics import g\n@kernel\ndef f():\n    g()\n", "test_kernels_call_kernels_of_their_own_file"),
        ("import pandas\n", "test_pure_packages_stand_on_numpy"),
        ("import polars\n", "test_heavy_packages_are_imported_where_they_live"),
        ("def f():\n" + "    x = 1\n" * 61, "test_functions_are_short"),
        ("x = 1\n" * 351, "test_files_are_short"),
        ('"""One sentence."""\ndef f(): ...\n', "test_algorithm_files_say_what_they_cost_and_when_they_fail"),
    ],
)
def test_each_rule_can_fail(code: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that breaks a rule, put into a house of its own, is found: no test here is blind."""
    house = tmp_path / "tradewind"
    package = "ensemble" if "ensemble" in rule else "stats"
    (house / package).mkdir(parents=True)
    (house / "__init__.py").write_text("")
    (house / package / "broken.py").write_text(code)
    (house / package / "__init__.py").write_text("from tradewind.stats import broken\n" if "circles" in rule else "")
    monkeypatch.setitem(globals(), "ROOT", house)
    monkeypatch.setitem(globals(), "MODULES", {name_of(path): path for path in files()})
    with pytest.raises(AssertionError):
        globals()[rule]()
