"""The model's owner: packages, and the fixed-point network in the clear."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from . import _fusion
from ._images import gather, gather_labelled, is_path, is_pil
from ._progress import Progress, ProgressLike
from .client import Card, card_of
from .errors import BadInput

if TYPE_CHECKING:
    from ._images import ImagesLike, PublicsLike

__all__ = ["Evaluation", "Prepared", "Twin", "evaluate", "prepare", "twin"]

#: The name of a recipe, or its parts: ``preset`` and what differs from it.
PreprocessLike: TypeAlias = Union[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Prepared:
    """What was prepared.

    Attributes
    ----------
    package : str
        Absolute path of the package.
    name : str
    digest : str
        Of the model, hexadecimal: publish it, clients pin it.
    hint_digest : str
        Of the hint alone: the identity of the weights.
    hint_bytes : int
        Bytes that a client downloads once.
    hint_seconds : float
        Seconds that the hint took.
    steps : int
        Steps of the program.
    ring_bits : int
        Widest ring of a linear layer, bits.
    flip_rate : float or None
        Chance that a copy's label is not the usual one of its image.
    answers : dict or None
        Published answers: ``images``, those ``undecided`` and ``labelled``, those of them ``right``.
    preview : dict
        What the float network says of the calibration images: ``right`` of ``labelled``;
        ``nearly_constant`` if nearly all get one label, as if it read pixels in another way.
    frontier : list of dict
        What a search for widths found.
    """

    package: str
    name: str
    digest: str
    hint_digest: str
    hint_bytes: int
    hint_seconds: float
    steps: int
    ring_bits: int
    flip_rate: float | None
    answers: dict[str, int] | None
    preview: dict[str, Any] = field(repr=False)
    frontier: list[dict[str, Any]] = field(repr=False)

    def __fspath__(self) -> str:
        return self.package


def prepare(
    model: str | os.PathLike[str] | bytes,
    *,
    calibration: ImagesLike | PublicsLike,
    out: str | os.PathLike[str],
    preprocess: PreprocessLike = "imagenet-caffe",
    labels: Sequence[str] = (),
    claimed_accuracy: float | None = None,
    dataset: str = "",
    answers: ImagesLike | PublicsLike | None = None,
    name: str | None = None,
    window: int | None = None,
    weight_bits: int | None = None,
    left_out: int | None = None,
    label_agreement: float | None = None,
    logit_noise: float | None = None,
    exact_sign: bool = False,
    margin: float = 1.3,
    calibration_images: int = 16,
    input_shape: Sequence[int] | None = None,
    output: str | None = None,
    logits_bits: int = 0,
    progress: ProgressLike = True,
) -> Prepared:
    """From an ONNX file to a package that can be served.

    Ctrl-C during the import or a search for widths raises at once; what the library was computing
    then ends in the background, or with the process.

    Parameters
    ----------
    model : path or bytes
        The ONNX file of a trained image classifier.
    calibration : images
        Images like those to be classified, with labels if you have them (see
        :meth:`fusion.Client.classify` for their forms).
    out : path
        The package, a directory that does not exist yet.
    preprocess : str or mapping
        How the network was trained to read pixels: ``"imagenet-caffe"``, ``"imagenet-torch"``,
        ``"imagenet-tf"``, ``"cifar10"``, ``"mnist"`` or ``"none"`` (RGB in 0..255); or a mapping of
        ``preset`` (one of these) and what differs from it: ``resize`` (pixels of the short side, a
        pair (width, height), or ``"none"``), ``filter`` (``"bilinear"``, ``"bicubic"``), ``crop``
        (pixels), ``layout`` (``"rgb"``, ``"bgr"``, ``"gray"``), ``scale``, ``mean``, ``std``: values
        are (pixel * scale - mean) / std with pixels in 0..255.
    labels : sequence of str
        Names of the classes, by index.
    claimed_accuracy : float, optional
        Top-1 accuracy that the card claims, 0..1, on ``dataset``.
    dataset : str
        The data that the claim is about.
    answers : images, optional
        Public images whose answers are published with the model, with true labels if known.
    name : str, optional
        Name on the card [default: that of the file].
    window, weight_bits, left_out : int, optional
        Bits of activations and of weights [12 and 12], bits that comparisons of ReLUs leave out
        [1, which is exact]: the same everywhere.
    label_agreement : float, optional
        Or search for the cheapest widths that keep this part of the float model's labels, 0..1.
    logit_noise : float, optional
        Largest deviation of a logit's error, as a part of the logits' own, of such a search.
    exact_sign : bool
        Exact ReLUs only.
    margin : float
        How far beyond the calibration images values may go.
    calibration_images : int
        Images used for the calibration, at most.
    input_shape : sequence of int, optional
        Shape of an image in the order of the file, where the file leaves it open.
    output : str, optional
        The output with the class scores, where the file has several.
    logits_bits : int
        Bits of each logit that clients may ask for, 6 to 10; 0 for labels only.
    progress : bool or callable
        As for :meth:`fusion.Client.classify`.

    Returns
    -------
    Prepared

    Raises
    ------
    fusion.errors.BadModel
        If the network cannot be imported or planned; the message names node and operator.
    fusion.errors.BadInput
        If images or settings cannot be used, or ``out`` exists.

    Examples
    --------
    >>> images, truth = fusion.digits.load()
    >>> prepared = fusion.prepare(fusion.digits.MODEL, calibration=images[:64], out=folder / "new.fusion",
    ...                           **fusion.digits.PREPARE, progress=False)
    >>> prepared.steps, len(prepared.digest)
    (8, 64)
    """
    given = _quantise_keywords(
        preprocess, window, weight_bits, left_out, label_agreement, logit_noise, exact_sign, margin, calibration_images, input_shape, output
    )
    if name is None:
        name = "model" if isinstance(model, bytes) else os.path.splitext(os.path.basename(os.fspath(model)))[0]
    if isinstance(labels, str):
        raise BadInput("labels is a list of names, by index of the class")
    about = {"name": name, "labels": list(labels), "claimed_accuracy": claimed_accuracy, "dataset": dataset, "logits_bits": logits_bits}
    package = os.path.abspath(os.fspath(out))
    if os.path.lexists(package):
        raise BadInput(f"{package} exists already: choose another out, or remove it")
    published = gather_labelled(answers, keep_unlabelled=True).images if answers is not None else _fusion.Images()
    calibrated = gather_labelled(calibration, keep_unlabelled=True).images
    with Progress(progress) as shown:
        text = _fusion.prepare(_model(model), calibrated, published, json.dumps(given), json.dumps(about), package, shown.listener)
    data: dict[str, Any] = json.loads(text)
    return Prepared(
        package=package,
        name=data["name"],
        digest=data["card_digest"],
        **{key: data[key] for key in ("hint_digest", "hint_bytes", "hint_seconds", "steps", "ring_bits", "flip_rate", "answers", "preview", "frontier")},
    )


@dataclass(frozen=True)
class Evaluation:
    """The fixed-point network beside the float one.

    Attributes
    ----------
    images : int
    label_agreement : float
        Fraction of the float network's labels that the fixed-point network keeps, 0..1.
    top1_float, top1_twin : float or None
        Fractions of right labels, if the truth is known.
    twin_labels, float_labels : ndarray of int64, shape (images,)
    max_logit_error, mean_logit_error : float
        Largest difference of a logit; mean over images of the largest.
    flip_rate : float
        Chance that a copy's label is not the usual one of its image.
    bytes_per_sample, hint_bytes : int
        Predicted traffic of an inference, both directions, and of the hint.
    details : dict
        All of it, with layers whose values overflow, as ``fusion eval --json`` writes it.
    """

    images: int
    label_agreement: float
    top1_float: float | None
    top1_twin: float | None
    twin_labels: npt.NDArray[np.int64] = field(repr=False)
    float_labels: npt.NDArray[np.int64] = field(repr=False)
    max_logit_error: float
    mean_logit_error: float
    flip_rate: float
    bytes_per_sample: int
    hint_bytes: int
    details: dict[str, Any] = field(repr=False)


def evaluate(
    model: str | os.PathLike[str] | bytes,
    images: ImagesLike | PublicsLike,
    *,
    preprocess: PreprocessLike = "imagenet-caffe",
    window: int | None = None,
    weight_bits: int | None = None,
    left_out: int | None = None,
    label_agreement: float | None = None,
    logit_noise: float | None = None,
    exact_sign: bool = False,
    margin: float = 1.3,
    calibration_images: int = 16,
    input_shape: Sequence[int] | None = None,
    output: str | None = None,
    seed: int | None = None,
    progress: ProgressLike = True,
) -> Evaluation:
    """How good a plan is, before it is served: what ``fusion eval`` says.

    Parameters
    ----------
    model : path or bytes
        The ONNX file.
    images : images
        The first ``calibration_images`` are calibrated on; all are evaluated. With labels, if known.
    seed : int, optional
        Fixes the noise of the protocol, which decides near ties, 0..2^64-1.
    preprocess, window, weight_bits, left_out, label_agreement, logit_noise, exact_sign
        As for :func:`prepare`.
    margin, calibration_images, input_shape, output, progress
        As for :func:`prepare`.

    Returns
    -------
    Evaluation

    Examples
    --------
    >>> images, truth = fusion.digits.load()
    >>> found = fusion.evaluate(fusion.digits.MODEL, (images[:64], truth[:64]), **fusion.digits.PREPARE)
    >>> found.images, found.label_agreement
    (64, 1.0)
    """
    given = _quantise_keywords(
        preprocess, window, weight_bits, left_out, label_agreement, logit_noise, exact_sign, margin, calibration_images, input_shape, output
    )
    gathered = gather_labelled(images, keep_unlabelled=True).images
    with Progress(progress) as shown:
        data: dict[str, Any] = json.loads(_fusion.evaluate(_model(model), gathered, json.dumps(given), seed, shown.listener))
    twin_labels, float_labels = (np.array(data.pop(name), dtype=np.int64) for name in ("twin_labels", "float_labels"))
    same = ("images", "label_agreement", "top1_float", "top1_twin", "max_logit_error", "mean_logit_error", "flip_rate", "bytes_per_sample", "hint_bytes")
    return Evaluation(twin_labels=twin_labels, float_labels=float_labels, details=data, **{key: data[key] for key in same})


class Twin:
    """The fixed-point network of a package, run in the clear: what the protocol computes.

    For accuracy studies by the model's owner; a client has no weights. Made by :func:`fusion.twin`.
    """

    def __init__(self, package: str | os.PathLike[str]) -> None:
        self._native = _fusion.Twin(os.path.abspath(os.fspath(package)))
        #: The model's card.
        self.card: Card = card_of(json.loads(self._native.card()))

    def labels(self, images: ImagesLike | npt.NDArray[np.float32], *, seed: int | None = None, progress: ProgressLike = False) -> npt.NDArray[np.int64]:
        """The labels.

        Parameters
        ----------
        images : images, or ndarray of float32, shape (N, planes, rows, columns)
            Images in the forms of :meth:`fusion.Client.classify`, or input tensors as the float
            network reads them.
        seed : int, optional
            Fixes the noise of the protocol, 0..2^64-1 [default: of the operating system]. Image
            ``i`` has the same noise as in :func:`fusion.evaluate` with that seed.
        progress : bool or callable
            As for :meth:`fusion.Client.classify`.

        Returns
        -------
        ndarray of int64, shape (N,)

        Examples
        --------
        >>> images, truth = fusion.digits.load()
        >>> fusion.twin(package).labels(images[2:6]).tolist()
        [4, 5, 4, 1]
        """
        return self._run(images, seed, progress)[0]

    def logits(self, images: ImagesLike | npt.NDArray[np.float32], *, seed: int | None = None, progress: ProgressLike = False) -> npt.NDArray[np.float32]:
        """The scores, in the float network's units.

        Parameters
        ----------
        images, seed, progress
            As for :meth:`labels`.

        Returns
        -------
        ndarray of float32, shape (N, classes)
        """
        return self._run(images, seed, progress)[1]

    def overflows(self, images: ImagesLike | npt.NDArray[np.float32], *, seed: int | None = None, progress: ProgressLike = False) -> npt.NDArray[np.uint64]:
        """How many values left their windows, image by image: 0 for a plan that fits.

        Parameters
        ----------
        images, seed, progress
            As for :meth:`labels`.

        Returns
        -------
        ndarray of uint64, shape (N,)
        """
        return self._run(images, seed, progress)[2]

    def _run(self, images: Any, seed: int | None, progress: ProgressLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.uint64]]:
        with Progress(progress) as shown:
            if isinstance(images, np.ndarray) and np.issubdtype(images.dtype, np.floating):
                shape = self.card.input_shape
                if images.shape[1:] not in (shape, (int(np.prod(shape)),)):
                    raise BadInput(f"input tensors have the shape (N, {', '.join(map(str, shape))}), not {images.shape}")
                rows = np.ascontiguousarray(images, dtype=np.float32).reshape(len(images), -1)
                return self._native.run_tensors(rows, seed, shown.listener)
            return self._native.run_images(gather(images).images, seed, shown.listener)

    def __repr__(self) -> str:
        return f"<fusion.Twin of {self.card.name!r}>"


def twin(package: str | os.PathLike[str]) -> Twin:
    """The network of a package, to be run in the clear.

    Parameters
    ----------
    package : path
        What :func:`fusion.prepare` wrote.

    Returns
    -------
    Twin

    Raises
    ------
    fusion.errors.BadModel
        If the package is damaged.
    """
    return Twin(package)


def _model(model: str | os.PathLike[str] | bytes) -> str | bytes:
    if isinstance(model, bytes):
        return model
    if not is_path(model) or is_pil(model):
        raise BadInput(f"a model is the path of an ONNX file, or its bytes, not {type(model).__name__}")
    return os.path.abspath(os.fspath(model))


def _quantise_keywords(
    preprocess: PreprocessLike,
    window: int | None,
    weight_bits: int | None,
    left_out: int | None,
    label_agreement: float | None,
    logit_noise: float | None,
    exact_sign: bool,
    margin: float,
    calibration_images: int,
    input_shape: Sequence[int] | None,
    output: str | None,
) -> dict[str, Any]:
    recipe: dict[str, Any] = {"preset": preprocess} if isinstance(preprocess, str) else {"preset": "none", **preprocess}
    for planes in ("mean", "std"):
        if isinstance(recipe.get(planes), (int, float)):
            recipe[planes] = [recipe[planes]]
        elif planes in recipe:
            recipe[planes] = [float(value) for value in recipe[planes]]
    return {
        "preprocess": recipe,
        "input_shape": None if input_shape is None else list(input_shape),
        "output": output,
        "label_agreement": label_agreement,
        "logit_noise": logit_noise,
        "exact_sign": exact_sign,
        "left_out": left_out,
        "window": window,
        "weight_bits": weight_bits,
        "margin": margin,
        "calibration_images": calibration_images,
    }
