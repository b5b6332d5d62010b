"""Real data that comes with scikit-learn's wheel: samples with a fixed split, and no density.

Grey levels are integers, and a density of integers can be made as high as one likes. Both targets are dequantised
once and for all with fixed uniform noise u: x = (level + u) / levels in [0, 1) (Theis et al. 2016). A model's
log-likelihood is therefore that of the dequantised vectors, in nats, with pixels in units of the whole grey scale.
In bits per pixel of the integer levels, log2(levels) − mean log_prob / (d ln 2), with d the number of pixels, is an
upper bound: it changes nats to bits and undoes the division by the number of levels.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits, load_sample_images
from torch import Generator, Tensor

from benchmarks.targets.base import DataTarget


def dequantise(levels: Tensor, count: int, generator: Generator) -> Tensor:
    """(level + u) / count with u uniform on [0, 1), for integers 0 … count − 1 of any shape: float64 in [0, 1)."""
    noise = torch.rand(levels.shape, generator=generator, dtype=torch.float64)
    return (levels + noise) / count


class Digits(DataTarget):
    """The 1,797 handwritten digits of 8 × 8 pixels and 17 grey levels, (level + u)/17; 1,500 of them for training.

    Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998: the copy in scikit-learn.
    """

    image = (8, 8)

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        pixels = dequantise(torch.from_numpy(load_digits().data), 17, generator)
        pixels = pixels[torch.randperm(len(pixels), generator=generator)]
        summary = "64 pixels of handwriting and few samples: ten curved clusters, many pixels nearly always blank"
        super().__init__("digits", summary, pixels[:1500], pixels[1500:])


class PhotoPatches(DataTarget):
    """Grey patches of 6 × 6 pixels, (level + u)/256, from scikit-learn's two photographs (427 × 640 pixels each).

    A photograph is cut into upright bands of 32 pixels. Every third band is for testing, the others for training, and
    a patch lies within one band: no pixel is in both halves. Patches start every third pixel, so that neighbouring
    rows of one half share pixels: they are samples of the same law, but errors that assume independence are optimistic.
    Grey is 0.299 R + 0.587 G + 0.114 B, rounded. JPEG decoders may differ by a grey level.
    """

    image = (6, 6)

    def __init__(self) -> None:
        bands: list[list[Tensor]] = [[], [], []]
        for photo in load_sample_images().images:
            grey = torch.from_numpy(np.rint(photo @ np.array([0.299, 0.587, 0.114])))
            for index, band in enumerate(grey.split(32, dim=1)):
                patches = band.unfold(0, 6, 3).unfold(1, 6, 3)
                bands[index % 3].append(patches.reshape(-1, 36))
        generator = torch.Generator().manual_seed(0)
        train, test = (dequantise(torch.cat(patches), 256, generator) for patches in (bands[0] + bands[2], bands[1]))
        summary = "36 neighbouring pixels: smooth patches, sharp edges, a brightness that varies more than either"
        super().__init__("photo_patches", summary, train, test)
