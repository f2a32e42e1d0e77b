"""Images as people have them (paths, folders, PIL images, arrays) to images of the library."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from . import _fusion
from .errors import BadInput
from .report import Report, Run

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

    OneImage: TypeAlias = Union[str, os.PathLike[str], PilImage, npt.NDArray[np.uint8]]
    ImagesLike: TypeAlias = Union[OneImage, Iterable[OneImage]]
    Labels: TypeAlias = Union[str, os.PathLike[str], Sequence[int], npt.NDArray[np.integer[Any]]]
    PublicsLike: TypeAlias = Union[ImagesLike, tuple[ImagesLike, Labels], Iterable[tuple[OneImage, int]], Report, Run]

#: The word for the 600 digits that come with the package.
MNIST = "mnist"


@dataclass
class Gathered:
    """Images of the library, and where they can be found again."""

    images: _fusion.Images
    #: Absolute paths of all; None if some are in memory only.
    paths: list[str] | None = field(default_factory=list)
    #: The list of labels that the paths were given with.
    labels: str | None = None
    mnist: bool = False

    def add(self, image: Any, label: int | None = None) -> None:
        """Adds one image, a folder or a batch."""
        if isinstance(image, (str, os.PathLike)):
            path = os.path.abspath(os.fspath(image))
            self.images.add_path(path, label)
            if label is not None:
                self.paths = None
            if self.paths is not None:
                self.paths.append(path)
            return
        self.paths = None
        name = f"image {len(self.images)}"
        if not isinstance(image, np.ndarray):
            name, image = from_pil(name, image)
        for at, pixels in enumerate(planes(name, image)):
            self.images.add_pixels(name if at == 0 else f"image {len(self.images)}", pixels, label)


def is_path(value: object) -> bool:
    """Whether ``value`` names a file or folder."""
    return isinstance(value, (str, os.PathLike)) and not isinstance(value, Run)


def is_pil(value: object) -> bool:
    """Whether ``value`` is a PIL image; PIL need not be installed to know that it is none."""
    return hasattr(value, "getbands") and hasattr(value, "convert")


def from_pil(name: str, image: Any) -> tuple[str, npt.NDArray[np.uint8]]:
    """The pixels of a PIL image, turned as its Exif tag says, which is how files are read."""
    if not is_pil(image):
        raise BadInput(f"{name} is of type {type(image).__name__}: give a path, a PIL image or an array of uint8")
    from PIL import ImageOps

    named = os.path.basename(os.fspath(getattr(image, "filename", "") or ""))
    image = ImageOps.exif_transpose(image)
    if image.mode in ("1", "L", "LA", "La"):
        image = image.convert("L")
    elif image.mode in ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    else:
        raise BadInput(f"{named or name}: PIL images of mode {image.mode} have other than 8 bits a channel; give the path of the file")
    return named or name, np.asarray(image, dtype=np.uint8)


def planes(name: str, pixels: npt.NDArray[Any]) -> Iterable[npt.NDArray[np.uint8]]:
    """The images of an array, each of the shape (height, width, planes)."""
    if pixels.dtype != np.uint8:
        raise BadInput(f"{name}: pixels are uint8 from 0 to 255, as in an image file, not {pixels.dtype}; the model's card says how they are scaled")
    shape = pixels.shape
    if pixels.ndim == 2:
        return [pixels[:, :, None]]
    if pixels.ndim == 3:
        # (N, H, W) and (H, W, C) look alike: no network reads images that are three pixels wide.
        return [pixels] if shape[2] in (1, 3) else [image[:, :, None] for image in pixels]
    if pixels.ndim == 4 and shape[3] in (1, 3):
        return list(pixels)
    raise BadInput(f"{name}: an array of shape {shape} is no image; expected HxW, HxWx1, HxWx3, NxHxW or NxHxWxC")


def gather(images: Any) -> Gathered:
    """Images without labels."""
    found = Gathered(_fusion.Images())
    if is_path(images) or is_pil(images) or isinstance(images, np.ndarray):
        found.add(images)
    elif isinstance(images, Iterable):
        for image in images:
            found.add(image)
    else:
        found.add(images)
    return found


def label_of(value: object) -> int:
    """A label as a number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 0:
        raise BadInput(f"a label is the index of a class, counted from 0, not {value!r}")
    return int(value)


