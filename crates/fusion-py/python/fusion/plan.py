"""Plans: how often each image is run, among how many public samples, and what that proves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["Plan"]

#: ``"standard"``: cheating that always shows passes with chance at most 2^-40. ``"covert"``: it is
#: caught with 99 %.
Assurance: TypeAlias = Literal["standard", "covert"]
#: Where the labels of public samples come from.
KnownFrom: TypeAlias = Literal["auto", "truth", "certified"]


@dataclass(frozen=True)
class Plan:
    """What a batch mixes and tolerates, and what is known of it before it runs.

    Attributes
    ----------
    queries : int
        Images to classify.
    copies : int
        How often each is run.
    publics : int
        Public samples among them.
    tau : int
        Public answers that may be wrong.
    max_inconclusive : int
        Queries whose copies may disagree.
    soundness_log2 : float
        Base-2 logarithm of the best chance of position-dependent cheating to pass, to 1e-6.
    sound : bool
        Whether that is what was asked for.
    overhead : float
        Inferences for each query: copies + publics / queries.
    worst_m : int
        How many positions that server corrupts.
    false_reject : float
        Chance that an honest server is rejected.
    false_accept : float or None
        Chance that a model at ``detect_below`` is accepted; None if none was named.
    guarantee : str
        What an accepted batch will guarantee, in words.
    by_firing : list of dict
        The chance of cheating by the fraction of images on which it shows (``phi``, ``log2``).
    """

    queries: int
    copies: int
    publics: int
    tau: int
    max_inconclusive: int
    soundness_log2: float
    sound: bool
    overhead: float
    worst_m: int
    false_reject: float
    false_accept: float | None
    guarantee: str
    by_firing: list[dict[str, Any]] = field(repr=False)
    _keywords: dict[str, Any] = field(repr=False, compare=False, default_factory=dict)

    @property
    def samples(self) -> int:
        """Inferences of the whole batch."""
        return self.queries * self.copies + self.publics


def mix_keywords(
    *,
    assurance: Assurance = "standard",
    soundness_bits: float | None = None,
    fires: float = 1.0,
    claimed_accuracy: float | None = None,
    detect_below: float | None = None,
    alpha: float = 1e-3,
    beta: float = 1e-3,
    flip_rate: float | None = None,
    copies: int | None = None,
    public_samples: int | None = None,
    tau: int | None = None,
    max_inconclusive: int | None = None,
) -> dict[str, Any]:
    """What to mix and tolerate, as the library reads it."""
    return {
        "assurance": assurance,
        "lambda": soundness_bits,
        "fires": fires,
        "claimed_accuracy": claimed_accuracy,
        "detect_below": detect_below,
        "alpha": alpha,
        "beta": beta,
        "flip_rate": flip_rate,
        "copies": copies,
        "public_samples": public_samples,
        "tau": tau,
        "max_inconclusive": max_inconclusive,
    }


def plan_of(data: dict[str, Any], keywords: dict[str, Any]) -> Plan:
    """A plan from what the library says of it; run again, it is this very mix."""
    given = {"copies": data["B"], "public_samples": data["T"], "tau": data["tau"], "max_inconclusive": data["max_inconclusive"]}
    words = data["guarantees"]
    return Plan(
        queries=data["R"],
        copies=data["B"],
        publics=data["T"],
        tau=data["tau"],
        max_inconclusive=data["max_inconclusive"],
        soundness_log2=data["soundness_log2"],
        sound=data["sound"],
        overhead=data["overhead"],
        worst_m=data["worst_m"],
        false_reject=data["false_reject"],
        false_accept=data["false_accept"],
        guarantee="\n".join([words["in_words"], words["partly_firing"], words["function_dependent"]]),
        by_firing=data["by_firing"],
        _keywords={**keywords, **given},
    )
