"""The client: card, plans, private classification."""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import _fusion
from ._images import (
    MNIST,
    Gathered,
    candidates_of,
    gather,
    gather_labelled,
    is_run,
    publics_of,
    queries_of,
    source_of,
)
from ._progress import Progress, ProgressLike
from .errors import BadInput, Incomplete
from .plan import Assurance, KnownFrom, Plan, mix_keywords, plan_of
from .report import Report, Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._images import ImagesLike, Labels, PublicsLike

__all__ = ["Card", "Client", "home"]

_runs = itertools.count()


def home() -> str:
    """The directory of what is remembered between runs: hints, known models, tallies, runs.

    ``FUSION_HOME``, else ``fusion`` in ``XDG_DATA_HOME``, else in ``~/.local/share``: as the command
    has it.
    """
    named = os.environ.get("FUSION_HOME")
    if named:
        return os.path.abspath(named)
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(data, "fusion")


@dataclass(frozen=True)
class Card:
    """The public description of a model. All of it is what its owner says.

    Attributes
    ----------
    name : str
    classes : int
        Number of classes.
    class_names : list of str
        By index; empty if the model names none.
    claimed_accuracy : float or None
        Fraction of right answers, 0..1, on ``dataset``.
    dataset : str or None
    input_shape : tuple of int
        (planes, rows, columns) that the network reads.
    digest : str
        Of the model, hexadecimal: what clients pin.
    hint_digest : str
        Of the hint alone: the identity of the weights.
    hint_bytes : int
        Bytes that a client downloads once.
    steps : int
        Steps of the program.
    flip_rate : float or None
        Chance that a copy's label is not the usual one of its image, as the owner measured it.
    answers : bool
        Whether answers to public images are published with the model.
    logits_bits : int
        Bits of each logit that clients may ask for; 0 for labels only.
    """

    name: str
    classes: int
    class_names: list[str] = field(repr=False)
    claimed_accuracy: float | None
    dataset: str | None
    input_shape: tuple[int, int, int]
    digest: str
    hint_digest: str
    hint_bytes: int
    steps: int
    flip_rate: float | None
    answers: bool
    logits_bits: int


def card_of(data: dict[str, Any]) -> Card:
    """The card from what the library says of it."""
    fields = {name: data[name] for name in Card.__dataclass_fields__}
    return Card(**{**fields, "input_shape": tuple(data["input_shape"])})


