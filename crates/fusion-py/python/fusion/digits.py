"""A small network and digits to try things on: four layers, 98.9 % accuracy, 600 images.

The images are from MNIST (Yann LeCun, Corinna Cortes), CC BY-SA 3.0; no training run has seen them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _fusion

__all__ = ["ACCURACY", "MODEL", "PREPARE", "load"]

_MODEL, _IMAGES, _LABELS = _fusion.digits()

#: The network, as the bytes of an ONNX file.
MODEL: bytes = _MODEL
#: The fraction of held-out digits that it gets right in floating point.
ACCURACY: float = 0.9887
#: Keywords for :func:`fusion.prepare` and :func:`fusion.evaluate` that suit it: small widths do.
PREPARE: dict[str, Any] = {"preprocess": "mnist", "window": 13, "weight_bits": 10, "margin": 1.5, "calibration_images": 64}


def load() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The digits.

    Returns
    -------
    images : ndarray of uint8, shape (600, 28, 28)
        White ink on black, 0..255.
    labels : ndarray of int64, shape (600,)
        What they show, 0..9.

    Examples
    --------
    >>> images, labels = fusion.digits.load()
    >>> images.shape, images.dtype.name, labels[:4].tolist()
    ((600, 28, 28), 'uint8', [0, 5, 4, 5])
    """
    return _IMAGES.copy(), _LABELS.copy()
