"""The arithmetic of mixed batches."""

from __future__ import annotations

import fusion
import pytest
from fusion import mix


def test_known_values() -> None:
    # Two queries, one copy each, no public samples: corrupting everything always wins.
    assert mix.soundness(2, 1, 0).log2 == pytest.approx(0, abs=1e-9)
    found = mix.soundness(1000, 5, 100)
    assert found.log2 <= -40 and found.worst_m == 5 and found.error_log2 < 1e-3


def test_plans_meet_what_is_asked() -> None:
    plan = mix.plan(512, claimed_accuracy=0.747, detect_below=0.60)
    assert plan.sound and plan.false_reject <= 1e-3 and plan.false_accept is not None and plan.false_accept <= 1e-3
    again = mix.soundness(plan.queries, plan.copies, plan.publics, plan.tau, plan.max_inconclusive)
    assert again.log2 == pytest.approx(plan.soundness_log2, abs=1e-5)
    assert mix.plan(512, claimed_accuracy=0.747, soundness_bits=20).soundness_log2 > plan.soundness_log2
    assert mix.plan(4, certified=True, pool=100).publics <= 100
    with pytest.raises(fusion.BadInput, match="claimed_accuracy"):
        mix.plan(4)


def test_simulation_is_what_is_predicted() -> None:
    weak = (4, 2, 2, 0, 0)
    for adversary in (mix.Adversary(corrupted=2), mix.Adversary(rate=0.5, fires=0.5), mix.Adversary(corrupted=0, natural_error=0.1)):
        accepted, cheated = mix.predict(weak, adversary)
        tally = mix.simulate(weak, adversary, batches=50_000, seed=3)
        assert tally.accepted / tally.batches == pytest.approx(accepted, abs=0.01)
        assert tally.cheated / tally.batches == pytest.approx(cheated, abs=0.01)
        assert tally == mix.simulate(weak, adversary, batches=50_000, seed=3)
    assert mix.simulate(weak, mix.Adversary(rate=0.5), 5000) != mix.simulate(weak, mix.Adversary(rate=0.5), 5000)
