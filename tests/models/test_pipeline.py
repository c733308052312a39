"""From a file to a saved model, and the guide's arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tradewind.core.clock import HOUR
from tradewind.core.errors import Corrupt, DataError, SettingsError, StateError
from tradewind.core.files import save_state
from tradewind.core.market import Market
from tradewind.core.types import State
from tradewind.data import read
from tradewind.features import compute, names
from tradewind.models.neural import Neural
from tradewind.models.pipeline import load, train

TINY = {"window": 64, "width": 8, "heads": 2, "layers": 1, "feedforward": 8, "epochs": 1, "stride": 97}


def _market(n: int, momentum: float = 0.0, seed: int = 0) -> Market:
    random = np.random.default_rng(seed)
    returns = 0.01 * random.standard_normal(n)
    for t in range(1, n):
        returns[t] += momentum * returns[t - 1]
    close = 100 * np.exp(np.cumsum(returns))[:, None]
    opened = np.vstack([[100.0], close[:-1]])
    edge = 0.002 * random.uniform(size=(n, 1))
    high, low = np.maximum(opened, close) * (1 + edge), np.minimum(opened, close) * (1 - edge)
    time = (400_000 + np.arange(n, dtype=np.int64)) * HOUR
    return Market(("X",), "1h", time, time + HOUR, opened, high, low, close, random.uniform(1, 2, (n, 1)))


@pytest.fixture(scope="module")
def guide() -> Market:
    """A market of 7,261 rows with all 14 features."""
    return _market(7_261 + 199)


def test_the_guides_rows_and_sequences(guide: Market, tmp_path: Path) -> None:
    report = train(guide, out=tmp_path / "model", **TINY)
    assert report.rows == {"train": 5_808, "validation": 727, "test": 726, "held out": 1_453}
    assert report.sequences == {"train": 5_744, "validation": 663, "test": 662, "held out": 1_389}
    assert report.features == names("price-action") and len(report.features) == 14
    assert set(report.metrics) == {"validation", "test"}
    assert {"accuracy", "precision", "recall", "f1", "base_rate"} <= report.metrics["test"].keys()
    assert report.metrics["test"]["rows"] == 662
    written = json.loads((tmp_path / "model" / "report.json").read_text())
    assert written["sequences"]["train"] == 5_744 and written["device"]["device"] == "cpu" and len(written["history"]) == 1
    assert "5,744 sequences" in report.to_text() and "base rate" in report.to_text()


def test_the_test_part_teaches_nothing(guide: Market) -> None:
    seen: list[list[object]] = [[], []]
    short = guide[: len(guide) - 726]
    rows = 7_261 - 726
    for market, line, training, test in ((guide, seen[0], 0.8, 0.5), (short, seen[1], 5_808.5 / rows, 0.0)):
        report = train(market, training=training, test=test, progress=line.append, **TINY)
        assert report.rows["train"] == 5_808 and report.rows["validation"] == 727
    assert seen[0] == seen[1] and len(seen[0]) == 1


def test_an_embargo_takes_rows_from_the_later_parts(guide: Market) -> None:
    report = train(guide, embargo=100, **TINY)
    assert report.rows == {"train": 5_808, "validation": 627, "test": 626, "held out": 1_453}
    assert report.sequences["validation"] == 627 - 64


def test_a_saved_model_is_rebuilt_from_its_folder_alone(guide: Market, tmp_path: Path) -> None:
    report = train(guide, out=tmp_path / "a", **{**TINY, "width": 16, "layers": 2, "window": 32})
    again = train(guide, out=tmp_path / "b", **{**TINY, "width": 16, "layers": 2, "window": 32})
    for file in ("state.json", "arrays.npz", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    model = load(tmp_path / "a")
    assert isinstance(model, Neural) and model.sizes.window == 32 and model.sizes.layers == 2
    X = compute(guide, "price-action")[-400:]
    probabilities = model.predict(X).probabilities
    assert probabilities is not None and np.isfinite(probabilities[40:]).all()
    assert report.metrics == again.metrics and report.path == str(tmp_path / "a")
    path = tmp_path / "a" / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Corrupt, match="arrays"):
        load(tmp_path / "a")
    save_state(tmp_path / "c", State({"x": 1}))
    with pytest.raises(StateError, match="no trained model"):
        load(tmp_path / "c")


@pytest.mark.parametrize("model", ["base-rate", "logistic", "lightgbm", "random-forest"])
def test_other_models_take_the_same_way(model: str, tmp_path: Path) -> None:
    market = _market(2_000, momentum=0.7)
    settings = {"lightgbm": {"trees": 60, "learning_rate": 0.1}, "random-forest": {"trees": 30}}.get(model, {})
    report = train(market, model, tmp_path / model, features=["return_1", "rsi_14"], **settings)
    line = report.metrics["test"]
    if model == "base-rate":
        assert max(line["accuracy"], 1 - line["accuracy"]) == line["base_rate"] and line["recall"] in (0, 1)
    else:
        assert line["accuracy"] > line["base_rate"] + 0.05
    X = compute(market, ["return_1", "rsi_14"])
    assert np.isfinite(load(tmp_path / model).predict(X).score()[20:]).all() and report.device is None


SMALL_NETS: dict[str, dict[str, object]] = {
    "mlp": {"hidden": 8},
    "lstm": {"window": 16, "hidden": 4, "layers": 1},
    "transformer": {"window": 16, "width": 8, "layers": 1, "heads": 2, "feedforward": 8},
    "price-action-transformer": {"window": 16, "width": 8, "layers": 1, "heads": 2, "feedforward": 8},
}


@pytest.mark.parametrize("model", SMALL_NETS)
def test_every_net_takes_the_same_way_and_a_flipped_bit_is_refused(model: str, tmp_path: Path) -> None:
    market, heard = _market(900), []
    settings = {**SMALL_NETS[model], "epochs": 3, "keep": 2, "stride": 5}
    report = train(market, model, tmp_path / "model", features=["return_1", "rsi_14"], progress=heard.append, **settings)  # type: ignore[arg-type]
    assert len(report.history) == len(heard) == 3 and report.device is not None and report.metrics["test"]["rows"] > 50
    X = compute(market, ["return_1", "rsi_14"])
    best = load(tmp_path / "model").predict(X).probabilities
    # The kept epochs are models of their own, and the best of them is the model.
    folders = sorted((tmp_path / "model" / "checkpoints").iterdir())
    ranked = sorted(report.history, key=lambda line: line.validation_loss)[:2]
    assert [folder.name for folder in folders] == sorted(f"epoch-{line.epoch:03d}" for line in ranked)
    answers = {folder.name: load(folder).predict(X).probabilities for folder in folders}
    same = [name for name, answer in answers.items() if np.array_equal(answer, best, equal_nan=True)]
    assert same == [f"epoch-{report.best_epoch:03d}"]
    for name in ("arrays.npz", "state.json"):
        path = tmp_path / "model" / name
        good = path.read_bytes()
        for place in (0, len(good) // 3, len(good) // 2, len(good) - 1):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            with pytest.raises(Corrupt, match=name.partition(".")[0]):
                load(tmp_path / "model")
        path.write_bytes(good)


def test_what_was_out_of_the_ordinary_is_told(tmp_path: Path) -> None:
    market = _market(400)
    still = replace(market, volume=np.ones_like(market.volume))
    report = train(still, "mlp", tmp_path / "m", features=["return_1", "volume_ratio_20"], epochs=1, hidden=8)
    assert report.notes == ("feature 'volume_ratio_20' is constant in the training part: it teaches nothing",)
    assert "note: feature" in report.to_text() and not (tmp_path / "m" / "checkpoints").exists()
    assert json.loads((tmp_path / "m" / "report.json").read_text())["notes"] == list(report.notes)
    rising = _market(400)
    close = 100.0 * np.exp(0.001 * np.arange(400))[:, None]
    rising = replace(rising, open=close * 0.9999, high=close * 1.0001, low=close * 0.9998, close=close)
    report = train(rising, "lstm", features=["volume_ratio_20"], epochs=1, hidden=4, window=8)
    assert report.notes == ("the training part has the class 1 alone: no net was trained, and the answer is always that class",)
    assert report.history == () and report.metrics["test"]["accuracy"] == 1.0


def test_one_symbol_of_a_file_of_several(tmp_path: Path) -> None:
    frames = [_market(500, seed=seed).to_frame().with_columns(symbol=pl.lit(name)) for seed, name in enumerate(("A", "B"))]
    pl.concat(frames).write_csv(tmp_path / "bars.csv")
    settings = {"features": ["return_1"], "epochs": 1, "hidden": 8}
    alone = train(tmp_path / "bars.csv", "mlp", symbol="B", **settings)  # type: ignore[arg-type]
    direct = train(_market(500, seed=1), "mlp", **settings)  # type: ignore[arg-type]
    assert alone.rows == direct.rows and alone.metrics == direct.metrics
    both = read(tmp_path / "bars.csv")
    assert train(both, "mlp", symbol="B", **settings).metrics == direct.metrics  # type: ignore[arg-type]
    assert train(both, "mlp", **settings).metrics != direct.metrics  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="unknown symbol 'C'"):
        train(tmp_path / "bars.csv", "mlp", symbol="C", **settings)  # type: ignore[arg-type]


def test_a_return_is_judged_as_one(tmp_path: Path) -> None:
    report = train(
        _market(1_500, momentum=0.5), "ridge", features=["return_1"], label="horizon-return", label_settings={"horizon": 1}, test=0.4
    )
    assert report.metrics["test"]["information_coefficient"] > 0.3
    assert report.metrics["test"]["mae"] < report.metrics["test"]["mae_of_zero"]
    assert "information coefficient" in report.to_text()


def test_a_csv_file_of_bars(tmp_path: Path) -> None:
    market = _market(600)
    path = tmp_path / "bars.csv"
    market.to_frame().drop("symbol").write_csv(path)
    report = train(path, "logistic", features=["return_1"])
    assert report.rows["train"] + report.rows["held out"] == 599


def _prepared(n: int, **columns: object) -> pl.DataFrame:
    random = np.random.default_rng(0)
    values = {name: random.standard_normal(n) for name in names("price-action")}
    target = (values["rsi_14"] + 0.3 * random.standard_normal(n) > 0).astype(int)
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1) + pl.duration(hours=n - 1), "1h", eager=True)
    return pl.DataFrame({"timestamp": times, **values, "target": target, **columns})


def test_the_guides_own_file_with_its_features_and_target(tmp_path: Path) -> None:
    path = tmp_path / "training_dataset.parquet"
    _prepared(7_261).write_parquet(path)
    report = train(path, test=0, **TINY)
    assert report.rows == {"train": 5_808, "validation": 1_453, "held out": 1_453}
    assert report.sequences == {"train": 5_744, "validation": 1_389, "held out": 1_389}
    learned = train(path, "logistic")
    assert learned.metrics["test"]["accuracy"] > 0.85


def test_prepared_files_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    wrong = {
        "distinct values": _prepared(300).with_columns(target=pl.lit(1)),
        "column rsi_14 is String": _prepared(300).with_columns(rsi_14=pl.lit("high")),
        "row 2: column timestamp does not increase": _prepared(300).reverse(),
    }
    for message, frame in wrong.items():
        frame.write_parquet(path)
        with pytest.raises(DataError, match=message) as caught:
            train(path, "logistic")
        assert "p.parquet" in str(caught.value) and "\n" not in str(caught.value)
    _prepared(300).drop("timestamp").write_parquet(path)
    assert train(path, "logistic").rows["train"] == 240


@pytest.mark.parametrize(
    "settings",
    [
        {"training": 0.0},
        {"training": 1.0},
        {"test": 1.0},
        {"test": -0.1},
        {"embargo": -1},
        {"training": "most"},
        {"epoch": 3},
        {"label": "next"},
        {"embargo": 900},
    ],
    ids=str,
)
def test_impossible_settings(guide: Market, settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        train(guide, **{**TINY, **settings})  # type: ignore[arg-type]


def test_too_little_data_says_so() -> None:
    with pytest.raises(DataError, match="none of the 100 bars has all of the 14 features; the slowest needs 200"):
        train(_market(100), **TINY)
    with pytest.raises(DataError, match="the validation part has 21 rows and not one whole window"):
        train(_market(199 + 210), **TINY)
