from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradewind.cli import main
from tradewind.core.clock import HOUR, format_time
from tradewind.core.errors import Corrupt, DataError, SettingsError, StateError
from tradewind.core.files import read_json, write_json
from tradewind.evaluate.explaining.explain import explain, explain_decision
from tradewind.evaluate.explaining.report import decision_sections, page, text
from tradewind.evaluate.finished import FinishedRun, open_run
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.plan import RunSettings
from tradewind.evaluate.run import run
from tradewind.strategies.forecasting import Forecasting

from ..small import FIRST, csv, market

ROWS = ("hold", "momentum", "momentum-mix", "ema-cross", "rsi-reversal", "logistic", "ridge", "mix")
MINE = """
import numpy as np
import tradewind as tw

class Mine(tw.Strategy):
    refit_every = 2
    def fit(self, shown):
        self.level = float(shown.close[-1, 0])
        return self
    def decide(self, view):
        return tw.Target(np.array([1.0 if view.market.close[-1, 0] > self.level else 0.0]))

class Broken(Mine):
    def explain(self, view, symbol):
        return "because"

class Mute(Mine):
    def state(self):
        raise RuntimeError("I forgot")
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    bars = csv(tmp_path_factory.mktemp("data"))
    settings = RunSettings(data=(str(bars),), strategies=ROWS, train=300, test=100)
    yield open_run(run(settings, tmp_path_factory.mktemp("runs"), jobs=1, ledger=Ledger(":memory:")).folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    """Two symbols with missing bars, one strategy."""
    path = tmp_path_factory.mktemp("data") / "pair.csv"
    market(500, symbols=2, seed=5, gaps=True).to_frame().write_csv(path)
    settings = RunSettings(data=(str(path),), strategies=("logistic",), train=300, test=100)
    yield open_run(run(settings, tmp_path_factory.mktemp("runs"), jobs=1, ledger=Ledger(":memory:")).folder)


@pytest.fixture
def copied(opened: FinishedRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(opened.folder, tmp_path / opened.id))


def _at(bar: int) -> str:
    return format_time(FIRST + HOUR * bar)


# -- the decision ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("row", ROWS)
def test_what_is_explained_is_the_decision_on_record(opened: FinishedRun, row: str) -> None:
    targets = opened.targets(row)
    for bar in (300, 399, 400, 477, 650, 898, 899):
        told = explain_decision(opened, row, bar, 0)
        recorded = targets[bar - 300, 0]
        assert told.same and (told.recorded == recorded or math.isnan(recorded)) and told.fold == (bar - 300) // 100
        assert told.reason is not None and told.reason.words and told.notes == ()


def test_of_two_symbols_with_missing_bars_too(pair: FinishedRun) -> None:
    listed = np.argwhere(~np.isnan(pair.market.close[300:]))
    for bar, symbol in listed[:: len(listed) // 12].tolist():
        told = explain_decision(pair, "logistic", 300 + bar, symbol)
        assert told.same and told.symbol == f"S{symbol}"
        assert set(told.inputs()) == set(told.contributions()) or told.forecast()["class 0"] != told.forecast()["class 0"]


def test_the_forecast_its_parts_and_the_policy_belong_together(opened: FinishedRun) -> None:
    told = explain_decision(opened, "logistic", 555, 0)
    said = told.forecast()
    assert sum(said.values()) == pytest.approx(1.0) and set(said) == {"class -1", "class 0", "class +1"} == set(told.base)
    assert sum(told.base.values()) == pytest.approx(1.0)
    assert told.reason is not None and told.answer is not None and told.answer.parts is not None
    assert told.reason.values["edge"] == pytest.approx(said["class +1"] - said["class -1"])
    parts = told.answer.parts
    assert float(parts.base[0]) + sum(told.contributions().values()) == pytest.approx(math.log(said["class +1"] / said["class -1"]))
    strategy, _ = opened.strategy("logistic", told.fold)
    shown = strategy.lesson(opened.market[opened.folds[told.fold].train])[0].values[:, 0]
    column = list(told.inputs()).index("rsi_14")
    value, score = told.inputs()["rsi_14"]
    assert score == pytest.approx((value - np.nanmean(shown[:, column])) / np.nanstd(shown[:, column]))


def test_what_followed_is_what_the_account_lived_through(opened: FinishedRun) -> None:
    account, seen = opened.account("ridge"), 0
    record, bars, costs = account.record, account.market, account.costs
    for t in np.flatnonzero(~np.isnan(account.targets[:-30, 0])).tolist():
        told = explain_decision(opened, "ridge", t + 300, 0)
        assert told.order is not None and told.aftermath is not None
        before = record.cash[t] + account.positions[t, 0] * bars.open[t + 1, 0]
        stop = int(np.searchsorted(bars.known, told.aftermath.until))
        assert told.order.filled == bars.open_time[t + 1] and stop == t + 24 and told.aftermath.horizon == 24
        assert told.order.quantity == pytest.approx(account.positions[t + 1, 0] - account.positions[t, 0], abs=1e-15)
        assert told.order.fee * before == pytest.approx(record.fees[t + 1], abs=1e-15)
        assert told.order.slippage * before == pytest.approx(record.slippage[t + 1], abs=1e-15)
        worse = 1.0 + np.sign(told.order.quantity) * costs.slippage_bps * 1e-4
        assert told.order.price == pytest.approx(bars.open[t + 1, 0] * worse)
        assert told.aftermath.earned == pytest.approx((account.equity[stop] - before) / account.equity[t], abs=1e-12)
        assert told.aftermath.move == pytest.approx(bars.close[stop, 0] / bars.open[t + 1, 0] - 1.0)
        assert told.aftermath.answer == pytest.approx(bars.close[stop, 0] / bars.close[t, 0] - 1.0)
        seen += 1
    assert seen > 5


def test_a_rule_ends_with_its_next_fill_and_the_record_with_its_end(opened: FinishedRun) -> None:
    account = opened.account("momentum")
    turns = np.flatnonzero(np.diff(np.sign(account.positions[:, 0])) != 0) + 1
    told = explain_decision(opened, "momentum", 300 + int(turns[0]) - 1, 0)
    after = account.market.known[np.flatnonzero(np.diff(account.positions[:, 0]) != 0) + 1 - 1]
    assert told.aftermath is not None and told.aftermath.until in after and told.aftermath.horizon == 0
    last = explain_decision(opened, "momentum", 899, 0)
    assert last.order is None and last.aftermath is None


def test_the_two_averages_of_a_crossing(opened: FinishedRun) -> None:
    told = explain_decision(opened, "ema-cross", 700, 0)
    assert told.reason is not None
    values = told.reason.values
    assert set(values) == {"signal_ema_cross_50_200", "close", "ema_50", "ema_200"}
    assert np.sign(values["ema_50"] - values["ema_200"]) == values["signal_ema_cross_50_200"] == told.recorded


def test_a_mix_names_what_its_members_want(opened: FinishedRun) -> None:
    told = explain_decision(opened, "mix", 500, 0)
    assert told.reason is not None and set(told.reason.values) == set(ROWS) - {"hold", "mix"}
    assert told.recorded == pytest.approx(np.mean(list(told.reason.values.values())))


def test_an_altered_decision_is_not_passed_off_as_the_one_on_record(opened: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    restore = Forecasting.restore

    def other(self: Forecasting, state: Any) -> Forecasting:
        restored = restore(self, state)
        object.__setattr__(restored.policy, "threshold", 0.0)
        object.__setattr__(restored.policy, "gain", 1e-6)
        object.__setattr__(restored.policy, "band", 0.0)
        return restored

    monkeypatch.setattr(Forecasting, "restore", other)
    told = explain_decision(opened, "ridge", 555, 0)
    assert not told.same and "TAKEN AGAIN IT IS ANOTHER" in text(*decision_sections(told))


# -- strategies of one's own -----------------------------------------------------------------------------------------
@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FinishedRun:
    (tmp_path / "minds.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    settings = RunSettings(data=(str(csv(tmp_path, 300)),), strategies=("minds:Mine", "minds:Broken", "minds:Mute"), train=100, test=50)
    return open_run(run(settings, tmp_path / "runs", jobs=1, ledger=Ledger(":memory:")).folder)


def test_a_strategy_without_a_word_of_explanation(own: FinishedRun) -> None:
    told = explain_decision(own, "minds:Mine", 180, 0)
    assert told.same and told.reason is None and (told.fold, told.fitted) == (1, 0)
    told_text = text(*decision_sections(told))
    assert "offers no explanation beyond its target" in told_text and "Fold 2, by what was fitted in fold 1" in told_text
    with pytest.raises(DataError, match=r"Broken\.explain returned str"):
        explain_decision(own, "minds:Broken", 180, 0)
    with pytest.raises(DataError, match="could not be kept: RuntimeError: I forgot"):
        explain_decision(own, "minds:Mute", 180, 0)


# -- faults ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("at", "words"),
    [
        (FIRST + 40 * HOUR, f"before the first test part.*nearest.*{_at(300)}"),
        (FIRST + 2000 * HOUR, f"after the last bar.*nearest.*{_at(899)}"),
        (FIRST + 400 * HOUR + 7, f"no time at which a bar of .* opens; the nearest.*{_at(400)}"),
        (FIRST + 401 * HOUR - 7, f"nearest.*{_at(401)}"),
    ],
)
def test_times_without_a_decision_name_the_nearest_bar(opened: FinishedRun, at: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        explain(opened.folder, at, "ridge")


def test_names_that_are_ambiguous_or_unknown(opened: FinishedRun, pair: FinishedRun) -> None:
    with pytest.raises(SettingsError, match=r"choose one with --row"):
        explain(opened.folder, _at(500))
    with pytest.raises(SettingsError, match="did you mean 'ridge'"):
        explain(opened.folder, _at(500), "rigde")
    with pytest.raises(SettingsError, match=r"S0, S1; choose one with --symbol"):
        explain(pair.folder, _at(350))
    gone = int(np.flatnonzero(np.isnan(pair.market.close[310:, 1]))[0]) + 310
    with pytest.raises(DataError, match="is no time at which a bar of S1 opens"):
        explain(pair.folder, int(pair.market.open_time[gone]), symbol="S1")
    with pytest.raises(SettingsError, match="no time; write ISO 8601"):
        explain(opened.folder, "noon", "ridge")


def test_folders_that_are_no_run_and_data_that_are_gone(opened: FinishedRun, copied: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no finished run"):
        explain(tmp_path / "nothing", _at(500))
    with pytest.raises(DataError, match=f"no finished run.*did you mean '{copied}'"):
        explain(copied.parent, _at(500))
    (copied / "manifest.json").write_text("{}")
    with pytest.raises(Corrupt, match="not the manifest"):
        explain(copied, _at(500))
    shutil.copy(opened.folder / "manifest.json", copied)
    with pytest.raises(DataError, match="other data"):
        explain(copied, _at(500), "ridge", data=[str(csv(tmp_path, seed=9))])
    with pytest.raises(DataError, match=r"gone\.csv"):
        explain(copied, _at(500), "ridge", data=[str(tmp_path / "gone.csv")])


@pytest.mark.parametrize("name", ["folds/ridge/0002/fit/arrays.npz", "folds/ridge/0002/fit/state.json", "targets.parquet"])
def test_one_flipped_bit_is_refused(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 4
    (copied / name).write_bytes(bytes(data))
    with pytest.raises(Corrupt, match="sha256"):
        explain(copied, _at(555), "ridge")


def test_fits_that_are_missing_or_of_something_else(copied: Path) -> None:
    for fit in ("state.json", "arrays.npz", "manifest.json"):
        shutil.copy(copied / "folds/logistic/0002/fit" / fit, copied / "folds/ridge/0002/fit" / fit)
    with pytest.raises(DataError, match="is not that of fold 2's targets"):
        explain(copied, _at(555), "ridge")
    shutil.rmtree(copied / "folds/ridge/0002/fit")
    with pytest.raises(DataError, match="holds no fitted strategy for fold 2"):
        explain(copied, _at(555), "ridge")


def test_a_run_of_another_version_is_explained_and_says_so(copied: Path) -> None:
    manifest = read_json(copied / "manifest.json")
    write_json(copied / "manifest.json", {**manifest, "source": "older"})
    told = explain(copied, _at(555), "ridge")
    assert told.same and told.notes == ("tradewind's source is not that of the run",)
    assert "Not as it was when the run was made" in text(*decision_sections(told))
    settings = {**manifest["settings"], "strategies": ["hold", "momentum", "ridge"], "quick": False}
    write_json(copied / "manifest.json", {**manifest, "settings": settings})
    state = copied / "folds/ridge/0002/fit/state.json"
    document = json.loads(state.read_text())
    document["strategy"]["class"] = "SomethingElse"
    write_json(state, document)
    seal = read_json(state.parent / "manifest.json")
    from tradewind.core.files import sha256

    write_json(state.parent / "manifest.json", {**seal, "state.json": sha256(state.read_bytes())})
    with pytest.raises(StateError, match="SomethingElse"):
        explain(copied, _at(555), "ridge")


# -- what people read ------------------------------------------------------------------------------------------------
class _Balanced(HTMLParser):
    """Fails on a tag that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.trail: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "meta":
            self.trail.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.trail.pop() == tag


