"""What a look costs: the whole pipeline, the sum of its bare parts, and what others take for the same picture."""

from collections.abc import Callable
from itertools import cycle
from typing import Any, TypeVar

import av

from bot.bench.faces import decoded, pictures
from bot.bench.peers import look_peers
from bot.bench.stopwatch import Cost, Work, compare
from model.card import SHIPPED_WEIGHTS, read_card, read_weights
from model.litert import Graph
from pipeline.analysis import Analyst
from pipeline.coverage import Coverage
from pipeline.frames import Frame

LOOKS = 20
OURS, BARE = "classmood", "bare"
Item = TypeVar("Item")


def bench_pipeline(analyst: Analyst) -> dict[str, Any]:
    """The figures, ready for JSON; peers are there if they are installed. Ratios are of CPU time."""
    images = pictures()
    frames = [Frame("portrait", 0, picture) for picture in decoded(images)]
    assert all(reading.coverage is Coverage.OK for reading in analyst.read(frames)), "a portrait is always found"
    works: dict[str, Work] = {
        OURS: _each(frames, lambda frame: analyst.read([frame])),
        BARE: _each([frame.picture for frame in frames], bare_look()),
    }
    works |= {name: _each(images, look) for name, look in look_peers().items()}
    return _figures(compare(works, LOOKS))


def bare_look() -> Callable[[av.VideoFrame], None]:
    """The least that a look can cost: the picture's conversion, and one invocation of each graph."""
    graphs = [_graph("blazeface_short_range"), _graph("emotion")]

    def look(picture: av.VideoFrame) -> None:
        picture.to_ndarray(format="rgb24")
        for graph in graphs:
            graph.run()

    return look


def _graph(name: str) -> Graph:
    card = read_card(SHIPPED_WEIGHTS / name)
    size = card.input.size
    return Graph(read_weights(SHIPPED_WEIGHTS / name, card), (1, size, size, card.input.channels), what=name)


def _each(items: list[Item], work: Callable[[Item], object]) -> Work:
    turn = cycle(items)
    return lambda: work(next(turn))


def _figures(costs: dict[str, Cost]) -> dict[str, Any]:
    ours, bare = costs.pop(OURS), costs.pop(BARE)
    return {
        "looks_per_second_per_core": 1000 / ours.cpu_ms,
        "ms_per_look": ours.cpu_ms,
        "ms_bare": bare.cpu_ms,
        "ratio_to_bare": ours.cpu_ms / bare.cpu_ms,
        "peers": {name: cost.cpu_ms for name, cost in costs.items()},
        "peers_ratio": {name: cost.cpu_ms / ours.cpu_ms for name, cost in costs.items()},
    }
