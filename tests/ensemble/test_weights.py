"""Expert weights: each rule's bound on losses an adversary chose, its invariances, sleepers, and the stream against the batch."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import Array
from tradewind.ensemble import weights
from tradewind.ensemble.experts import ExpertWeights, among
from tradewind.portfolio.online_portfolio import online

QUICK = settings(max_examples=40, deadline=None)
RULES = [
    ("hedge", {"eta": 0.3}),
    ("hedge", {}),
    ("adahedge", {}),
    ("fixed-share", {}),
    ("boa", {}),
    ("eg", {}),
    ("ons", {}),
    ("follow-the-leader", {}),
]


@st.composite
def tables(draw: st.DrawFn, rows: int = 120, low: float = 0.0, high: float = 1.0) -> Array:
    """Losses (time, expert): noise, constant experts, runs and alternations, as hypothesis likes to mix them."""
    experts, n = draw(st.integers(1, 7)), draw(st.integers(1, rows))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = random.random((n, experts))
    for expert in range(experts):
        kind = draw(st.sampled_from(["noise", "constant", "alternating", "runs", "extremes"]))
        if kind == "constant":
            table[:, expert] = draw(st.floats(0.0, 1.0))
        elif kind == "alternating":
            table[:, expert] = (np.arange(n) + expert) % 2
        elif kind == "runs":
            table[:, expert] = (np.arange(n) // draw(st.integers(1, 30)) + expert) % 2
        elif kind == "extremes":
            table[:, expert] = random.random(n) > 0.5
    return low + (high - low) * table


def adversary(rule: ExpertWeights, n: int, random: np.random.Generator) -> Array:
    """(time, expert) losses in [0, 1] chosen against `rule` as it goes: whoever it trusts most loses, another one does not."""
    losses = np.empty((n, rule.experts))
    for row in losses:
        row[:] = random.random(rule.experts) * 0.2
        row[int(rule.weights.argmax())] = 1.0
        rule.update(row)
    return losses


def regrets(name: str, losses: Array, **chosen: float) -> Array:
    """(expert,) loss of the mixture less that of each expert."""
    held = weights.run(name, losses, **chosen)
    return np.asarray((held * losses).sum() - losses.sum(axis=0))


# -- bounds -----------------------------------------------------------------------------------------------------------
def hedge_bound(losses: Array) -> float:
    n, experts = losses.shape
    return math.sqrt(n * math.log(experts) / 2)


def best_eta(n: int, experts: int) -> float:
    return max(math.sqrt(8 * math.log(experts) / n), 1e-9)


@QUICK
@given(tables())
def test_hedge_keeps_its_bound_on_any_losses(losses: Array) -> None:
    assert regrets("hedge", losses, eta=best_eta(*losses.shape)).max() <= hedge_bound(losses) + 1e-9


@QUICK
@given(tables())
def test_hedge_without_a_horizon_keeps_its_bound(losses: Array) -> None:
    n, experts = losses.shape
    assert regrets("hedge", losses).max() <= 2 * math.sqrt(n / 2 * math.log(experts)) + math.sqrt(math.log(experts) / 8) + 1e-9


@pytest.mark.parametrize("experts", [2, 3, 10])
def test_hedge_keeps_its_bound_against_an_adversary_who_sees_its_weights(experts: int) -> None:
    n, random = 2000, np.random.default_rng(experts)
    losses = adversary(weights.make("hedge", experts, eta=best_eta(n, experts)), n, random)
    found = regrets("hedge", losses, eta=best_eta(n, experts)).max()
    assert 0.1 * hedge_bound(losses) < found <= hedge_bound(losses)


def adahedge_bound(losses: Array, held: Array) -> float:
    mixture = (held * losses).sum(axis=1, keepdims=True)
    variance = float((held * (losses - mixture) ** 2).sum())
    spread, logarithm = float(np.ptp(losses, axis=1).max()), math.log(losses.shape[1])
    return 2 * math.sqrt(variance * logarithm) + spread * (4 / 3 * logarithm + 2)


@QUICK
@given(tables(low=-7.0, high=13.0))
def test_adahedge_keeps_its_bound_on_any_scale(losses: Array) -> None:
    bound = adahedge_bound(losses, weights.run("adahedge", losses))
    assert regrets("adahedge", losses).max() <= bound + 1e-9


def test_adahedge_keeps_its_bound_against_an_adversary() -> None:
    losses = adversary(weights.make("adahedge", 5), 3000, np.random.default_rng(1))
    assert regrets("adahedge", losses).max() <= adahedge_bound(losses, weights.run("adahedge", losses))


def test_adahedge_is_hedge_at_the_rate_of_its_gaps() -> None:
    """Three rounds of two experts by hand, with eta = ln 2 / (sum of the gaps)."""
    held = weights.run("adahedge", np.array([[1.0, 0.0], [0.0, 1.0], [0.25, 0.0], [0.0, 0.0]]))
    # Round 1: even weights lose 1/2, and at an infinite rate the mix loss is the leader's, 0: the gap is 1/2, so exp(-eta) = 1/4.
    np.testing.assert_allclose(held[:2], [[0.5, 0.5], [0.2, 0.8]], rtol=1e-14)
    # Round 2: the mixture loses .8, the mix loss is -ln(.2 + .8 / 4) / eta. Both have lost 1 by then.
    gaps = 0.5 + 0.8 + math.log(0.2 + 0.8 / 4) / math.log(4)
    np.testing.assert_allclose(held[2], [0.5, 0.5], rtol=1e-14)
    # Round 3: even weights lose .125.
    eta = math.log(2) / gaps
    gaps += 0.125 + math.log((math.exp(-eta / 4) + 1) / 2) / eta
    np.testing.assert_allclose(held[3, 0] / held[3, 1], math.exp(-math.log(2) / gaps / 4), rtol=1e-13)


def tracking_bound(losses: Array, switches: int, eta: float, alpha: float) -> float:
    n, experts = losses.shape
    price = math.log(experts) + switches * math.log((experts - 1) / alpha) + (n - 1 - switches) * math.log(1 / (1 - alpha))
    return price / eta + eta * float((np.ptp(losses, axis=1) ** 2).sum()) / 8


def best_sequences(losses: Array, switches: int) -> Array:
    """(switches + 1,) the least loss of a sequence of experts that changes so many times at most, by dynamic programming."""
    state = np.tile(losses[0], (switches + 1, 1))
    for row in losses[1:]:
        changed = np.vstack([np.full(losses.shape[1], np.inf), np.repeat(state[:-1].min(axis=1, keepdims=True), losses.shape[1], axis=1)])
        state = np.minimum(state, changed) + row
    return np.asarray(state.min(axis=1))


@QUICK
@given(tables(), st.floats(0.05, 3.0), st.floats(0.001, 0.3))
def test_fixed_share_keeps_its_tracking_bound(losses: Array, eta: float, alpha: float) -> None:
    if losses.shape[1] < 2:
        losses = np.column_stack([losses, 1.0 - losses])
    held = weights.run("fixed-share", losses, eta=eta, alpha=alpha)
    switches = min(4, len(losses) - 1)
    best = best_sequences(losses, switches)
    for count in range(switches + 1):
        assert (held * losses).sum() - best[count] <= tracking_bound(losses, count, eta, alpha) + 1e-9


def test_fixed_share_finds_the_new_best_where_hedge_does_not() -> None:
    random = np.random.default_rng(3)
    losses = 0.5 + 0.1 * random.standard_normal((3000, 4))
    for part in range(6):
        losses[part * 500 : (part + 1) * 500, part % 4] -= 0.2
    shared, hedged = (weights.run(name, losses, eta=1.0) for name in ("fixed-share", "hedge"))
    late = np.concatenate([np.arange(part * 500 + 60, (part + 1) * 500) for part in range(6)])
    right = np.repeat(np.arange(6) % 4, 500)
    assert shared[late, right[late]].mean() > 0.7
    assert (shared * losses).sum() < (hedged * losses).sum() - 100


def test_fixed_share_is_bayes_over_sequences() -> None:
    """Its weights are the marginals of the posterior over all K^T sequences of experts, counted out."""
    random = np.random.default_rng(7)
    n, experts, eta, alpha = 5, 3, 0.8, 0.2
    losses = random.random((n, experts))
    held = weights.run("fixed-share", losses, eta=eta, alpha=alpha)
    for t in range(n):
        mass = np.zeros(experts)
        for sequence in np.ndindex(*(experts,) * (t + 1)):
            prior = 1 / experts
            for before, after in itertools.pairwise(sequence):
                prior *= (1 - alpha) if before == after else alpha / (experts - 1)
            mass[sequence[-1]] += prior * math.exp(-eta * sum(losses[s, expert] for s, expert in enumerate(sequence[:-1])))
        np.testing.assert_allclose(held[t], mass / mass.sum(), rtol=1e-12)


def boa_bound(losses: Array, held: Array) -> Array:
    """(expert,) twice sqrt(V) (sqrt(ln K) + C / sqrt(ln K)) + E C, with C = ln K + ln(1 + K ln(2 + T)): the order of theorem 3.3."""
    n, experts = losses.shape
    beyond = losses - (held * losses).sum(axis=1, keepdims=True)
    logarithm = math.log(max(experts, 2))
    constant = logarithm + math.log(1 + experts * math.log(2 + n))
    widest = 2 * float(np.abs(beyond).max())
    return np.asarray(2 * (np.sqrt((beyond**2).sum(axis=0)) * (math.sqrt(logarithm) + constant / math.sqrt(logarithm)) + widest * constant))


@QUICK
@given(tables(low=-3.0, high=2.0))
def test_boa_keeps_a_second_order_bound_against_every_expert(losses: Array) -> None:
    assert (regrets("boa", losses) <= boa_bound(losses, weights.run("boa", losses)) + 1e-9).all()


def test_boa_keeps_its_bound_against_an_adversary() -> None:
    losses = adversary(weights.make("boa", 6), 3000, np.random.default_rng(2))
    assert (regrets("boa", losses) <= boa_bound(losses, weights.run("boa", losses))).all()


@pytest.mark.parametrize("name", ["boa", "adahedge"])
def test_the_price_of_learning_ends_where_one_expert_is_better_on_average(name: str) -> None:
    random = np.random.default_rng(11)
    losses = random.random((20_000, 5))
    losses[:, 2] -= 0.2
    early, late = regrets(name, losses[:2000])[2], regrets(name, losses)[2]
    assert late < early + 1.0 < 25.0  # a bound of sqrt(T ln K) would allow some 179


def test_follow_the_leader_loses_every_round_to_alternation() -> None:
    losses = np.array([[0.5, 0.0], *[[(t + 1) % 2, t % 2] for t in range(1, 200)]], dtype=float)
    held = weights.run("follow-the-leader", losses)
    assert (held[1:] * losses[1:]).sum() == 199
    assert (weights.run("adahedge", losses) * losses).sum() < 125


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_the_wealth_of_the_bayes_mixture_is_the_mean_of_the_experts_wealth(seed: int, experts: int) -> None:
    growth = np.exp(np.random.default_rng(seed).normal(0.0, 0.2, (100, experts)))
    held = weights.run("hedge", -np.log(growth), eta=1.0)
    np.testing.assert_allclose(np.cumprod((held * growth).sum(axis=1)), np.cumprod(growth, axis=0).mean(axis=1), rtol=1e-11)


@pytest.mark.parametrize(("name", "chosen"), [("eg", {"eta": 0.3}), ("ons", {"delta": 0.5, "beta": 2.0})])
def test_rules_that_compete_with_the_best_mix_are_the_online_portfolios(name: str, chosen: dict[str, float]) -> None:
    """Whose wealth, bounds and reference values tests/portfolio/test_online_portfolio.py has."""
    relatives = np.exp(np.random.default_rng(4).normal(0.0, 0.05, (150, 4)))
    np.testing.assert_allclose(weights.run(name, 1.0 - relatives, **chosen), online(relatives, name, **chosen), atol=1e-10)


@pytest.mark.parametrize("name", ["eg", "ons"])
def test_a_loss_of_everything_has_no_logarithm(name: str) -> None:
    with pytest.raises(DataError, match=r"expert 1 lost 1; .* needs losses below 1"):
        weights.make(name, 2).update([0.0, 1.0])


# -- invariances ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["adahedge", "boa", "fixed-share"])
@QUICK
@given(losses=tables(), shift=st.floats(-50.0, 50.0), power=st.integers(-40, 40))
def test_scale_and_shift_of_losses_change_no_weight(name: str, losses: Array, shift: float, power: int) -> None:
    plain = weights.run(name, losses)
    assert np.array_equal(weights.run(name, np.ldexp(losses, power)), plain)
    # Losses on a grid of 2^-20 lose nothing by a shift on that grid: then the weights are the same bits.
    grid, moved = np.round(losses * 2**20) / 2**20, round(shift * 2**20) / 2**20
    assert np.array_equal(weights.run(name, grid + moved), weights.run(name, grid))


@pytest.mark.parametrize("name", ["adahedge", "boa", "fixed-share"])
def test_any_scale_will_do(name: str) -> None:
    losses = np.random.default_rng(5).normal(0.0, 1.0, (400, 4))
    np.testing.assert_allclose(weights.run(name, 3e-5 * losses - 0.01), weights.run(name, losses), atol=1e-8)


@pytest.mark.parametrize(("name", "chosen"), RULES)
@QUICK
@given(losses=tables(rows=60))
def test_weights_are_a_distribution_that_the_future_does_not_touch(name: str, chosen: dict[str, float], losses: Array) -> None:
    losses = 0.9 * losses  # eg and ons take returns with their sign turned, which are below 1
    held = weights.run(name, losses, **chosen)
    assert (held >= 0).all()
    np.testing.assert_allclose(held.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(held[0], 1 / losses.shape[1], rtol=1e-15)
    cut = len(losses) // 2
    assert np.array_equal(weights.run(name, losses[:cut], **chosen), held[:cut])
    # The names of the experts mean nothing.
    np.testing.assert_allclose(weights.run(name, losses[:, ::-1], **chosen)[:, ::-1], held, atol=1e-9)


# -- sleepers ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "chosen"), RULES)
def test_sleepers_get_nothing_and_nan_is_sleep(name: str, chosen: dict[str, float]) -> None:
    random = np.random.default_rng(9)
    losses, awake = 0.9 * random.random((300, 5)), random.random((300, 5)) > 0.4
    awake[40] = False
    held = weights.run(name, losses, awake, **chosen)
    assert (held[~awake] == 0).all()
    assert (held[40] == 0).all()
    np.testing.assert_allclose(held.sum(axis=1), awake.any(axis=1), rtol=1e-12)
    assert np.array_equal(held, weights.run(name, np.where(awake, losses, np.nan), **chosen))
    other = np.where(awake, losses, 1e6)
    assert np.array_equal(held, weights.run(name, other, awake, **chosen))


@QUICK
@given(tables(rows=100), st.integers(0, 2**32 - 1))
def test_hedge_keeps_its_bound_against_every_expert_over_the_rounds_it_was_awake(losses: Array, seed: int) -> None:
    n, experts = losses.shape
    awake = np.random.default_rng(seed).random(losses.shape) > 0.5
    held = weights.run("hedge", losses, awake, eta=best_eta(n, experts))
    mixture = (held * losses).sum(axis=1, keepdims=True)
    beyond = np.where(awake, mixture - losses, 0.0).sum(axis=0)
    assert (beyond <= hedge_bound(losses) + 1e-9).all()


@pytest.mark.parametrize("name", ["hedge", "adahedge", "fixed-share", "boa"])
def test_who_slept_long_is_no_favourite_on_waking(name: str) -> None:
    random = np.random.default_rng(13)
    losses, awake = random.random((3000, 4)), np.ones((3000, 4), dtype=bool)
    losses[:, 0] -= 0.2
    awake[:2900, 3] = False
    held = weights.run(name, losses, awake)
    assert held[2900:, 3].mean() < 0.5
    assert held[2990:, 0].mean() > 0.5


def test_among_shares_between_those_awake() -> None:
    assert among([0.5, 0.3, 0.2], [True, False, True]).tolist() == pytest.approx([5 / 7, 0, 2 / 7])
    assert among([1.0, 0.0, 0.0], [False, True, True]).tolist() == [0, 0.5, 0.5]
    assert among([0.5, 0.5], [False, False]).tolist() == [0, 0]
    with pytest.raises(DataError, match=r"shape \(2,\), awake \(3,\)"):
        among([0.5, 0.5], [True, False, True])


# -- streams ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "chosen"), RULES)
def test_stream_saved_and_restored_is_the_batch_to_the_bit(name: str, chosen: dict[str, float], tmp_path: object) -> None:
    random = np.random.default_rng(17)
    losses, awake = 0.2 * random.normal(size=(120, 3)), random.random((120, 3)) > 0.2
    batch = weights.run(name, losses, awake, **chosen)
    stream = weights.make(name, 3, **chosen)
    for t, row in enumerate(losses):
        if t == 57:
            place = save_state(f"{tmp_path}/state", stream.state())
            stream = weights.make(name, 3, **chosen).restore(load_state(place))
        assert np.array_equal(among(stream.weights, awake[t]), batch[t])
        stream.update(row, awake[t])


def test_what_is_handed_out_is_a_copy() -> None:
    stream = weights.make("fixed-share", 2)
    stream.weights[:] = 7.0
    saved = stream.state()
    stream.update([1.0, 0.0])
    assert saved.arrays["weights"].tolist() == [0.5, 0.5]
    assert weights.make("fixed-share", 2).restore(saved).weights.tolist() == [0.5, 0.5]


# -- faults -----------------------------------------------------------------------------------------------------------
def test_unknown_words_are_answered_with_the_nearest() -> None:
    assert weights.names() == ["hedge", "adahedge", "fixed-share", "boa", "eg", "ons", "follow-the-leader"]
    with pytest.raises(SettingsError, match="did you mean 'adahedge'"):
        weights.make("adahege", 3)
    with pytest.raises(SettingsError, match="did you mean 'alpha'"):
        weights.make("fixed-share", 3, alhpa=0.1)
    for name, wrong in [("hedge", {"eta": 0.0}), ("fixed-share", {"alpha": 1.0}), ("fixed-share", {"eta": -1})]:
        with pytest.raises(SettingsError):
            weights.make(name, 3, **wrong)
    with pytest.raises(SettingsError, match="experts is 0"):
        weights.make("boa", 0)


def test_losses_that_cannot_be_used_are_refused() -> None:
    rule = weights.make("adahedge", 3)
    with pytest.raises(DataError, match=r"expected \(3,\), got losses \(2,\)"):
        rule.update([0.0, 1.0])
    with pytest.raises(DataError, match=r"awake \(1,\)"):
        rule.update([0.0, 1.0, 0.0], [True])
    with pytest.raises(DataError, match="expert 2 is infinite"):
        rule.update([0.0, 1.0, np.inf])
    assert rule.weights.tolist() == [1 / 3] * 3
    rule.update([0.0, 1.0, np.inf], [True, True, False])
    assert rule.weights[0] > rule.weights[1]
    with pytest.raises(DataError, match=r"\(time, expert\)"):
        weights.run("boa", np.zeros(3))
    with pytest.raises(DataError, match="awake has shape"):
        weights.run("boa", np.zeros((4, 2)), np.ones((4, 3), dtype=bool))


def test_states_of_others_are_refused() -> None:
    with pytest.raises(StateError, match="no state of boa"):
        weights.make("boa", 3).restore(weights.make("adahedge", 3).state())
    with pytest.raises(StateError, match="as many experts"):
        weights.make("boa", 3).restore(weights.make("boa", 4).state())


def test_no_rows_give_no_weights() -> None:
    assert weights.run("boa", np.empty((0, 3))).shape == (0, 3)
