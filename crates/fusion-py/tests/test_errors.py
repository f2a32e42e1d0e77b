"""Every kind of exception."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fusion
import numpy as np
import pytest
from conftest import SMALL, labels_of


def test_server_unavailable() -> None:
    with pytest.raises(fusion.ServerUnavailable, match="is the server running.*127.0.0.1:1") as caught:
        fusion.Client("127.0.0.1:1")
    assert isinstance(caught.value, fusion.FusionError) and "fusion.serve" in str(caught.value)


def test_untrusted(server: fusion.Server, package: Path) -> None:
    with pytest.raises(fusion.Untrusted, match="not the pinned one"):
        fusion.Client(server.address, pin="00" * 32)
    with fusion.serve(package, token="secret-of-ours-00") as closed:
        with pytest.raises(fusion.Untrusted, match="refused the credentials"):
            fusion.Client(closed.address)
        with pytest.raises(fusion.Untrusted) as caught:
            fusion.Client(closed.address, token="another-secret-00")
        assert "another-secret-00" not in str(caught.value)
        assert fusion.Client(closed.address, token="secret-of-ours-00").card.name == "digits"


def test_another_model_at_a_known_address(package: Path, tmp_path: Path, images: Any) -> None:
    other = fusion.prepare(fusion.digits.MODEL, calibration=images[:8], out=tmp_path / "other.fusion", preprocess="mnist")
    home = tmp_path / "home"
    with fusion.serve(package) as server:
        assert fusion.Client(server.address, home=home).trust == "first-use"
        assert fusion.Client(server.address, home=home).trust == "known"
        address = server.address
    with fusion.serve(other, listen=address):
        with pytest.raises(fusion.Untrusted, match="changed since it was first seen"):
            fusion.Client(address, home=home)
        assert fusion.Client(address, home=home, pin=other.digest).trust == "pinned"


def test_bad_model(package: Path, tmp_path: Path, images: Any) -> None:
    with pytest.raises(fusion.BadModel, match="cannot import"):
        fusion.prepare(b"no network", calibration=images[:4], out=tmp_path / "a.fusion", preprocess="mnist")
    damaged = tmp_path / "damaged.fusion"
    shutil.copytree(package, damaged)
    hint = damaged / "hint.bin"
    hint.write_bytes(hint.read_bytes()[:-1])
    for use in (fusion.serve, fusion.twin):
        with pytest.raises(fusion.BadModel, match="hint"):
            use(damaged)
    (damaged / "card.pb").write_bytes(b"\xff")
    with pytest.raises(fusion.BadModel):
        fusion.twin(damaged)
    with pytest.raises(fusion.BadModel, match="nowhere: No such file"):
        fusion.twin(tmp_path / "nowhere")


def test_bad_input(client: fusion.Client, package: Path, tmp_path: Path, images: Any, truth: Any) -> None:
    publics = (images[16:], truth[16:])
    refused: list[tuple[Any, dict[str, Any], str]] = [
        (images[:2] / 255.0, {}, "uint8"),
        (np.zeros((2, 5, 28, 28), np.uint8), {}, "shape"),
        (images[0, :20], {}, "28 x 20 pixels, but the model reads 28 x 28"),
        (object(), {}, "type object"),
        ([], {}, "nothing to classify"),
        (tmp_path / "nothing.png", {}, "nothing.png"),
        (images[:2], {"publics": (images[16:], truth[16:] + 10)}, "classes of the model are 0 to 9"),
        (images[:2], {"publics": (images[16:20], [1, 2])}, "2 labels for 4 images"),
        (images[:2], {"publics": [(images[16], -1)]}, "counted from 0"),
        (images[:2], {"publics": images[16:]}, "labels of the public samples are needed"),
        (images[:2], {"publics": (images[16:20], truth[16:20])}, "pool|public samples"),
        (images[:2], {"known_from": "hearsay"}, "known_from"),
        (images[:2], {"detect_below": 0.999}, "detect-below"),
        (images[:2], {"plan": client.plan(3)}, "plan is for 3 images"),
        (images[:2], {"plan": client.plan(2), "detect_below": 0.5}, "not both"),
    ]
    for given, more, reason in refused:
        with pytest.raises(fusion.BadInput, match=reason):
            client.classify(given, **{"publics": publics, "progress": False, **more})
    with pytest.raises(fusion.BadInput, match="exists already"):
        fusion.prepare(fusion.digits.MODEL, calibration=images[:4], out=package, preprocess="mnist")
    with pytest.raises(fusion.BadInput, match="no preprocessing digits"):
        fusion.prepare(fusion.digits.MODEL, calibration=images[:4], out=tmp_path / "b", preprocess="digits")
    with pytest.raises(fusion.BadInput, match="bicubic"):
        fusion.prepare(fusion.digits.MODEL, calibration=images[:4], out=tmp_path / "b", preprocess={"filter": "sharp"})
    with pytest.raises(fusion.BadInput, match="unknown field"):
        fusion.prepare(fusion.digits.MODEL, calibration=images[:4], out=tmp_path / "b", preprocess={"crops": 3})
    with pytest.raises(fusion.BadInput, match="given .* or searched for"):
        fusion.prepare(fusion.digits.MODEL, calibration=images[:4], out=tmp_path / "b", window=12, label_agreement=0.9)
    with pytest.raises(fusion.BadInput, match="no address"):
        fusion.serve(package, listen="nowhere")
    with pytest.raises(fusion.BadInput, match="plaintext"):
        fusion.serve(package, listen="0.0.0.0:0")
    with pytest.raises(fusion.BadInput, match="no run"):
        fusion.verify(tmp_path)
    with pytest.raises(fusion.BadInput, match="one of the two"):
        fusion.mix.simulate((2, 2, 2, 0, 0), fusion.mix.Adversary())
    with pytest.raises(ValueError):
        fusion.mix.soundness(0, 1, 1)


def test_a_weak_mix_is_refused_unless_it_is_allowed(server: fusion.Server, images: Any, truth: Any) -> None:
    with pytest.raises(fusion.BadInput, match="lets cheating pass"):
        fusion.Client(server.address).classify(images[:2], publics=(images[2:], truth[2:]), **SMALL)


def test_rejected(package: Path, images: Any, truth: Any) -> None:
    publics = (images[16:], truth[16:])
    with fusion.serve(package, cheat="samples=0.5") as server:
        report = fusion.Client(server.address, home=None).classify(images[:4], publics=publics, detect_below=0.8)
        assert report.verdict.startswith("rejected") and report.answers == [] and report.guarantee is None
        assert report.evidence["wrong_publics"] and "withheld" in report.to_text()
        with pytest.raises(fusion.Rejected, match="public answers are wrong") as caught:
            report.raise_for_verdict()
        assert caught.value.report is report
        curious = fusion.Client(server.address, show_rejected_answers=True)
        with pytest.raises(fusion.Rejected) as caught:
            curious.classify(images[:4], publics=publics, detect_below=0.8, strict=True)
        assert len(caught.value.report.answers) == 4


def test_incomplete_when_the_server_stays_away(package: Path, images: Any, truth: Any, tmp_path: Path) -> None:
    server = fusion.serve(package)
    client = fusion.Client(server.address, lanes=1, lane_samples=4, patience=2, allow_unsound=True)

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "lane_done":
            server.shutdown()

    with pytest.raises(fusion.Incomplete, match="positions are answered") as caught:
        client.classify(images[:8], publics=(images[16:], truth[16:]), out=tmp_path / "run", progress=stop, **SMALL)
    error = caught.value
    assert 0 < error.answered < error.total == 24 and error.run.path == str(tmp_path / "run")
    assert isinstance(error.__cause__, fusion.FusionError)
    assert fusion.verify(error.run).verdict == "incomplete"
    with pytest.raises(fusion.Incomplete, match="have no answer"):
        fusion.verify(error.run).raise_for_verdict()


def test_an_incomplete_run_is_resumed(package: Path, tmp_path: Path, images: Any, truth: Any) -> None:
    other = fusion.prepare(fusion.digits.MODEL, calibration=images[:8], out=tmp_path / "other.fusion", preprocess="mnist")
    servers = [fusion.serve(package)]
    address = servers[0].address
    client = fusion.Client(address, lanes=1, lane_samples=4, allow_unsound=True)

    def change(event: dict[str, Any]) -> None:
        if event["event"] == "lane_done" and len(servers) == 1:
            servers[0].shutdown()
            servers.append(fusion.serve(other, listen=address))

    with pytest.raises(fusion.Incomplete, match="card_digest") as caught:
        client.classify(images[:8], publics=(images[16:], truth[16:]), progress=change, **SMALL)
    error = caught.value
    assert error.resumable and 0 < error.answered < error.total and "client.resume" in str(error)
    with pytest.raises(fusion.Untrusted):
        fusion.Client(address)
    servers[1].shutdown()
    with fusion.serve(package, listen=address):
        report = fusion.Client(address, allow_unsound=True).resume(error.run)
    assert report.accepted and (labels_of(report) == truth[:8]).mean() > 0.8
    assert report.to_dict()["plan"]["R"] == 8
