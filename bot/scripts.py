"""Scripts for simulated students, as YAML files: who feels what and when, whose camera is off, who leaves and comes back."""

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bot.errors import SettingsWrong
from model.errors import first_line
from model.faces import Emotion

LESSONS = Path(__file__).with_name("lessons")
LESSON = LESSONS / "three-minutes.yaml"
"""The lesson of the demonstration."""

LARGEST_BYTES = 1_048_576


def _share(value: object) -> object:
    """Turn `40 %` or `40%` into 0.4; anything else is left as it is."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return float(value.rstrip()[:-1]) / 100
    return value


Share = Annotated[float, BeforeValidator(_share), Field(gt=0, lt=1)]
Number = Annotated[int, Field(ge=1, le=2000, strict=True)]
Who = Literal["all"] | Number | Annotated[list[Number], Field(min_length=1)] | Share


class Step(BaseModel):
    """What happens at one moment; `who` is everybody, a student's number from 1, several of those, or a share such as `40%`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    at_seconds: float = Field(ge=0, le=86_400)
    who: Who = "all"
    feel: Emotion | None = None
    intensity: float = Field(1.0, ge=0, le=1)
    camera: bool | None = None
    leave: Literal[True] | None = None
    join: Literal[True] | None = None
    mark: str | None = Field(None, min_length=1, max_length=60)

    @model_validator(mode="after")
    def _something_happens(self) -> Self:
        if not (self.mark or self.leave or self.join or self.feel or self.camera is not None):
            raise ValueError("nothing happens in this step: give feel, camera, leave, join or mark")
        if self.leave and self.join:
            raise ValueError("leave and join exclude each other")
        return self


class Script(BaseModel):
    """A lesson, which repeats when it is over; it begins with everybody present, neutral and with the camera on."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    students: int = Field(12, ge=1, le=2000)
    duration_seconds: float = Field(ge=1, le=86_400)
    seed: int = Field(0, ge=0, description="chooses who a share of the class is")
    steps: tuple[Step, ...] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for number, step in enumerate(self.steps, 1):
            if step.at_seconds >= self.duration_seconds:
                raise ValueError(f"step {number} at {step.at_seconds:g} s comes after the end at {self.duration_seconds:g} s")
            if max(_numbers(step.who), default=1) > self.students:
                raise ValueError(f"step {number} names student {max(_numbers(step.who))}, but there are only {self.students}")
        return self

    def chosen(self, place: int, count: int) -> frozenset[int]:
        """The students, numbered from 0, whom the step with index `place` concerns in a class of `count`."""
        who = self.steps[place].who
        if who == "all":
            return frozenset(range(count))
        if isinstance(who, float):
            order = np.random.default_rng([self.seed, place]).permutation(count)
            return frozenset(order[: max(round(who * count), 1)].tolist())
        return frozenset(number - 1 for number in _numbers(who) if number <= count)


def _numbers(who: Who) -> list[int]:
    if isinstance(who, list):
        return who
    return [who] if isinstance(who, int) else []


def read_script(path: Path) -> Script:
    """The script in a YAML file; raises SettingsWrong with one line that names the file, the line and the field."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise SettingsWrong(f"{path} is larger than {LARGEST_BYTES} bytes, too large for a script")
        text = path.read_text("utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return Script.model_validate(yaml.safe_load(text))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsWrong(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None
    except yaml.YAMLError as error:
        raise SettingsWrong(
            f"{path}{_where(error)} is not valid YAML: {getattr(error, 'problem', None) or 'not readable'}"
        ) from None
    except RecursionError:
        raise SettingsWrong(f"{path} is nested too deeply") from None
    except ValidationError as error:
        raise SettingsWrong(_complaint(path, root, error)) from None
    except ValueError as error:  # a date that no calendar has, or a number that is none
        raise SettingsWrong(f"{path} has an impossible value: {first_line(error)}") from None


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" line {mark.line + 1}" if mark is not None else ""


def _complaint(path: Path, root: yaml.Node | None, error: ValidationError) -> str:
    """The first problem in a script and where it is, in one line."""
    problem = error.errors(include_input=False, include_url=False)[0]
    # for a union of types, pydantic adds their names to the location
    inside, line = _found(root, problem["loc"])
    field = ".".join(str(part + 1) if isinstance(part, int) else part for part in inside)
    reason = problem["msg"].removeprefix("Value error, ")
    if inside[-1:] == ("who",):
        reason = "wanted is all, a student's number from 1, a list of those, or a share such as 40%"
    return f"{path} line {line}: {field + ': ' if field else ''}{reason}"


def _found(node: yaml.Node | None, place: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], int]:
    """As much of a location as exists in the file, followed by a missing field if there is one, and its line from 1."""
    inside: list[int | str] = []
    for part in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            child = next((value for key, value in node.value if key.value == part), None)
            if child is None:
                inside.append(part)
                break
            node = child
        else:
            break
        inside.append(part)
    return tuple(inside), node.start_mark.line + 1 if node is not None else 1