@pytest.mark.parametrize("row", ROWS)
def test_the_page_stands_alone_and_is_the_same_every_time(opened: FinishedRun, row: str) -> None:
    title, sections = decision_sections(explain_decision(opened, row, 555, 0))
    drawn = page(title, sections)
    reader = _Balanced()
    reader.feed(drawn)
    assert not reader.trail and "<script" not in drawn and "http" not in drawn and "nan" not in drawn
    assert drawn == page(*decision_sections(explain_decision(opened, row, 555, 0)))
    assert ("<svg" in drawn) == (row in ("logistic", "ridge"))


def _cli(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["explain", *arguments])
    return int(left.value.code or 0)  # type: ignore[arg-type]


def test_the_command(opened: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "why.html"
    assert _cli(str(opened.folder), "--at", _at(555), "--row", "ridge", "--out", str(out)) == 0
    told = capsys.readouterr()
    assert told.out.startswith("Why ridge decided as it did") and "on record, to the bit" in told.out and str(out) in told.err
    assert out.read_text().startswith("<!doctype html>")
    assert _cli(str(opened.folder), "--at", _at(555), "--row", "ridge", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["row"] == "ridge" and document["target"]["same"] is True and document["contributions"]["unit"] == "return"
    assert len(document["inputs"]) == len(document["contributions"]["features"]) == 32
    assert _cli(str(opened.folder), "--at", "1999-01-01", "--row", "ridge") == 2
    assert "before the first test part" in capsys.readouterr().err


def test_nets_add_their_windows_and_the_tft_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tradewind.evaluate.plan.QUICK",
        {
            "lstm": {"forecaster_settings": {"window": 4, "hidden": 8, "epochs": 1}},
            "tft": {"forecaster_settings": {"window": 4, "hidden": 8, "heads": 2, "epochs": 1}, "label_settings": {"horizons": [1, 5]}},
        },
    )
    from tradewind.evaluate import run as job

    # In this process: a worker would not see the settings above.
    monkeypatch.setattr(job, "run_all", lambda task, tasks, jobs, watch: [task(each) for each in tasks])
    settings = RunSettings(data=(str(csv(tmp_path, 420)),), strategies=("lstm", "tft"), train=300, test=60, quick=True)
    opened = open_run(run(settings, tmp_path / "runs", jobs=1, ledger=Ledger(":memory:")).folder)
    for row in ("lstm", "tft"):
        for bar in (300, 419):
            told = explain_decision(opened, row, bar, 0)
            assert told.same and told.answer is not None and told.answer.parts is not None
            parts = told.answer.parts
            assert parts.values.shape[1] == 4 and sum(told.contributions().values()) == pytest.approx(
                float(parts.total[0] - parts.base[0]), abs=2e-3 * max(1e-3, abs(float(parts.total[0] - parts.base[0])))
            )
        drawn, document = page(*decision_sections(told)), told.to_dict()
        assert "By lag" in drawn and "0 rows before" in drawn and np.shape(document["contributions"]["lags"]) == parts.values.shape[1:]
        assert ("Selection weights" in drawn) == ("Attention" in drawn) == (document["weights"] is not None) == (row == "tft")
    assert sum(document["weights"]["encoder"].values()) == pytest.approx(1.0) and np.shape(document["weights"]["attention"]) == (2, 4)