class Client:
    """A server whose model is known, trusted and ready to be used.

    Connects, checks the card and that the model is the one known at this address (or pinned), and
    downloads the hint unless it is there already.

    Parameters
    ----------
    address : str
        ``host:port``.
    ca : path, optional
        PEM file of the authority of the server's certificate: turns TLS on.
    token : str, optional
        Bearer token to present [default: the variable ``FUSION_TOKEN``, if it is set].
    insecure : bool
        Allow plaintext to a server on another machine.
    model : str, optional
        Which of the server's models, where it has several: its name, or its digest, which is then
        pinned.
    pin : str, optional
        Digest of the model; anything else is refused. Without it the first digest seen at an
        address is remembered.
    home : path, optional
        Directory of what is remembered between runs [default: :func:`fusion.client.home`].
    lanes : int, optional
        Lanes side by side [default: by cores and round trip].
    lane_samples : int, optional
        Samples in one lane [default: what fits a moderate memory]. A run is kept lane by lane.
    server_name : str, optional
        Name in the server's certificate, if it is not the host's.
    client_cert, client_key : path, optional
        PEM files for mutual TLS.
    max_failures : int
        Lanes of a run that may break the protocol before it ends.
    patience : float
        Seconds that a run waits in all for a server that is away or has no room.
    allow_unsound : bool
        Run mixes that are weaker than what is asked for: for experiments.
    show_rejected_answers : bool
        Show answers of rejected batches, which may be wrong on purpose.
    progress : bool or callable
        Show the download of the hint; or a function that is called with dicts.

    Raises
    ------
    fusion.errors.ServerUnavailable
        If nobody answers.
    fusion.errors.Untrusted
        If the model is not the one that was seen before or pinned, or is malformed.

    Examples
    --------
    >>> client = fusion.Client(server.address)
    >>> client.card.name, client.card.classes
    ('digits', 10)
    """

    def __init__(
        self,
        address: str,
        *,
        ca: str | os.PathLike[str] | None = None,
        token: str | None = None,
        insecure: bool = False,
        model: str | None = None,
        pin: str | None = None,
        home: str | os.PathLike[str] | None = None,
        lanes: int | None = None,
        lane_samples: int | None = None,
        server_name: str | None = None,
        client_cert: str | os.PathLike[str] | None = None,
        client_key: str | os.PathLike[str] | None = None,
        max_failures: int = 8,
        patience: float = 300.0,
        allow_unsound: bool = False,
        show_rejected_answers: bool = False,
        progress: ProgressLike = True,
    ) -> None:
        self._home = os.path.abspath(os.fspath(home)) if home is not None else globals()["home"]()
        keywords = {
            "address": address,
            "home": self._home,
            "ca": path_or_none(ca),
            "server_name": server_name,
            "client_cert": path_or_none(client_cert),
            "client_key": path_or_none(client_key),
            "token": token or os.environ.get("FUSION_TOKEN") or None,
            "insecure": insecure,
            "model": model,
            "pin": pin,
            "lanes": lanes,
            "lane_samples": lane_samples,
            "max_failures": max_failures,
            "patience": float(patience),
            "allow_unsound": allow_unsound,
            "show_rejected_answers": show_rejected_answers,
        }
        self.address = address
        with Progress(progress) as shown:
            self._native = _fusion.Client.connect(json.dumps(keywords), shown.listener)
        facts: dict[str, Any] = json.loads(self._native.facts())
        #: The model's card.
        self.card: Card = card_of(facts)
        #: ``"pinned"``, ``"first-use"`` or ``"known"``: why the model is trusted.
        self.trust: str = facts["trust"]
        #: Lanes that run side by side.
        self.lanes: int = facts["lanes"]

    def __repr__(self) -> str:
        return f"<fusion.Client of {self.card.name!r} at {self.address}>"

    def plan(
        self,
        queries: int,
        *,
        publics: PublicsLike | None = None,
        pool: int | None = None,
        known_from: KnownFrom = "auto",
        detect_below: float | None = None,
        assurance: Assurance = "standard",
        soundness_bits: float | None = None,
        fires: float = 1.0,
        claimed_accuracy: float | None = None,
        alpha: float = 1e-3,
        beta: float = 1e-3,
        flip_rate: float | None = None,
        copies: int | None = None,
        public_samples: int | None = None,
        tau: int | None = None,
        max_inconclusive: int | None = None,
    ) -> Plan:
        """The cheapest plan for so many images; nothing is run.

        Parameters
        ----------
        queries : int
            Images to classify.
        publics : images with known answers, optional
            As for :meth:`classify`: a plan for this very pool.
        pool : int, optional
            Or only its size [default: as many as are wanted].
        known_from : {"auto", "truth", "certified"}
            As for :meth:`classify`.
        detect_below : float, optional
            A model below this accuracy, 0..1, must be noticed.
        assurance : {"standard", "covert"}
            Cheating that always shows passes with chance at most 2^-40, or is caught with 99 %.
        soundness_bits : float, optional
            The same as a number: at most 2^-soundness_bits.
        fires : float
            Be as certain about deviations that show on this fraction of the images or more.
        claimed_accuracy : float, optional
            Accuracy claimed for the model, 0..1 [default: the card's].
        alpha : float
            An honest server is rejected with chance at most alpha.
        beta : float
            A model at ``detect_below`` is accepted with chance at most beta.
        flip_rate : float, optional
            Chance that a copy's label is not the usual one of its image [default: the card's].
        copies, public_samples, tau, max_inconclusive : int, optional
            Judge this very mix: all four.

        Returns
        -------
        Plan

        Examples
        --------
        >>> client.plan(queries=512, detect_below=0.8).sound
        True
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
            copies=copies,
            public_samples=public_samples,
            tau=tau,
            max_inconclusive=max_inconclusive,
        )
        known = None
        if publics is not None:
            found, earlier, origin = self._sources(publics, None, known_from)
            known = self._pool(found, earlier, origin, keywords)
        text = self._native.plan(queries, known, pool, known_from == "certified", json.dumps(keywords))
        return plan_of(json.loads(text), keywords)

    def classify(
        self,
        images: ImagesLike,
        *,
        publics: PublicsLike,
        labels: Labels | None = None,
        known_from: KnownFrom = "auto",
        plan: Plan | None = None,
        out: str | os.PathLike[str] | None = None,
        progress: ProgressLike = True,
        strict: bool = False,
        detect_below: float | None = None,
        assurance: Assurance = "standard",
        soundness_bits: float | None = None,
        fires: float = 1.0,
        claimed_accuracy: float | None = None,
        alpha: float = 1e-3,
        beta: float = 1e-3,
        flip_rate: float | None = None,
        copies: int | None = None,
        public_samples: int | None = None,
        tau: int | None = None,
        max_inconclusive: int | None = None,
    ) -> Report:
        """Classifies images privately, and checks the server.

        The images, each in several copies, are hidden among public samples whose answers you know.
        Other Python threads run meanwhile; Ctrl-C stops the run, which can be resumed.

        Parameters
        ----------
        images : path, PIL image, array, or several
            Files, folders, PIL images, or arrays of uint8 pixels (0..255): HxW or HxWx1 of luma,
            HxWx3 of red, green, blue, or batches NxHxW and NxHxWxC. They are scaled and cropped as
            the model's card says. Of folders, what cannot be read is left out and listed in
            ``report.skipped``.
        publics : images with known answers
            A pair of a folder and its list of labels (CSV: ``name,class``), a pair of images and
            their labels, a list of (image, label), ``"mnist"`` for the digits of this package, an
            earlier accepted run or its report; images without labels if the model's owner has
            published answers.
        labels : path or sequence of int, optional
            The labels of ``publics``, if they are not in it. Classes are counted from 0.
        known_from : {"auto", "truth", "certified"}
            What the labels are: the truth; or the model's own answers, for which somebody vouches.
            ``"auto"``: if the owner has published answers, those are tested, and held against the
            labels first; else the labels, as the truth.
        plan : Plan, optional
            What :meth:`plan` gave for as many images. Else the cheapest plan is taken.
        out : path, optional
            Directory that keeps the run [default: a new one in the home directory].
        progress : bool or callable
            Show progress on standard error (a bar if tqdm is installed), or a function that is
            called with dicts, such as ``{"event": "lanes", "done": 3, "total": 10, ...}``.
        strict : bool
            Raise :class:`fusion.errors.Rejected` for a rejected batch.
        detect_below, assurance, soundness_bits, fires, claimed_accuracy, alpha, beta, flip_rate
            As for :meth:`plan`.
        copies, public_samples, tau, max_inconclusive : int, optional
            Use this very mix: all four.

        Returns
        -------
        Report
            The verdict, the answers if it is accepted, and what that guarantees.

        Raises
        ------
        fusion.errors.Incomplete
            If lanes fail too often; what was answered is kept, see its ``run``.
        fusion.errors.BadInput
            For images or labels that cannot be used, or too few public samples.
        KeyboardInterrupt
            For Ctrl-C, with the attribute ``run``: ``client.resume(error.run)`` goes on.

        Examples
        --------
        >>> images, truth = fusion.digits.load()
        >>> report = client.classify(images[2:4], publics=(images[4:], truth[4:]), detect_below=0.8, progress=False)
        >>> report.verdict, [answer["label"] for answer in report.answers]
        ('accepted', [4, 5])
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
            copies=copies,
            public_samples=public_samples,
            tau=tau,
            max_inconclusive=max_inconclusive,
        )
        if plan is not None:
            if keywords != mix_keywords():
                raise BadInput("a plan says what is mixed and tolerated: pass it, or what it is to be made of, not both")
            keywords = plan._keywords
        run = Run(out if out is not None else self._new_run())
        queries = gather(images)
        found, earlier, origin = self._sources(publics, labels, known_from)
        run._queries = Gathered(self._native.readable(queries.images), queries.paths)
        run._publics, run._earlier, run._origin = found, earlier, origin
        if len(run._queries.images) == 0:
            raise BadInput("there is nothing to classify: none of the images can be read")
        if plan is not None and plan.queries != len(run._queries.images):
            raise BadInput(f"the plan is for {plan.queries} images, given are {len(run._queries.images)}")
        pool = self._pool(found, earlier, origin, keywords)
        source = json.dumps(_source(run))
        with Progress(progress) as shown:
            return self._finished(
                run, strict, lambda: self._native.classify(run._queries.images, pool, json.dumps(keywords), run.path, source, shown.listener)
            )

    def resume(
        self,
        run: str | os.PathLike[str] | Run,
        *,
        images: ImagesLike | None = None,
        publics: PublicsLike | None = None,
        labels: Labels | None = None,
        progress: ProgressLike = True,
        strict: bool = False,
    ) -> Report:
        """Goes on with an interrupted run; also one that ``fusion query`` began.

        Parameters
        ----------
        run : Run or path
            What ``error.run`` says, or the directory that keeps the run.
        images, publics, labels
            As for :meth:`classify`: needed if the run was begun by another process with images in
            memory, which are not kept. They must be the same.
        progress, strict
            As for :meth:`classify`.

        Returns
        -------
        Report

        Raises
        ------
        fusion.errors.Incomplete
            If lanes fail again; those that failed before count.
        fusion.errors.Untrusted
            If the server has another model now.
        fusion.errors.BadInput
            If the images are not the same.
        """
        kept = run if isinstance(run, Run) else Run(run)
        if images is not None:
            kept._queries = gather(images)
        if kept._publics is None and not kept._earlier:
            as_labelled = source_of(kept.path).get("as_labelled")
            kept._origin = {"ground-truth": "truth", "certified": "certified"}.get(str(as_labelled), "auto")
        if publics is not None:
            kept._publics, kept._earlier, kept._origin = self._sources(publics, labels, kept._origin)
        queries, (found, earlier) = queries_of(kept), publics_of(kept)
        kept._queries = Gathered(self._native.readable(queries.images), queries.paths)
        kept._publics, kept._earlier = found, earlier
        pool = self._pool(found, earlier, kept._origin, mix_keywords())
        with Progress(progress) as shown:
            return self._finished(
                kept, strict, lambda: self._native.resume(kept._queries.images, pool, kept.path, shown.listener)
            )

    def _finished(self, run: Run, strict: bool, work: Any) -> Report:
        try:
            report = Report(work(), run)
        except Incomplete as error:
            error.run = run
            raise
        except KeyboardInterrupt as error:
            error.run = run  # type: ignore[attr-defined]
            if hasattr(error, "add_note") and os.path.isfile(os.path.join(run.path, "run.json")):
                error.add_note(f"The run is kept: go on with client.resume({run.path!r}).")
            raise
        return report.raise_for_verdict() if strict else report

    def _new_run(self) -> str:
        return os.path.join(self._home, "runs", f"{int(time.time())}-{os.getpid()}-{next(_runs)}")

    def _sources(self, publics: Any, labels: Any, known_from: str) -> tuple[Gathered | None, list[Run], str]:
        """Images with known answers, earlier runs, and where the labels come from."""
        if known_from not in ("auto", "truth", "certified"):
            raise BadInput(f'known_from is "auto", "truth" or "certified", not {known_from!r}')
        if is_run(publics):
            run = publics.run if isinstance(publics, Report) else publics if isinstance(publics, Run) else Run(publics)
            return None, [run], known_from
        found = gather_labelled(publics, labels)
        # Nobody has published answers to these.
        origin = "truth" if found.mnist and known_from == "auto" else known_from
        return found, [], origin

    def _pool(self, found: Gathered | None, earlier: Iterable[Run], origin: str, keywords: dict[str, Any]) -> _fusion.Pool:
        runs = [candidate for run in earlier for candidate in candidates_of(run)]
        return self._native.pool(found.images if found else None, runs, origin, json.dumps(keywords))


def path_or_none(path: str | os.PathLike[str] | None) -> str | None:
    """A path as text."""
    return None if path is None else os.path.abspath(os.fspath(path))


def _source(run: Run) -> dict[str, Any]:
    """What the journal keeps, from which ``fusion query --resume`` finds the images again, too."""
    queries, publics = run._queries, run._publics
    as_labelled = {"truth": "ground-truth", "certified": "certified"}.get(run._origin)
    in_memory = {"in_memory": True, "as_labelled": as_labelled}
    if queries is None or queries.paths is None:
        return in_memory
    kept: Any = None
    if publics is not None:
        if publics.mnist:
            kept = MNIST
        elif publics.paths is not None and len(publics.paths) == 1:
            kept = {"folder": {"images": publics.paths[0], "labels": publics.labels}}
        else:
            return in_memory
    return {"queries": queries.paths, "publics": kept, "known_from": [other.path for other in run._earlier], "as_labelled": as_labelled}
