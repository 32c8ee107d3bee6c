"""The command that measures what the parts cost."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from bot.settings import Settings


def add_bench_command(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `bench` to the parser's commands."""
    bench = command(commands, "bench", _bench, "what a look and a face cost here, beside their limits and other libraries")
    bench.add_argument("what", choices=("model", "pipeline"), help="`model`: a face that is cut out; `pipeline`: a whole look")
    bench.add_argument("--json", action="store_true", help="one JSON object")


def _bench(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.app import load_analyst
    from bot.bench.model import bench_model
    from bot.bench.pipeline import bench_pipeline
    from model.classifier import LiteRtClassifier

    analyst = load_analyst(settings)  # sets the threads as the bot has them
    result = bench_model(LiteRtClassifier(settings.weights)) if arguments.what == "model" else bench_pipeline(analyst)
    print(json.dumps(result)) if arguments.json else _show(result)


def _show(result: dict[str, Any], indent: str = "") -> None:
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:" + ("" if value else " none installed"))
            _show(value, indent + "  ")
        else:
            print(f"{indent}{name}: {value:.3f}" if isinstance(value, float) else f"{indent}{name}: {value}")
