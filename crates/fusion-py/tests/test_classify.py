"""Images in all their forms, public samples in all theirs, and what a report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fusion
import numpy as np
import pandas  # type: ignore[import-untyped, unused-ignore]
import pytest
from conftest import SMALL, labels_of
from PIL import Image


def test_sixteen_digits_are_verified(server: fusion.Server, images: Any, truth: Any, tmp_path: Path) -> None:
    client = fusion.Client(server.address)
    assert client.card.name == "digits" and client.card.classes == 10 and client.card.input_shape == (1, 28, 28)
    assert client.card.class_names[7] == "seven" and client.card.claimed_accuracy == fusion.digits.ACCURACY
    plan = client.plan(16, publics=(images[16:], truth[16:]), detect_below=0.8)
    assert plan.sound and plan.soundness_log2 <= -40 and plan.samples == 16 * plan.copies + plan.publics
    report = client.classify(images[:16], publics=(images[16:], truth[16:]), plan=plan, out=tmp_path / "run")
    assert report.accepted and report.verdict == "accepted"
    assert (labels_of(report) == truth[:16]).mean() > 0.9
    table = pandas.DataFrame(report.answers)
    assert list(table.columns) == ["index", "file", "label", "class", "float_label", "copies"] and len(table) == 16
    guarantee = report.guarantee
    assert guarantee is not None and guarantee.soundness_log2 == plan.soundness_log2 and guarantee.accuracy is not None
    assert "passes" in str(guarantee) or "gets a wrong answer past you" in str(guarantee)
    assert guarantee.in_words in report.to_text() and all(line in report.to_text() for line in guarantee.assumptions)
    data = report.to_dict()
    assert data["seconds"]["total"] > 0 and data["bytes"]["client_to_server"] > 0
    # The same from the journal alone, by the function and by the command's own format.
    again = fusion.verify(tmp_path / "run")
    assert again.verdict == "accepted" and again.answers == report.answers
    assert report.raise_for_verdict() is report


def test_a_report_shows_itself(client: fusion.Client, images: Any, truth: Any, tmp_path: Path) -> None:
    report = client.classify(images[:2], publics=(images[2:], truth[2:]), **SMALL)
    page = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == page
    assert page.startswith("<!doctype html>") and page.count("data:image/png;base64,") == 2
    assert report.to_html(images=False).count("data:image/png") == 0
    in_notebook = report._repr_html_()
    assert in_notebook.startswith('<iframe sandbox="" srcdoc="') and "<style" not in in_notebook
    assert str(report) == report.to_text() and "accepted" in repr(report)
    assert dict(report.__rich_repr__())["verdict"] == "accepted"


def test_arrays_pictures_and_files_give_equal_answers(client: fusion.Client, digit_files: Path, images: Any, truth: Any) -> None:
    paths = sorted(digit_files.glob("0[0-5].png"))
    publics = (images[40:], truth[40:])
    forms: list[Any] = [
        images[:6],
        images[:6, :, :, None],
        np.repeat(images[:6, :, :, None], 3, axis=3),
        list(images[:6]),
        [Image.open(path) for path in paths],
        [Image.open(path).convert("RGBA") for path in paths],
        paths,
        [str(paths[0]), Image.open(paths[1]), images[2], images[3:6]],
    ]
    reports = [client.classify(form, publics=publics, progress=False, **SMALL) for form in forms]
    for report in reports:
        assert report.accepted and (labels_of(report) == labels_of(reports[0])).all()
    assert reports[6].answers[5]["file"] == "05.png" and reports[4].answers[5]["file"] == "05.png"


def test_a_photo_is_turned_in_memory_as_in_a_file(client: fusion.Client, tmp_path: Path, images: Any) -> None:
    from fusion._images import gather

    photo = Image.fromarray(images[0])
    turned = Image.Exif()
    turned[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=turned, quality=100)
    in_memory = gather(Image.open(tmp_path / "turned.jpg"))
    assert in_memory.paths is None and in_memory.images.names() == ["turned.jpg"]
    stored = np.asarray(Image.open(tmp_path / "turned.jpg"))
    from fusion._images import from_pil

    assert (from_pil("x", Image.open(tmp_path / "turned.jpg"))[1] == np.rot90(stored, -1)).all()


def test_public_samples_in_all_their_forms(client: fusion.Client, digit_files: Path, images: Any, truth: Any, tmp_path: Path) -> None:
    queries = images[60:62]
    pairs = [(images[index], int(truth[index])) for index in range(40)]
    forms: list[Any] = ["mnist", (digit_files, digit_files / "labels.csv"), digit_files, pairs, (images[:40], truth[:40]), (list(images[:40]), list(truth[:40]))]
    for publics in forms:
        report = client.classify(queries, publics=publics, progress=False, **SMALL)
        assert report.accepted and report.to_dict()["public"]["labels"] == "ground-truth", publics
    named = client.classify(queries, publics=digit_files, labels=digit_files / "labels.csv", progress=False, **SMALL)
    assert named.accepted
    report = client.classify(images[:30], publics=(images[100:], truth[100:]), progress=False, **SMALL)
    # What was accepted is known from then on: to this process and, from files, to others.
    small = {**SMALL, "claimed_accuracy": None}
    known = client.classify(queries, publics=report, progress=False, **small)
    assert known.accepted and known.to_dict()["public"]["parts"][0]["known_from"] == "earlier-runs"
    stored = client.classify(digit_files, publics="mnist", out=tmp_path / "stored", progress=False, **SMALL)
    assert [skipped["file"] for skipped in stored.skipped] == ["labels.csv"]
    assert client.classify(queries, publics=tmp_path / "stored", progress=False, **small).accepted


def test_progress_is_told(client: fusion.Client, images: Any, truth: Any) -> None:
    events: list[dict[str, Any]] = []
    client.classify(images[:8], publics=(images[16:], truth[16:]), progress=events.append, **SMALL)
    names = [event["event"] for event in events]
    assert names.count("images") == 16 and "mixed" in names and "lane_done" in names
    assert json.loads(json.dumps(events)) == events


def test_what_a_listener_raises_ends_the_call(client: fusion.Client, images: Any, truth: Any) -> None:
    def refuse(event: dict[str, Any]) -> None:
        raise LookupError(event["event"])

    with pytest.raises(LookupError, match="images"):
        client.classify(images[:8], publics=(images[16:], truth[16:]), progress=refuse, **SMALL)


def test_plans(client: fusion.Client) -> None:
    standard, covert = client.plan(512, detect_below=0.8), client.plan(512, detect_below=0.8, assurance="covert")
    assert standard.sound and standard.soundness_log2 <= -40 and covert.soundness_log2 > standard.soundness_log2
    assert covert.overhead <= standard.overhead and standard.guarantee and standard.by_firing
    # Published answers or vouched ones take fewer samples than the truth.
    assert client.plan(1, known_from="certified").samples < client.plan(1).samples
    weak = client.plan(8, copies=1, public_samples=4, tau=0, max_inconclusive=0)
    assert not weak.sound and weak.copies == 1
    with pytest.raises(fusion.BadInput, match="whole"):
        client.plan(8, copies=3)


def test_answers_that_the_owner_publishes(tmp_path: Path, images: Any, truth: Any) -> None:
    prepared = fusion.prepare(
        fusion.digits.MODEL,
        calibration=(images[:64], truth[:64]),
        answers=(images[100:400], truth[100:400]),
        out=tmp_path / "published.fusion",
        **fusion.digits.PREPARE,
    )
    assert prepared.answers is not None and prepared.answers["images"] == 300 and prepared.answers["labelled"] == 300
    assert prepared.preview["labelled"] == 64 and prepared.preview["right"] >= 60
    with fusion.serve(prepared) as server:
        client = fusion.Client(server.address)
        assert client.card.answers and client.card.digest == prepared.digest and client.card.hint_bytes == prepared.hint_bytes
        report = client.classify(images[0], publics=images[100:400])
        assert report.accepted and report.to_dict()["public"]["parts"][0]["known_from"] == "answer-sheet"
