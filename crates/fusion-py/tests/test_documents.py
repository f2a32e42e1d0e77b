"""Examples of docstrings and READMEs run; types and stubs fit."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fusion
import pytest

CRATE = Path(__file__).parents[1]
MODULES = sorted(info.name for info in pkgutil.iter_modules(fusion.__path__) if not info.name.startswith("_"))


def examples(module: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder().find(importlib.import_module(f"fusion.{module}"))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module: str, package: Path, server: fusion.Server, client: fusion.Client, images: Any, truth: Any, tmp_path: Path) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    names: dict[str, Any] = {"fusion": fusion, "package": package, "server": server, "client": client, "folder": tmp_path}
    if module == "report":
        names["report"] = client.classify(images[:1], publics=(images[1:], truth[1:]), detect_below=0.8, progress=False)
    for test in examples(module):
        test.globs = dict(names)
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_there_are_examples() -> None:
    # Of the client, its plans and batches, serving, preparing, evaluating, the twin, verifying, the arithmetic, digits.
    assert sum(len(examples(module)) for module in MODULES) >= 11


def blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("readme", [CRATE / "README.md", CRATE.parents[1] / "README.md"], ids=["crate", "root"])
def test_readmes(readme: Path, tmp_path: Path) -> None:
    found = blocks(readme)
    assert found, f"{readme} has no Python"
    for at, block in enumerate(found):
        lines = [line for line in block.splitlines() if line.strip()]
        began = time.monotonic()
        folder = tmp_path / str(at)
        folder.mkdir()
        environment = {**os.environ, "FUSION_HOME": str(folder / "home")}
        done = subprocess.run([sys.executable, "-c", block], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        if readme.parent != CRATE:
            assert len(lines) <= 10 and "accepted" in done.stdout, done.stdout
            print(f"the script of the README took {time.monotonic() - began:.1f} s")


def run_module(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *args], cwd=CRATE, capture_output=True, text=True)


def test_types() -> None:
    checked = run_module("mypy", "--config-file", "pyproject.toml", "python/fusion", "tests")
    assert checked.returncode == 0, checked.stdout


def test_stubs() -> None:
    checked = run_module("mypy.stubtest", "fusion._fusion")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_public_functions_are_documented() -> None:
    for name in fusion.__all__:
        value = getattr(fusion, name)
        if callable(value):
            assert value.__doc__ and not value.__doc__.startswith(f"{name}("), name
        for method, member in vars(value).items() if isinstance(value, type) else []:
            if callable(member) and not method.startswith("_"):
                assert member.__doc__, f"{name}.{method}"


def test_the_command() -> None:
    assert "fusion" in run_module("fusion", "--help").stdout
    assert run_module("fusion", "no-such-command").returncode == 2
    refused = run_module("fusion", "plan", "--queries", "4")
    assert refused.returncode == 1 and "--claimed-accuracy" in refused.stderr
    assert run_module("fusion", "demo").returncode == 2
