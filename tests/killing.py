"""A training that is killed midway."""

import csv
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from model.resume import BACKUP_FILE, LOG_FILE
from model.train import Training

ALONE = """
import json, sys
from pathlib import Path
from model.train import Training, train
import tests.tiny
train(Training(**json.loads(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def killed_after_an_epoch(what: Training, data: Path, out: Path) -> None:
    """Train in a process of its own, and kill it midway, once the first epoch is saved."""
    command = [sys.executable, "-c", ALONE, json.dumps(asdict(what)), str(data), str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (out / BACKUP_FILE).exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    with (out / LOG_FILE).open(newline="") as file:
        assert 1 <= len(list(csv.DictReader(file))) < what.epochs
