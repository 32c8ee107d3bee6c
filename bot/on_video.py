"""Judging a classifier through the bot's whole path: faces are sent as poor video, then found and cropped as usual."""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from bot.vp8_encoder import vp8_encoder
from model.crop import square
from model.dataset import Split, resized
from model.evaluate import Candidate
from model.faces import Face, FaceDetector, Image
from pipeline.analysis import Analyst, Reading
from pipeline.frames import Frame

PICTURE = (320, 180)
FACE_PIXELS = 60
FRAMES_PER_SECOND = Fraction(15, 2)
BITS_PER_SECOND = 40_000

FRAMES_PER_FACE = 8
"""How long each face is shown; it is read in the last of these frames, about a second after it appeared."""

SWAY_PIXELS = 3.0
"""How far a face moves to either side while it is shown, because nobody sits still."""


class _Classifier:
    """Puts a candidate in the place of the bot's classifier."""

    def __init__(self, candidate: Candidate) -> None:
        self.name = "candidate"
        self.size = candidate.size
        self.classify = candidate.predict


def on_video(candidate: Candidate, split: Split, detector: FaceDetector) -> dict[str, Any]:
    """Accuracy on the split's faces as they come out of a VP8 video of 320x180 at 40 kbit/s, each 60 pixels wide.

    `found` is the share of faces that could be read. Over those, `accuracy` is what the bot achieves from the video,
    `accuracy_of_squares` what the candidate achieves on the original squares, and `lost` the difference.
    """
    analyst = Analyst(detector, _Classifier(candidate))
    sent = _Sent()
    readings = [_read(analyst, picture) for picture in _last_of_each(sent.through_vp8(_pictures(split.pixels)))]
    rows = np.array([row for row, reading in enumerate(readings) if reading.scores is not None], np.int64)
    result = {
        "faces": len(split),
        "found": len(rows) / len(split),
        "coverage": dict(Counter(str(reading.coverage) for reading in readings)),
        "kbit_per_second": sent.bytes * 8 / 1000 * float(FRAMES_PER_SECOND) / max(sent.frames, 1),
    }
    if not len(rows):
        return result
    scores = np.stack([reading.scores for reading in readings if reading.scores is not None])
    squares = candidate.predict(resized(split.pixels[rows], candidate.size))
    accuracy, before = (float((each.argmax(axis=1) == split.labels[rows]).mean()) for each in (scores, squares))
    return result | {"accuracy": accuracy, "accuracy_of_squares": before, "lost": before - accuracy}


def _read(analyst: Analyst, picture: av.VideoFrame) -> Reading:
    (reading,) = analyst.read([Frame("face", 0, picture)])
    return reading


def _last_of_each(pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    return islice(pictures, FRAMES_PER_FACE - 1, None, FRAMES_PER_FACE)


def _pictures(faces: Image) -> Iterator[Image]:
    """RGB pictures of a room in which one face after another sways, each for FRAMES_PER_FACE pictures."""
    width, height = PICTURE
    room, side = _room(), _side()
    for face in faces:
        large = cv2.cvtColor(cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2RGB)
        for number in range(FRAMES_PER_FACE):
            turn = 2 * np.pi * number / FRAMES_PER_FACE
            left = (width - side) / 2 + SWAY_PIXELS * np.sin(turn)
            top = (height - side) / 2 + SWAY_PIXELS / 2 * np.cos(turn)
            place = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
            # positions between pixels are interpolated; outside the square, the room stays visible
            yield cv2.warpAffine(large, place, PICTURE, dst=room.copy(), borderMode=cv2.BORDER_TRANSPARENT).astype(np.uint8)


def _side() -> int:
    """Width in pixels of the square that the live crop takes for a face of `FACE_PIXELS`."""
    width, height = PICTURE
    face = Face(0.4, 0.4, FACE_PIXELS / width, FACE_PIXELS / height, 1.0, ())
    return round(square(face, width, height).side)


def _room() -> Image:
    """A wall in uneven light with a shelf and a door, RGB: something to encode that is not mistaken for a face."""
    width, height = PICTURE
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    wall = np.stack([150 + 50 * x - 30 * y, 145 + 40 * x - 35 * y, 135 + 30 * x - 30 * y], axis=-1).astype(np.uint8)
    cv2.rectangle(wall, (20, 25), (95, 32), (95, 70, 50), -1)
    for left, top, colour in ((24, 8, (130, 40, 40)), (34, 5, (40, 80, 120)), (46, 10, (60, 110, 60)), (60, 6, (170, 160, 90))):
        cv2.rectangle(wall, (left, top), (left + 8, 25), colour, -1)
    cv2.rectangle(wall, (255, 30), (305, height), (110, 85, 65), -1)
    return wall


class _Sent:
    """Sends video through VP8, and counts its frames and bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self.frames = 0

    def through_vp8(self, pictures: Iterator[Image]) -> Iterator[av.VideoFrame]:
        """The RGB pictures after encoding and decoding, one for each."""
        encoder, decoder = _encoder(), av.CodecContext.create("vp8", "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1  # more threads would each hold back a frame
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            self.frames += 1
            for packet in encoder.encode(frame):
                self.bytes += packet.size
                yield from decoder.decode(packet)


def _encoder() -> VideoCodecContext:
    """A VP8 encoder with a constant bit rate and a keyframe only at the beginning."""
    encoder = vp8_encoder(PICTURE, FRAMES_PER_SECOND, BITS_PER_SECOND, keyframe_every=1_000_000)
    encoder.options |= dict.fromkeys(("minrate", "maxrate", "bufsize"), str(BITS_PER_SECOND))
    return encoder
