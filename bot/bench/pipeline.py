"""What a look costs: the whole pipeline, the sum of its bare parts, and what other software takes for the same picture."""

from collections.abc import Callable
from itertools import cycle, islice
from typing import Any, TypeVar

import av
import numpy as np

from bot.bench.faces import SIZE, decoded, pictures
from bot.bench.graphs import bare_classifier, bare_detector, detector_side
from bot.bench.peers import look_peers
from bot.bench.stopwatch import Cost, Work, compare
from bot.errors import SettingsWrong
from model.classifier import LiteRtClassifier
from model.detector import drawn, filled
from pipeline.analysis import Analyst
from pipeline.coverage import Coverage
from pipeline.frames import Frame
from pipeline.pixels import Converter

GROUP = 4
"""Frames that are read together, as in a room: from fifty students, five come in the time that a frame waits for others."""
GROUPS, ROUNDS = 2, 40
"""Few groups at a time, many times in turn, so that whatever else the machine does affects all of them alike."""
PEER_GROUPS = 1
OURS, BARE, NAIVE = "classmood", "bare", "naive"
PARTS = ("conversion", "detector", "classifier")
NAIVE_PARTS = ("rgb24", "blazeface_128x128")
Item = TypeVar("Item")
Step = Callable[[av.VideoFrame], object]


def bench_pipeline(analyst: Analyst) -> dict[str, Any]:
    """The cost of a look, ready for JSON; peers are measured if they are installed. All times and ratios are of CPU time.

    Frames come in groups, whose faces are classified at the end. `ms_bare` is the least that a look can cost in the bot's design:
    its conversion of the planes, and one invocation of each of its graphs, in the same order. `ms_bare_naive` is the same
    without that design: all pixels converted to RGB, the detector at its published square, the classifier. Raises SettingsWrong
    if the portrait cannot be read with these settings.
    """
    images = pictures()
    frames = [Frame("portrait", 0, picture) for picture in decoded(images)]
    if unread := {reading.coverage for reading in analyst.read(frames)} - {Coverage.OK}:
        raise SettingsWrong(f"with these settings the portrait is {', '.join(sorted(unread))}, and there is nothing to measure")
    planes = [frame.picture for frame in frames]
    steps = _steps(analyst)
    works: dict[str, Work] = {
        OURS: _group(frames, analyst.read),
        BARE: _group(planes, _in_order([steps["conversion"], steps["detector"]], steps["classifier"])),
        NAIVE: _group(planes, _in_order([steps[part] for part in NAIVE_PARTS], steps["classifier"])),
    }
    works |= {part: _group(planes, _in_order([], step)) for part, step in steps.items()}
    alone = _cpu_ms(compare(works, GROUPS, ROUNDS))
    # measured after ours, because tensorflow's threads, once loaded, take time from whatever runs beside them
    peers = {name: _group(images, _in_order([], look)) for name, look in look_peers().items()}
    return _figures(alone) | _peer_figures(_cpu_ms(compare({OURS: works[OURS]} | peers, PEER_GROUPS)))


def _steps(analyst: Analyst) -> dict[str, Step]:
    """The bare parts of a look at pictures of `SIZE`, by name."""
    assert isinstance(analyst.classifier, LiteRtClassifier)
    converter = Converter()
    width, height = drawn(*SIZE, detector_side())
    place = np.empty((height, width, 3), np.uint8)
    planned, square = bare_detector(filled(width), filled(height)), bare_detector()
    classifier = bare_classifier(analyst.classifier)
    return {
        "conversion": lambda picture: converter.pixels(picture).draw(place),
        "detector": lambda _: planned.run(),
        "classifier": lambda _: classifier.run(),
        "rgb24": lambda picture: picture.to_ndarray(format="rgb24"),
        "blazeface_128x128": lambda _: square.run(),
    }


def _in_order(each: list[Callable[[Item], object]], last: Callable[[Item], object]) -> Callable[[list[Item]], None]:
    """Work on a group: the steps in `each` for one item after another, and then the last step for all of them."""

    def work(items: list[Item]) -> None:
        for item in items:
            for step in each:
                step(item)
        for item in items:
            last(item)

    return work


def _group(items: list[Item], work: Callable[[list[Item]], object]) -> Work:
    turn = cycle(items)
    return lambda: work(list(islice(turn, GROUP)))


def _cpu_ms(costs: dict[str, Cost]) -> dict[str, float]:
    """The CPU time per look, in milliseconds."""
    return {name: cost.cpu_ms / GROUP for name, cost in costs.items()}


def _figures(cpu_ms: dict[str, float]) -> dict[str, Any]:
    ours, bare, naive = cpu_ms[OURS], cpu_ms[BARE], cpu_ms[NAIVE]
    return {
        "looks_per_second_per_core": 1000 / ours,
        "ms_per_look": ours,
        "ms_bare": bare,
        "ratio_to_bare": ours / bare,
        "ms_bare_naive": naive,
        "ratio_to_bare_naive": ours / naive,
        "ms_bare_parts": {part: cpu_ms[part] for part in PARTS},
        "ms_bare_naive_parts": {part: cpu_ms[part] for part in (*NAIVE_PARTS, "classifier")},
    }


def _peer_figures(cpu_ms: dict[str, float]) -> dict[str, Any]:
    """What peers take, and its ratio to what our look took when measured in turn with them."""
    ours = cpu_ms.pop(OURS)
    return {"peers": cpu_ms, "peers_ratio": {name: ms / ours for name, ms in cpu_ms.items()}}
