"""Training in episodes: what is learned from, what is held out, and that a killed training goes on as if it had not been."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, read_json
from tradewind.core.types import Target, View
from tradewind.data import synthetic
from tradewind.engine import targets
from tradewind.ensemble.conduct import pack, parts_of, unpack
from tradewind.ensemble.evaluation import evaluate
from tradewind.ensemble.presets import preset
from tradewind.ensemble.trainer import Trainer, Training
from tradewind.simulate.account import Book

BARS, TRAINED, KEPT = 1000, 750, 562
MEMBERS = (("momentum", {"lookback": 20}), "rsi-reversal", "bollinger-reversal")
CONFIG = preset("balanced", history=50, meta_lookback=200, performance_prediction_window=20, meta_training_frequency=50)
MARKET = synthetic.three_regimes(bars=BARS, seed=3, symbols=2).market


def trainer(folder: Path, **changes: object) -> Trainer:
    return Trainer(CONFIG, folder, market=MARKET, members=MEMBERS, **{"episode_bars": 60, "seed": 5, **changes})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def trained(home: Path) -> Training:
    return trainer(home).train(episodes=6, save_interval=2)


def same(one: Training, two: Training) -> None:
    assert one.episodes == two.episodes
    for name in ("out_of_sample", "one_pass", "untrained"):
        a, b = getattr(one, name), getattr(two, name)
        for field in dataclasses.fields(a):
            if isinstance(getattr(a, field.name), np.ndarray):
                assert getattr(a, field.name).tobytes() == getattr(b, field.name).tobytes(), (name, field.name)
        assert a.returns.tobytes() == b.returns.tobytes()


def test_episodes_are_stretches_that_the_members_have_not_seen_and_that_end_before_the_holdout(trained: Training) -> None:
    assert [episode.number for episode in trained.episodes] == list(range(6))
    for episode in trained.episodes:
        assert KEPT <= episode.start < episode.stop <= TRAINED
        assert episode.stop - episode.start == 60
    assert len({episode.start for episode in trained.episodes}) > 1
    assert len(trained.out_of_sample.market) == BARS - TRAINED
    assert trained.out_of_sample.market.open_time[0] == MARKET.open_time[TRAINED]
    assert trained.out_of_sample.windows == ((0, 50), (50, 100), (100, 150), (150, 200), (200, 250))


def test_the_best_episode_is_called_a_selection_and_is_the_best(trained: Training) -> None:
    assert trained.best_episode_sharpe == max(episode.sharpe for episode in trained.episodes if episode.sharpe is not None)
    assert trained.best_episode_return == trained.best_episode.net_return
    assert "selection" in (Training.best_episode_sharpe.__doc__ or "") + (Training.__doc__ or "")


def test_members_are_fitted_on_nothing_that_judges_them(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    class Witness(tw.Strategy):
        def fit(self, market: tw.Market) -> Witness:
            seen.append((int(market.open_time[0]), int(market.known[-1])))
            return self

        def decide(self, view: View) -> Target:
            return Target(np.full(len(view.market.symbols), 0.5))

    taught = Trainer(CONFIG, tmp_path, market=MARKET, members=(Witness(), "hold", "rsi-reversal"), episode_bars=50)
    taught.train_episode()
    assert seen == [(int(MARKET.open_time[0]), int(MARKET.known[KEPT - 1]))]
    taught.train(episodes=2)
    assert max(last for _, last in seen) == int(MARKET.known[TRAINED - 1])


def test_what_comes_after_the_holdout_began_changes_no_episode(tmp_path: Path) -> None:
    garbage = MARKET.close.copy()
    garbage[TRAINED:] *= np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.1, (BARS - TRAINED, 2)), axis=0))
    later = np.arange(BARS)[:, None] >= TRAINED
    high = np.where(later, np.maximum(MARKET.open, garbage) * 1.5, MARKET.high)
    low = np.where(later, np.minimum(MARKET.open, garbage) / 1.5, MARKET.low)
    other = dataclasses.replace(MARKET, close=garbage, high=high, low=low)
    mine = trainer(tmp_path / "a")
    theirs = Trainer(CONFIG, tmp_path / "b", market=other, members=MEMBERS, episode_bars=60, seed=5)
    assert [mine.train_episode() for _ in range(2)] == [theirs.train_episode() for _ in range(2)]


def test_the_trained_ensemble_is_the_one_that_was_judged(trained: Training, home: Path) -> None:
    again = trainer(home)
    ensemble = again.ensemble
    decided = targets(ensemble, MARKET, Book(MARKET.symbols, ensemble.costs), start=TRAINED)
    np.testing.assert_array_equal(decided[TRAINED:], trained.out_of_sample.account.targets)
    saved = tw.ensemble.Ensemble(again.config, MEMBERS).restore(load_state(home / "ensemble"))
    np.testing.assert_array_equal(targets(saved, MARKET, Book(MARKET.symbols, saved.costs), start=TRAINED), decided)


def test_the_same_training_gives_the_same_bits_and_another_seed_others(trained: Training, tmp_path: Path) -> None:
    same(trained, trainer(tmp_path / "again").train(episodes=6, save_interval=5))
    assert trainer(tmp_path / "other", seed=6).train(episodes=2).episodes != trained.episodes[:2]


def test_a_killed_training_goes_on_to_the_bit(trained: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = trainer(tmp_path)
    train_episode = Trainer.train_episode

    def dies(self: Trainer, number: int | None = None) -> object:
        if len(self._episodes) == 5:
            raise KeyboardInterrupt
        return train_episode(self, number)

    monkeypatch.setattr(Trainer, "train_episode", dies)
    with pytest.raises(KeyboardInterrupt):
        killed.train(episodes=6, save_interval=2)
    monkeypatch.undo()
    follower = trainer(tmp_path)
    done = follower.train(episodes=6, save_interval=2)
    same(trained, done)
    # A finished one is only read; what it wrote says what it did.
    same(trained, trainer(tmp_path).train(episodes=6))
    told = read_json(tmp_path / "training.json")
    assert [episode["sharpe"] for episode in told["episodes"]] == [episode.sharpe for episode in trained.episodes]
    assert told["out_of_sample"] == evaluate(trained, seed=5).to_dict()


def test_more_episodes_go_on_from_those_there_are(trained: Training, home: Path, tmp_path: Path) -> None:
    trainer(tmp_path).train(episodes=3)
    longer = trainer(tmp_path).train_full_session(num_episodes=6, save_interval=3)
    same(trained, longer)
    with pytest.raises(SettingsError, match="holds 6 episodes, more than the 2"):
        trainer(tmp_path).train(episodes=2)


def test_episodes_one_by_one_are_the_session(trained: Training, tmp_path: Path) -> None:
    single = trainer(tmp_path)
    assert tuple(single.train_episode(number) for number in range(4)) == trained.episodes[:4]
    with pytest.raises(SettingsError, match="episode 7 is asked for, and the next one is 4"):
        single.train_episode(7)


def test_the_folder_of_another_training_is_refused(home: Path, trained: Training) -> None:
    with pytest.raises(StateError, match="another run"):
        trainer(home, seed=9).train(episodes=6)
    with pytest.raises(StateError, match="other settings"):
        Trainer(CONFIG, home, market=MARKET, members=MEMBERS, episode_bars=90)._kept("rehearsal")


def test_faults(tmp_path: Path) -> None:
    for wrong in ({"holdout": 0.0}, {"holdout": 1.0}, {"episode_bars": 1}, {"folds": 0}, {"seed": -1}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            trainer(tmp_path, **wrong)
    with pytest.raises(SettingsError, match="did you mean 'balanced'"):
        Trainer("balancd", tmp_path, market=MARKET)
    with pytest.raises(SettingsError, match="episodes is 0"):
        trainer(tmp_path).train(episodes=0)
    with pytest.raises(DataError, match="too few"):
        Trainer(CONFIG, tmp_path, market=MARKET[:20], members=MEMBERS).train(episodes=1)


def test_a_training_needs_no_market_and_no_regimes(tmp_path: Path) -> None:
    assert Trainer("balanced", tmp_path).market.symbols == tw.data.sample().symbols
    plain = Trainer(CONFIG.changed({"regime": None}), tmp_path, market=MARKET, members=MEMBERS, episode_bars=5000)
    done = plain.train(episodes=1)
    assert done.episodes[0].stop - done.episodes[0].start == TRAINED - KEPT  # all there are
    assert done.out_of_sample.probabilities.shape == (BARS - TRAINED, 0)
    assert evaluate(done).regimes == ()


def test_evidence_is_packed_and_unpacked_to_the_bit(tmp_path: Path) -> None:
    _, evidence = trainer(tmp_path)._rehearsal
    for one, two in zip(evidence, unpack(pack(evidence)), strict=True):
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))
    with pytest.raises(StateError, match="lacks returns"):
        unpack(tw.State())


def test_parts_share_all_rows() -> None:
    assert parts_of(10, 3) == ((0, 3), (3, 7), (7, 10))
    assert parts_of(2, 5) == ((0, 1), (1, 2))
    assert parts_of(0, 3) == ((0, 0),)
