"""How far a call is: a bar if tqdm is installed, else a line, or what the caller does with it."""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias, Union

#: ``True``, ``False``, or a function that is called with each event.
ProgressLike: TypeAlias = Union[bool, Callable[[dict[str, Any]], object]]

#: What is counted, in words, and in which unit.
COUNTED = {
    "hint": ("hint", "B"),
    "images": ("images", "image"),
    "lanes": ("lanes", "step"),
    "answers": ("runs in the clear", "image"),
    "package": ("package", "B"),
}

STOPPING = "stopping: the lanes that run are waited for, so that the run can be resumed; Ctrl-C again leaves at once"


class Progress:
    """Shows events; a context manager that clears what it has shown."""

    def __init__(self, wanted: ProgressLike) -> None:
        self._callback = wanted if callable(wanted) else None
        self._shown = wanted is True
        self._bars: Any = None
        if self._shown:
            try:
                with warnings.catch_warnings():
                    # In notebooks without widgets it says so, and shows bars of text.
                    warnings.simplefilter("ignore")
                    self._bars = importlib.import_module("tqdm.auto").tqdm
            except ImportError:
                self._bars = None
        self._bar: Any = None
        self._stage = ""
        self._next_line = 0.0
        self._on_line = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._clear()

    @property
    def listener(self) -> Callable[[str], None] | None:
        """What the library calls; None if nobody wants to know."""
        return self._told if self._callback or self._shown else None

    def _told(self, text: str) -> None:
        event: dict[str, Any] = json.loads(text)
        if self._callback:
            self._callback(event)
        elif event["event"] == "stopping":
            self._clear()
            print(STOPPING, file=sys.stderr)
        elif event["event"] == "lane_failed":
            self._clear()
            print(f"a lane failed and runs again: {event['error']}", file=sys.stderr)
        elif event["event"] == "waiting":
            self._clear()
            print(f"waits for the server, {event['at_most_seconds']:.0f} s at most: {event['error']}", file=sys.stderr)
        elif event["event"] in COUNTED:
            self._count(event)

    def _count(self, event: dict[str, Any]) -> None:
        stage, done, total = event["event"], event["done"], event["total"]
        name, unit = COUNTED[stage]
        if stage != self._stage:
            self._clear()
            self._stage = stage
            if self._bars:
                self._bar = self._bars(total=total, desc=name, unit=unit, unit_scale=True, leave=False, mininterval=0.2)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif time.monotonic() >= self._next_line and sys.stderr is not None and sys.stderr.isatty():
            self._next_line = time.monotonic() + 0.2
            print(f"\r{name}: {100 * done / max(total, 1):.0f} % ", end="", file=sys.stderr, flush=True)
            self._on_line = True

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._on_line:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        self._bar, self._stage, self._on_line = None, "", False
