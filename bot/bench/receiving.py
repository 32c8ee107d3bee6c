"""What receiving and decoding cost in aiortc's own way and in ours, on the same replayed streams in turn."""

import asyncio
import json
import statistics
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from typing import Any, get_args

from av import CodecContext, Packet

from bot.bench.ivf import read_ivf
from bot.bench.packets import STREAMS, Layer
from bot.bench.receive import Way
from bot.bench.stage import PARENT, replayed
from bot.bench.stopwatch import compare
from bot.companions import dying_with_us
from bot.errors import NothingHappened


async def bench_receiving(students: int, layer: Layer, seconds: float, runs: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures, ready for JSON: the CPU of each way, as medians over the runs, and the ratio for each run.

    Raises NothingHappened if a receiving process fails or gets no frame.
    """
    cpu_ms: dict[str, list[float]] = {way: [] for way in get_args(Way)}
    percent: dict[str, list[float]] = {way: [] for way in get_args(Way)}
    async with replayed(students, layer) as url:
        for run in range(runs):
            for way, per_frame in cpu_ms.items():
                say(f"run {run + 1} of {runs}: {students} students, {layer}, {way}")
                spent = await _received(url, way, seconds)
                per_frame.append(1000 * spent["cpu_seconds"] / spent["frames"])
                percent[way].append(100 * spent["cpu_seconds"] / spent["seconds"])
    bare_ms = await asyncio.to_thread(bare_decoding_ms, layer)
    ratios = [ours / stock for ours, stock in zip(cpu_ms["ours"], cpu_ms["stock"], strict=True)]
    return {
        "students": students,
        "layer": layer,
        "cpu_ms_per_frame": {way: statistics.median(each) for way, each in cpu_ms.items()},
        "cpu_percent_of_core": {way: statistics.median(each) for way, each in percent.items()},
        "bare_decoding_ms_per_frame": bare_ms,
        "ratio_to_stock": statistics.median(ratios),
        "ratio_by_run": ratios,
    }


def bare_decoding_ms(layer: Layer) -> float:
    """CPU per frame, in milliseconds, of libvpx alone with a single source and nothing in between: the least that is possible."""
    packets = [frame.data for frame in read_ivf(STREAMS / f"{layer}.ivf")]

    def decode() -> None:
        decoder = CodecContext.create("libvpx", "r")
        decoder.thread_count = 1
        for data in packets:
            decoder.decode(Packet(data))

    return compare({"libvpx": decode}, times=1)["libvpx"].cpu_ms / len(packets)


async def _received(url: str, way: str, seconds: float) -> dict[str, float]:
    command = dying_with_us([sys.executable, "-m", "bot.bench.receive", url, "--way", way, "--seconds", str(seconds)])
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, cwd=PARENT)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not said:
        raise NothingHappened(f"the receiver `{way}` ended with exit code {process.returncode}")
    spent: dict[str, float] = json.loads(said)
    if not spent["frames"]:
        raise NothingHappened(f"the receiver `{way}` got no frame in {seconds:g} s")
    return spent
