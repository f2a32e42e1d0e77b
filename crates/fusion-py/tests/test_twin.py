"""The twin, and what ``fusion eval`` says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fusion
import numpy as np
import pytest
from PIL import Image


def test_twin_equals_fusion_eval(package: Path, images: Any, truth: Any, tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03}.png")
    (folder / "labels.csv").write_text("".join(f"{index:03}.png,{label}\n" for index, label in enumerate(truth)))
    (tmp_path / "digits.onnx").write_bytes(fusion.digits.MODEL)
    flags = ["--preprocess", "mnist", "--window", "13", "--weight-bits", "10", "--margin", "1.5", "--calibration-images", "64"]
    out = tmp_path / "eval.json"
    command = [sys.executable, "-m", "fusion", "eval", "--model", str(tmp_path / "digits.onnx"), "--images", str(folder), "--json", str(out), *flags]
    subprocess.run(command, check=True, capture_output=True)
    said = json.loads(out.read_text())

    found = fusion.evaluate(fusion.digits.MODEL, (images, truth), **fusion.digits.PREPARE, seed=7)
    twin = fusion.twin(package)
    labels = twin.labels(images, seed=7)
    # The package has the network of the evaluation: the same noise gives the same labels.
    assert (labels == found.twin_labels).all() and found.images == said["images"] == 600
    agreement = float((labels == found.float_labels).mean())
    assert agreement == found.label_agreement == pytest.approx(said["label_agreement"], abs=1e-9)
    assert found.top1_float == said["top1_float"] and said["top1_twin"] == pytest.approx(float((labels == truth).mean()))
    assert found.bytes_per_sample == said["bytes_per_sample"] and found.hint_bytes == said["hint_bytes"]
    assert twin.overflows(images).sum() == 0 and said["overflows"] == []


def test_images_and_tensors_are_one(package: Path, images: Any, digit_files: Path) -> None:
    twin = fusion.twin(package)
    tensors = images[:40, None].astype(np.float32) / 255
    logits = twin.logits(images[:40], seed=1)
    assert logits.shape == (40, 10) and logits.dtype == np.float32
    for form in (tensors, tensors.reshape(40, -1), digit_files):
        assert (twin.logits(form, seed=1) == logits).all()
    assert (twin.labels(tensors, seed=1) == logits.argmax(axis=1)).mean() > 0.97
    # Another seed is other noise.
    assert (twin.logits(tensors, seed=2) != logits).any() and (twin.logits(tensors) != logits).any()
    assert twin.card.name == "digits" and "digits" in repr(twin)
    with pytest.raises(fusion.BadInput, match="shape"):
        twin.labels(tensors[:, :, 1:])


def test_progress(package: Path, images: Any) -> None:
    events: list[dict[str, Any]] = []
    fusion.twin(package).labels(images[:32], progress=events.append)
    assert events[-1] == {"event": "answers", "done": 32, "total": 32}
