"""Squares like FER-2013's, cut from the one real face that the project may show."""

import cv2
import numpy as np

from bot.clips import PORTRAIT
from model.dataset import FACE_SIZE, VOTES, Split

MIDDLE, SIDE = (224, 105), 150
"""The centre of the portrait's face, and the side of the square that FER-2013 would have cut around it, in pixels."""


def portrait_squares(count: int) -> Split:
    """The portrait's face so many times, each in a slightly different size and brightness, with the labels 0 to 6 in turn."""
    grey = cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    faces = []
    for number in range(count):
        side = SIDE - number % 20
        left, top = MIDDLE[0] - side // 2, MIDDLE[1] - side // 2
        square = cv2.resize(grey[top : top + side, left : left + side], (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
        faces.append(np.clip(square.astype(int) + number % 30, 0, 255).astype(np.uint8))
    votes = np.zeros((count, len(VOTES)), np.float32)
    votes[:, VOTES.index("happiness")] = 10
    return Split(np.stack(faces), np.arange(count, dtype=np.int64) % 7, votes)
