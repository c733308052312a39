from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tradewind.cli import main
from tradewind.core.errors import SettingsError
from tradewind.evaluate.explaining.importance import overview
from tradewind.evaluate.explaining.report import overview_sections, page, text
from tradewind.evaluate.finished import open_run
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.plan import RunSettings
from tradewind.evaluate.run import run
from tradewind.models.permutation import row_losses

from ..small import csv


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    bars = csv(tmp_path_factory.mktemp("data"), 700)
    settings = RunSettings(data=(str(bars),), strategies=("momentum", "ridge", "logistic", "mix"), train=300, test=200)
    yield run(settings, tmp_path_factory.mktemp("runs"), jobs=1, ledger=Ledger(":memory:")).folder


def test_contributions_of_a_linear_model_are_its_slopes_times_the_spread(folder: Path) -> None:
    told = overview(folder, "ridge", repeats=0, most=10_000)
    assert told.importance is None and told.folds == 2 and told.explained == 400 and told.size.shape == (1, 32) and told.unit == "return"
    opened = open_run(folder)
    added = []
    for fold in range(2):
        strategy, _ = opened.strategy("ridge", fold)
        X, test = strategy.lesson(opened.market)[0], opened.folds[fold].test
        added.append(strategy.model.contributions(X, np.array([[t, 0] for t in range(test.start, test.stop)])).values[:, 0])
    assert told.size[0] == pytest.approx(np.abs(np.concatenate(added)).mean(axis=0))
    assert told.ranking()[0] == told.names[int(told.size[0].argmax())]


def test_importance_is_out_of_sample_and_beside_the_base_rate(folder: Path) -> None:
    told = overview(folder, "logistic", repeats=2, most=10)
    assert told.importance is not None and told.importance.increase.shape == (32, 2) and told.importance.rows <= 400
    opened = open_run(folder)
    losses, usual, rows = [], [], []
    for fold in range(2):
        strategy, _ = opened.strategy("logistic", fold)
        (X, y), test = strategy.lesson(opened.market), opened.folds[fold].test
        found = row_losses(strategy.model.predict(X[test]), y[test])[0]
        counted = np.isfinite(found)
        weights = y.weights[test][counted]
        losses.append(np.average(found[counted], weights=weights))
        shown, taught = strategy.lesson(opened.market[opened.folds[fold].train])
        known = np.isfinite(taught.values) & np.isfinite(shown.values).all(axis=2)
        shares = {code: np.average(taught.values[known] == code, weights=taught.weights[known]) for code in y.classes}
        usual.append(np.average([-np.log(shares[code]) for code in y.values[test][counted]], weights=weights))
        rows.append(counted.sum())
    assert told.importance.loss == pytest.approx(np.average(losses, weights=rows)) and told.importance.rows == sum(rows)
    assert told.usual == pytest.approx(np.average(usual, weights=rows), rel=1e-6)
    words = text(*overview_sections(told))
    assert ("NO BETTER" in words) == (told.importance.loss >= told.usual)
    assert "<svg" in page(*overview_sections(told))


def test_a_random_walk_gives_no_model_reason_to_be_better_than_the_base_rate(folder: Path) -> None:
    told = overview(folder, "logistic", repeats=1, most=1)
    assert told.importance is not None and told.importance.loss > told.usual


def test_equal_calls_give_equal_answers(folder: Path) -> None:
    one, two = (overview(folder, "ridge", repeats=1, most=20).to_dict() for _ in range(2))
    assert one == two and json.dumps(one)


@pytest.mark.parametrize("row", ["momentum", "mix"])
def test_rows_without_a_forecaster_are_sent_to_single_decisions(folder: Path, row: str) -> None:
    with pytest.raises(SettingsError, match="asks no forecaster"):
        overview(folder, row)


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["explain", str(folder), "--row", "ridge", "--repeats", "1"])
    assert not left.value.code
    told = capsys.readouterr().out
    assert told.startswith("What ridge leant on") and "Permutation importance" in told and "and 20 more" in told
    for bad in ("-1", "many"):
        with pytest.raises(SystemExit) as left:
            main(["explain", str(folder), "--row", "ridge", "--repeats", bad])
        assert left.value.code == 2
