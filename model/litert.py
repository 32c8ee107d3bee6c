"""A .tflite graph with LiteRT, planned once for one shape of input."""

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from model.errors import ModelUnusable, first_line


class Graph:
    """A graph with one input, on one thread. It is planned at construction and never again.

    `shape` replaces the input shape in the file: only dimensions that the file leaves open, or any if `strict` is off.
    Raises ModelUnusable if the bytes are not a graph, or if it does not take the shape.
    """

    def __init__(
        self, content: bytes, shape: tuple[int, ...] | None = None, *, strict: bool = True, what: str = "the graph"
    ) -> None:
        try:
            # bots share a machine with decoders: more threads would only fight for the same cores
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._entry = self._interpreter.get_input_details()[0]["index"]
            if shape is not None:
                self._interpreter.resize_tensor_input(self._entry, shape, strict=strict)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, IndexError) as error:
            raise ModelUnusable(f"{what} is not a graph that LiteRT can run: {first_line(error)}") from error
        self._input = self._interpreter.tensor(self._entry)
        self._outputs = {each["name"]: each["index"] for each in self._interpreter.get_output_details()}

    @property
    def input(self) -> NDArray[Any]:
        """The memory that the graph reads. Let go of it before `run`: LiteRT refuses to run while it is held."""
        view: NDArray[Any] = self._input()
        return view

    def run(self) -> dict[str, NDArray[np.float32]]:
        """Compute the outputs from `input`; they are copies, by name."""
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}
