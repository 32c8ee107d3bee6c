"""Processes that make batches, and how they end."""

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import BrokenExecutor

import cv2
import numpy as np
import pytest

from model.errors import ModelUnusable
from model.jitter import jittered_batch
from model.workers import Workers
from tests.commands import until
from tests.synthetic import synthetic_split


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def children() -> set[int]:
    return {child.pid for child in multiprocessing.active_children() if child.pid}


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_batch_is_the_same_whoever_makes_it() -> None:
    faces, wanted = synthetic_split(8).pixels, np.eye(8, 7, dtype=np.float32)
    here = jittered_batch(faces, wanted, (1, 2, 3), 1.0, 0.2)
    with Workers(1) as workers:
        there = workers.result(workers.begin(jittered_batch, faces, wanted, (1, 2, 3), 1.0, 0.2))
    assert here[0].shape == (8, 48, 48, 1) and here[0].dtype == np.uint8
    for one, other in zip(here, there, strict=True):
        assert np.array_equal(one, other)


def test_a_worker_leaves_the_other_cores_to_the_others() -> None:
    with Workers(1) as workers:
        assert workers.result(workers.begin(cv2.getNumThreads)) == 1


def test_workers_end_with_the_block_that_began_them() -> None:
    before = children()
    with Workers(2) as workers:
        workers.result(workers.begin(os.getpid))
        assert children() - before
    assert children() <= before


def test_a_worker_that_is_killed_is_told_in_one_line() -> None:
    told = pytest.raises(ModelUnusable, match=r"^a process that makes batches was killed: .*fewer --workers\?$")
    with told, Workers(1) as workers:
        workers.result(workers.begin(end))


def test_a_killed_worker_is_told_whatever_became_of_its_error_on_the_way() -> None:
    with pytest.raises(ModelUnusable, match="a process that makes batches was killed"), Workers(1) as workers:
        try:
            workers.result(workers.begin(end))
        except BrokenExecutor as error:
            raise RuntimeError("what a backend makes of it") from error


ALONE = """
import os, time
from model.workers import Workers
if __name__ == "__main__":
    workers = Workers(1)
    print(workers.result(workers.begin(os.getpid)), flush=True)
    time.sleep(60)
"""


def test_workers_end_with_a_process_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert runs(worker)
        process.kill()
    until(lambda: not runs(worker), seconds=10)
