"""Faces as a live crop might show them: moved, relit, degraded and blended with one another. Imports nothing heavy."""

import cv2
import numpy as np
from numpy.typing import NDArray

from model.faces import Image


def jittered_batch(
    faces: Image, wanted: NDArray[np.float32], seed: tuple[int, ...], strength: float, mixup: float
) -> tuple[Image, NDArray[np.float32]]:
    """A batch (b, h, w, 1) uint8 made from faces (b, h, w), and the wanted answers (b, 7), both determined by the seed."""
    random = np.random.default_rng(seed)
    moved = np.stack([jittered(face, random, strength) for face in faces])
    blended, wanted = mixed(moved, wanted, random, mixup)
    # as bytes, like a live crop, so that a worker process has only a quarter as much to hand over
    return np.rint(blended[..., None]).astype(np.uint8), wanted


def mixed(
    faces: NDArray[np.float32], wanted: NDArray[np.float32], random: np.random.Generator, mixup: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each face (b, h, w) and its label (b, 7) blended with the previous ones of the batch, by one share for all.

    The share is drawn from Beta(mixup, mixup); a `mixup` of 0 blends nothing (Zhang et al., arXiv 1710.09412).
    """
    if not mixup:
        return faces, wanted
    share = np.float32(random.beta(mixup, mixup))
    return (
        share * faces + (1 - share) * np.roll(faces, 1, axis=0),
        share * wanted + (1 - share) * np.roll(wanted, 1, axis=0),
    )


def jittered(face: Image, random: np.random.Generator, strength: float = 1.0) -> NDArray[np.float32]:
    """The face (h, w) as a live crop might show it: float32 from 0 to 255.

    It is turned, shifted, scaled, mirrored and relit a little; some faces have a part hidden, some are as blurred as a small
    face, some have the noise of a dark room, some the blocks of a low-bitrate stream. A `strength` of 0 only mirrors.
    """
    size = face.shape[0]
    centre = (size - 1) / 2
    # crops of 0.83 to 1.33 of the square, as live ones of turned and bent heads are
    scale = 1 + strength * random.uniform(-0.25, 0.2)
    turn = cv2.getRotationMatrix2D((centre, centre), strength * random.uniform(-12, 12), scale)
    turn[:, 2] += strength * random.uniform(-0.08, 0.08, 2) * size
    if random.random() < 0.5:
        face = np.ascontiguousarray(face[:, ::-1])
    moved = cv2.warpAffine(face, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if random.random() < 0.2 * strength:
        moved = _coarsened(moved.astype(np.uint8, copy=False), random)
    brighter, lighter = strength * random.uniform(-0.3, 0.3), strength * random.uniform(-25, 25)
    relit = moved.astype(np.float32) * (1 + brighter) + lighter
    if random.random() < 0.1 * strength:
        relit = darkened(relit, random)
    if random.random() < 0.25 * strength:
        relit = compressed(relit, random)
    if random.random() < 0.25 * strength:
        hide_a_part(relit, random)
    lit: NDArray[np.float32] = np.clip(relit, 0, 255)
    return lit


def _coarsened(face: Image, random: np.random.Generator) -> Image:
    """The face with the detail of a smaller one."""
    size = face.shape[0]
    small = int(size * random.uniform(0.4, 0.8))
    return cv2.resize(cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), (size, size)).astype(np.uint8, copy=False)


def darkened(face: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """The face in low light: little of it reaches the camera, which adds noise of its own."""
    noise = random.standard_normal(face.shape, np.float32) * np.float32(random.uniform(2, 8))
    dark: NDArray[np.float32] = face * np.float32(random.uniform(0.2, 0.6)) + noise
    return dark


def compressed(face: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """The face as it comes out of a low-bitrate stream of 320x180, where it is some 40 to 80 pixels wide.

    JPEG stands in for VP8: both cut the picture into blocks and quantise their frequencies.
    """
    size = face.shape[0]
    there = int(random.uniform(40, 80))
    sent = cv2.resize(np.clip(face, 0, 255).astype(np.uint8), (there, there), interpolation=cv2.INTER_AREA)
    _, packed = cv2.imencode(".jpg", sent, (cv2.IMWRITE_JPEG_QUALITY, int(random.uniform(10, 60))))
    got = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)
    return cv2.resize(got, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)


def hide_a_part(face: NDArray[np.float32], random: np.random.Generator) -> None:
    """Grey out a rectangle of the face, as a hand or hair would (Zhong et al., arXiv 1708.04896)."""
    size = face.shape[0]
    height, width = (random.uniform(0.15, 0.4, 2) * size).astype(int)
    top, left = random.integers(0, size - height), random.integers(0, size - width)
    face[top : top + height, left : left + width] = random.uniform(0, 255)
