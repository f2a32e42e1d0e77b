"""Ctrl-C, and other threads meanwhile."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fusion
from conftest import SMALL, labels_of

CLASSIFY = """
import sys, fusion
images, truth = fusion.digits.load()
client = fusion.Client(sys.argv[1], lanes=1, lane_samples=2, allow_unsound=True, home=sys.argv[3])
def told(event):
    if event["event"] == "lane_done":
        print("lane", flush=True)
mix = dict(copies=8, public_samples=64, tau=9, max_inconclusive=3, claimed_accuracy=0.98)
try:
    client.classify(images[:16], publics=(images[16:], truth[16:]), out=sys.argv[2], progress=told, **mix)
except KeyboardInterrupt as stop:
    print("stopped", stop.run.path, flush=True)
"""

SIMULATE = """
import fusion
print("begun", flush=True)
try:
    fusion.mix.simulate((64, 8, 64, 1, 0), fusion.mix.Adversary(corrupted=8), batches=10**12)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""

Start = Callable[..., "subprocess.Popen[str]"]


def test_an_interrupted_run_is_resumed(server: fusion.Server, python: Start, tmp_path: Path, home: Path, images: Any, truth: Any) -> None:
    run = tmp_path / "run"
    child = python(CLASSIFY, server.address, str(run), str(home))
    assert child.stdout is not None and child.stdout.readline() == "lane\n"
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert out.splitlines()[-1] == f"stopped {run}", (out, errors)
    assert child.returncode == 0 and time.monotonic() - began < 30
    assert fusion.verify(run).verdict == "incomplete"
    # Images in memory are not kept with a run: they are given again.
    client = fusion.Client(server.address, allow_unsound=True)
    try:
        client.resume(run)
    except fusion.BadInput as error:
        assert "images=" in str(error)
    else:
        raise AssertionError("images from nowhere")
    try:
        client.resume(run, images=images[1:17], publics=(images[16:], truth[16:]))
    except fusion.BadInput as error:
        assert "changed" in str(error)
    else:
        raise AssertionError("other images")
    done_before = len((run / "answers.jsonl").read_text().splitlines())
    report = client.resume(run, images=images[:16], publics=(images[16:], truth[16:]))
    assert report.accepted and (labels_of(report) == truth[:16]).mean() > 0.9
    assert report.to_dict()["seconds"]["by_lane"].__len__() == 96 - done_before


def test_a_call_that_tells_nothing_is_interrupted(python: Start) -> None:
    child = python(SIMULATE)
    assert child.stdout is not None and child.stdout.readline() == "begun\n"
    time.sleep(0.5)
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert out == "stopped\n" and child.returncode == 0, (out, errors)
    assert time.monotonic() - began < 15


def test_other_threads_run_meanwhile(client: fusion.Client, images: Any, truth: Any) -> None:
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.005):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.monotonic()
    client.classify(images[:32], publics=(images[40:], truth[40:]), progress=False, **{**SMALL, "copies": 8, "public_samples": 64, "tau": 9})
    ended = time.monotonic()
    stop.set()
    thread.join()
    during = sum(began < moment < ended for moment in ticks)
    # Alone it would tick 200 times a second; with the lock held, not at all.
    assert ended - began > 0.3 and during > 10 * (ended - began), (during, ended - began)


def test_calls_from_several_threads(client: fusion.Client, images: Any, truth: Any) -> None:
    found: list[Any] = [None, None]

    def work(at: int) -> None:
        found[at] = client.classify(images[at : at + 2], publics=(images[16:], truth[16:]), progress=False, **SMALL)

    threads = [threading.Thread(target=work, args=(at,)) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(report.accepted for report in found) and found[0].run.path != found[1].run.path
