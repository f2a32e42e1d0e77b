"""A package, a server and a client on the digits that come with the package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fusion
import numpy as np
import pytest

#: A mix that proves little and takes little: for tests of everything but verification.
SMALL: dict[str, Any] = {"copies": 2, "public_samples": 8, "tau": 3, "max_inconclusive": 1, "claimed_accuracy": 0.98}


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is remembered between runs stays among the test's files."""
    path = tmp_path_factory.mktemp("home")
    os.environ["FUSION_HOME"] = str(path)
    os.environ.pop("FUSION_TOKEN", None)
    yield path


@pytest.fixture(scope="session")
def images() -> Any:
    return fusion.digits.load()[0]


@pytest.fixture(scope="session")
def truth() -> Any:
    return fusion.digits.load()[1]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, images: Any) -> Path:
    """The digits network, prepared."""
    out = tmp_path_factory.mktemp("package") / "digits.fusion"
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    fusion.prepare(
        fusion.digits.MODEL,
        calibration=images[:64],
        out=out,
        name="digits",
        labels=names,
        claimed_accuracy=fusion.digits.ACCURACY,
        dataset="held-out MNIST digits",
        **fusion.digits.PREPARE,
    )
    return out


@pytest.fixture(scope="session")
def server(package: Path) -> Iterator[fusion.Server]:
    with fusion.serve(package) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: fusion.Server) -> fusion.Client:
    """A client that runs also what proves little."""
    return fusion.Client(server.address, allow_unsound=True)


@pytest.fixture(scope="session")
def digit_files(tmp_path_factory: pytest.TempPathFactory, images: Any, truth: Any) -> Path:
    """Forty digits as PNG files, and a list of their labels."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("digits")
    rows = ["file,class"]
    for index in range(40):
        Image.fromarray(images[index]).save(folder / f"{index:02}.png")
        rows.append(f"{index:02}.png,{truth[index]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python program as a process of its own, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *args: str) -> subprocess.Popen[str]:
        # Of a shell that runs its jobs in the background Python inherits that Ctrl-C is ignored.
        heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        command = [sys.executable, "-c", heeding + program, *args]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def labels_of(report: fusion.Report) -> Any:
    """The labels of the answers."""
    return np.array([answer["label"] for answer in report.answers])
