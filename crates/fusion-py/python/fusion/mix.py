"""The arithmetic of mixed batches: what a mix proves, the cheapest that proves enough, simulations.

No server and no images: numbers only. The definitions are those of the crate ``fusion-mix``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from . import _fusion
from .plan import Assurance, Plan, mix_keywords, plan_of

__all__ = ["Adversary", "Soundness", "Tally", "plan", "predict", "simulate", "soundness"]


@dataclass(frozen=True)
class Soundness:
    """The best chance of a server that treats positions differently.

    Attributes
    ----------
    log2 : float
        Its base-2 logarithm, at most 0. Values below -900 are given as -900.
    error_log2 : float
        Bound on the error of ``log2``.
    worst_m : int
        Number of corrupted positions that gives it.
    """

    log2: float
    error_log2: float
    worst_m: int


@dataclass(frozen=True)
class Adversary:
    """A cheating server.

    Parameters
    ----------
    corrupted : int, optional
        How many positions it corrupts; which ones does not matter, as it cannot tell them apart.
    rate : float, optional
        Or the chance, 0..1, that it corrupts a position, each on its own.
    fires : float
        Fraction of images on which a deviation changes the answer. Copies of an image change alike.
    natural_error : float
        Chance that a public answer is wrong without any deviation.
    natural_disagreement : float
        Chance that copies of a query disagree without any deviation.
    """

    corrupted: int | None = None
    rate: float | None = None
    fires: float = 1.0
    natural_error: float = 0.0
    natural_disagreement: float = 0.0


@dataclass(frozen=True)
class Tally:
    """How simulated batches ended: counts of batches, and of wrong answers in accepted ones."""

    batches: int
    accepted: int
    cheated: int
    rejected_accuracy: int
    rejected_inconsistent: int
    wrong_answers: int


def _five(mix: Plan | tuple[int, int, int, int, int]) -> tuple[int, int, int, int, int]:
    return (mix.queries, mix.copies, mix.publics, mix.tau, mix.max_inconclusive) if isinstance(mix, Plan) else mix


def soundness(queries: int, copies: int, publics: int, tau: int = 0, max_inconclusive: int = 0) -> Soundness:
    """The exact chance, in the worst case, that position-dependent cheating passes.

    Parameters
    ----------
    queries, copies, publics : int
        R images in B copies each among T public samples.
    tau, max_inconclusive : int
        Wrong public answers and disagreeing queries that are tolerated.

    Returns
    -------
    Soundness

    Examples
    --------
    >>> found = fusion.mix.soundness(1000, 5, 100)
    >>> found.log2 < -40, found.worst_m
    (True, 5)
    """
    return Soundness(*_fusion.soundness((queries, copies, publics, tau, max_inconclusive)))


def plan(
    queries: int,
    *,
    claimed_accuracy: float | None = None,
    detect_below: float | None = None,
    assurance: Assurance = "standard",
    soundness_bits: float | None = None,
    pool: int | None = None,
    certified: bool = False,
    fires: float = 1.0,
    alpha: float = 1e-3,
    beta: float = 1e-3,
    flip_rate: float | None = None,
) -> Plan:
    """The cheapest plan for a model of which only the claim is known.

    Parameters
    ----------
    queries : int
        Images to classify.
    claimed_accuracy : float
        What the model's owner claims, 0..1.
    detect_below : float, optional
        A model below this accuracy must be noticed.
    assurance : {"standard", "covert"}
        At most 2^-40 for cheating that always shows, or caught with 99 %.
    soundness_bits : float, optional
        The same as a number: at most 2^-soundness_bits.
    pool : int, optional
        Public samples that there are [default: as many as are wanted].
    certified : bool
        The labels are the model's own answers, and not the truth.
    fires : float
        Be as certain about deviations that show on this fraction of the images or more.
    alpha, beta : float
        Bounds on the chances to reject an honest server, and to accept a model at ``detect_below``.
    flip_rate : float, optional
        Chance that a copy's label is not the usual one of its image.

    Returns
    -------
    Plan

    Examples
    --------
    >>> found = fusion.mix.plan(512, claimed_accuracy=0.747, detect_below=0.60)
    >>> found.sound, round(found.overhead, 2) < 6
    (True, True)
    """
    keywords = mix_keywords(
        assurance=assurance,
        soundness_bits=soundness_bits,
        fires=fires,
        claimed_accuracy=claimed_accuracy,
        detect_below=detect_below,
        alpha=alpha,
        beta=beta,
        flip_rate=flip_rate,
    )
    return plan_of(json.loads(_fusion.standalone_plan(queries, pool, certified, json.dumps(keywords))), keywords)


def simulate(
    mix: Plan | tuple[int, int, int, int, int],
    adversary: Adversary,
    batches: int = 10_000,
    seed: int | None = None,
) -> Tally:
    """Plays whole batches against a server, to check the arithmetic against what happens.

    Parameters
    ----------
    mix : Plan, or (queries, copies, publics, tau, max_inconclusive)
        What is mixed and tolerated.
    adversary : Adversary
        What the server does.
    batches : int
        Batches played.
    seed : int, optional
        For the same batches again, 0..2^64-1 [default: randomness of the operating system].

    Returns
    -------
    Tally

    Examples
    --------
    >>> weak = (4, 2, 2, 0, 0)
    >>> tally = fusion.mix.simulate(weak, fusion.mix.Adversary(corrupted=2), batches=20_000, seed=7)
    >>> abs(tally.cheated / tally.batches - fusion.mix.predict(weak, fusion.mix.Adversary(corrupted=2))[1]) < 0.01
    True
    """
    return Tally(**_fusion.simulate(_five(mix), json.dumps(_fields(adversary)), batches, seed))


def predict(mix: Plan | tuple[int, int, int, int, int], adversary: Adversary) -> tuple[float, float]:
    """The exact chances of a batch against a server.

    Parameters
    ----------
    mix : Plan, or (queries, copies, publics, tau, max_inconclusive)
        What is mixed and tolerated.
    adversary : Adversary
        What the server does.

    Returns
    -------
    accepted, cheated : float
        That the batch is accepted, and that it is with a wrong answer among the conclusive ones.
    """
    return _fusion.predict(_five(mix), json.dumps(_fields(adversary)))


def _fields(adversary: Adversary) -> dict[str, Any]:
    return dict(vars(adversary))