def gather_labelled(images: Any, labels: Any = None, *, keep_unlabelled: bool = False) -> Gathered:
    """Images with labels: a folder and its list, images and their labels, or pairs of both."""
    found = Gathered(_fusion.Images())
    if isinstance(images, str) and images == MNIST:
        found.images.add_digits()
        found.mnist = True
        return found
    if isinstance(images, tuple) and len(images) == 2 and labels is None and not is_pair(images):
        images, labels = images
    if labels is None and is_path(images) and os.path.isfile(os.path.join(images, "labels.csv")):
        labels = os.path.join(images, "labels.csv")
    if is_path(labels):
        if not is_path(images):
            raise BadInput("a list of labels names the files of a folder: give the folder beside it")
        folder, found.labels = (os.path.abspath(os.fspath(path)) for path in (images, labels))
        found.images.add_labelled(folder, found.labels, keep_unlabelled)
        found.paths = [folder]
        return found
    if labels is not None:
        if is_path(images):
            images = [Path(images) / name for name in sorted(os.listdir(images))] if os.path.isdir(images) else [images]
        images = [image for one in ([images] if isinstance(images, np.ndarray) else images) for image in split(one)]
        if len(images) != len(labels):
            raise BadInput(f"{len(labels)} labels for {len(images)} images")
        images = list(zip(images, labels))
    elif is_path(images) or is_pil(images) or isinstance(images, np.ndarray) or not isinstance(images, Iterable):
        images = [images]
    for image in images:
        if is_pair(image):
            found.add(image[0], label_of(image[1]))
        else:
            found.add(image)
    return found


def is_pair(value: object) -> bool:
    """Whether ``value`` is an image and its label."""
    return isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[1], (int, np.integer))


def split(image: Any) -> list[Any]:
    """A batch as its images."""
    return list(planes("the batch", image)) if isinstance(image, np.ndarray) else [image]


def is_run(value: Any) -> bool:
    """Whether ``value`` is an earlier run."""
    return isinstance(value, (Run, Report)) or (is_path(value) and os.path.isfile(os.path.join(value, "run.json")))


def source_of(path: str) -> dict[str, Any]:
    """What the journal of a run keeps of where its images are."""
    try:
        with open(os.path.join(path, "run.json"), encoding="utf-8") as file:
            inputs = json.load(file)["inputs"]
    except (OSError, KeyError, ValueError) as error:
        raise BadInput(f"{path} is no run directory: {error}") from error
    return inputs if isinstance(inputs, dict) else {}


def queries_of(run: Run) -> Gathered:
    """The images that a run classifies, in memory or on disk."""
    if run._queries is not None:
        return run._queries
    source = source_of(run.path)
    if "queries" not in source:
        raise BadInput(f"{run.path} was begun with images in memory, which it does not keep: pass them again with images=")
    return gather(source["queries"])


def publics_of(run: Run) -> tuple[Gathered | None, list[Run]]:
    """The public samples of a run, and the earlier runs that it drew from."""
    if run._publics is not None or run._earlier:
        return run._publics, run._earlier
    source = source_of(run.path)
    if "queries" not in source:
        raise BadInput(f"{run.path} was begun with public samples in memory, which it does not keep: pass them again with publics=")
    publics = source.get("publics")
    found = None
    if publics == MNIST:
        found = gather_labelled(MNIST)
    elif isinstance(publics, dict):
        folder = publics["folder"]
        found = gather_labelled(folder["images"], folder["labels"]) if folder.get("labels") else gather(folder["images"])
    return found, [Run(path) for path in source.get("known_from", [])]


def candidates_of(run: Run, seen: set[str] | None = None) -> list[tuple[str, _fusion.Images]]:
    """What a run may have answered: its own images, and those of the runs that it drew from."""
    seen = set() if seen is None else seen
    if run.path in seen:
        return []
    seen.add(run.path)
    publics, earlier = publics_of(run)
    all_images = [queries_of(run).images] + ([publics.images] if publics else [])
    nested = [images for other in earlier for _, images in candidates_of(other, seen)]
    return [(run.path, images) for images in all_images + nested]
