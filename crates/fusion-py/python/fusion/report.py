"""What a batch has shown: verdict, answers, guarantee, evidence."""

from __future__ import annotations

import html as _html
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _fusion
from .errors import Incomplete, Rejected

if TYPE_CHECKING:
    from ._images import Gathered

__all__ = ["Guarantee", "Report", "Run", "verify"]


#: The columns of a table of answers, in order.
ANSWER_KEYS = ("index", "file", "label", "class", "float_label", "copies")


class Run:
    """A run: the directory that keeps it, and its images as far as this process holds them.

    Parameters
    ----------
    path : path
        A directory that :meth:`fusion.Client.classify` or ``fusion query`` wrote.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        #: Absolute path of the directory.
        self.path: str = os.path.abspath(os.fspath(path))
        self._queries: Gathered | None = None
        self._publics: Gathered | None = None
        self._earlier: list[Run] = []
        self._origin = "auto"

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"Run({self.path!r})"


@dataclass(frozen=True)
class Guarantee:
    """What an accepted batch guarantees. ``str()`` of it is the text that the command prints.

    Attributes
    ----------
    in_words : str
        The first statement, without powers of two.
    position_dependent : str
        Against a server that deviates at some positions of the batch so that the answers there
        change whatever the image is.
    partly_firing : str
        Against one whose deviation changes the answer on some of the images only.
    function_dependent : str
        About the function that the server computed at all positions alike.
    over_batches : str or None
        What several batches with this model guarantee together.
    assumptions : list of str
        What all of them rest on.
    soundness_log2 : float
        Base-2 logarithm of the chance that position-dependent cheating passed, to 1e-6.
    by_firing : list of dict
        That chance by the fraction of images on which a deviation shows: ``phi`` in 0..1, ``log2``.
    accuracy : tuple of float
        Ends of the exact interval of the rate of right answers, from this batch's public samples.
    confidence : float
        Confidence of that interval, 0..1.
    """

    in_words: str
    position_dependent: str
    partly_firing: str
    function_dependent: str
    over_batches: str | None
    assumptions: list[str]
    soundness_log2: float
    by_firing: list[dict[str, Any]]
    accuracy: tuple[float, float] | None
    confidence: float | None

    def __str__(self) -> str:
        lines = [f"{self.in_words} (2^{self.soundness_log2:.2f})", self.position_dependent, self.partly_firing, self.function_dependent]
        if self.over_batches:
            lines.append(self.over_batches)
        return "\n".join([*lines, "What that assumes:", *(f"- {assumption}" for assumption in self.assumptions)])


class Report:
    """The report on one batch.

    Made by :meth:`fusion.Client.classify`, :meth:`fusion.Client.resume` and :func:`fusion.verify`.
    Shows itself as a page in notebooks and as text when printed.

    Attributes
    ----------
    run : Run
        Where the run is kept.
    """

    def __init__(self, native: _fusion.Report, run: Run) -> None:
        self._native = native
        self._data: dict[str, Any] = json.loads(native.json())
        self.run = run

    @property
    def verdict(self) -> str:
        """``"accepted"``, ``"rejected(accuracy)"``, ``"rejected(inconsistent copies)"`` or ``"incomplete"``."""
        return str(self._data["verdict"])

    @property
    def accepted(self) -> bool:
        """Whether the answers can be relied on, as far as :attr:`guarantee` says."""
        return self.verdict == "accepted"

    @property
    def answers(self) -> list[dict[str, Any]]:
        """One dict for each image: ``index``, ``file``, ``label``, ``class``, ``float_label``, ``copies``.

        ``label`` is the index of the class, None if copies of the image disagree; ``copies`` is how
        many gave the most frequent label. Empty if the batch was rejected, unless the client was
        made with ``show_rejected_answers=True``. ``pandas.DataFrame(report.answers)`` is a table.
        """
        return [{key: answer[key] for key in ANSWER_KEYS} for answer in self._data["answers"]]

    @property
    def guarantee(self) -> Guarantee | None:
        """What is guaranteed, in words and numbers; None for any other verdict than accepted."""
        words = self._data["guarantees"]
        if words is None:
            return None
        interval = self._data["public"]["interval"] or {}
        return Guarantee(
            **words,
            soundness_log2=self._data["plan"]["soundness_log2"],
            by_firing=self._data["by_firing"],
            accuracy=(interval["low"], interval["high"]) if interval else None,
            confidence=interval.get("confidence"),
        )

    @property
    def warnings(self) -> list[str]:
        """What weakens the result."""
        return list(self._data["warnings"])

    @property
    def evidence(self) -> dict[str, Any]:
        """Why the verdict is what it is: wrong public answers, disagreeing copies, failed lanes."""
        return dict(self._data["evidence"])

    @property
    def skipped(self) -> list[dict[str, str]]:
        """What lay in folders and could not be classified: ``file`` and ``reason``."""
        return list(self._data["skipped"])

    def to_dict(self) -> dict[str, Any]:
        """Everything, as ``fusion query --json`` writes it.

        Of a batch that this process ran, with ``bytes`` and ``seconds`` (payload bytes and wall-clock
        seconds by phase).
        """
        data: dict[str, Any] = json.loads(self._native.json())
        return data

    def to_text(self) -> str:
        """The text that ``fusion query`` prints."""
        return self._native.text()

    def to_html(self, path: str | os.PathLike[str] | None = None, *, images: bool = True) -> str:
        """A self-contained page: no scripts, nothing is fetched.

        Parameters
        ----------
        path : path, optional
            A file to write the page to.
        images : bool
            Whether it shows small pictures of the images, where they can be found.

        Returns
        -------
        str
            The page.
        """
        queries = self.run._queries.images if images and self.run._queries else None
        page = self._native.html(queries)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(page)
        return page

    def raise_for_verdict(self) -> Report:
        """Raises unless the batch was accepted; returns the report itself.

        Raises
        ------
        fusion.errors.Rejected
            If the server is caught.
        fusion.errors.Incomplete
            If samples have no answer.
        """
        if self.accepted:
            return self
        if self.verdict == "incomplete":
            missing = self._data["evidence"]["missing"]
            total = self._data["plan"]["R"] * self._data["plan"]["B"] + self._data["plan"]["T"]
            raise Incomplete(f"{missing} of {total} samples have no answer", run=self.run, answered=total - missing, total=total, resumable=True)
        wrong, allowed = len(self._data["evidence"]["wrong_publics"]), self._data["plan"]["tau"]
        disagreeing, tolerated = len(self._data["evidence"]["disagreements"]), self._data["plan"]["max_inconclusive"]
        raise Rejected(
            f"{self.verdict}: {wrong} public answers are wrong (at most {allowed} allowed), {disagreeing} queries have copies that "
            f"disagree (at most {tolerated} allowed); the answers may be wrong on purpose",
            self,
        )

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        plan = self._data["plan"]
        return f"<fusion.Report {self.verdict}: {plan['R']} queries, soundness 2^{plan['soundness_log2']:.2f}>"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        yield "verdict", self.verdict
        yield "answers", [answer["class"] or answer["label"] for answer in self.answers]
        if self.guarantee:
            yield "guarantee", self.guarantee.in_words
        if self.warnings:
            yield "warnings", self.warnings

    def _repr_html_(self) -> str:
        # The page has a style sheet of its own, which must not reach the notebook around it.
        page = _html.escape(self.to_html(), quote=True)
        return f'<iframe sandbox="" srcdoc="{page}" title="Fusion: {_html.escape(self.verdict)}" style="width:100%;height:36em;border:1px solid #ccc"></iframe>'


def verify(run: str | os.PathLike[str], *, show_rejected_answers: bool = False) -> Report:
    """Judges a run again, from its journal alone: no server is asked.

    Parameters
    ----------
    run : path or Run
        The directory of the run.
    show_rejected_answers : bool
        Show the answers of a rejected batch, which may be wrong on purpose.

    Returns
    -------
    Report

    Examples
    --------
    >>> fusion.verify(report.run).verdict
    'accepted'
    """
    kept = run if isinstance(run, Run) else Run(run)
    return Report(_fusion.judge(kept.path, show_rejected_answers), kept)
