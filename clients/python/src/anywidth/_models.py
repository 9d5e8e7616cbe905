"""What the server answers, as frozen dataclasses with the field names of its JSON.

The type hints are evaluated at run time, so they use the syntax of Python 3.9.
"""

from dataclasses import dataclass
from typing import Any, Optional


@dataclass(frozen=True)
class Prediction:
    """A class and its probability, from 0 to 1; `index` counts from 0."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class WidthStep:
    """The predictions at one width of `all_widths`, most probable first."""

    width: float
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class Timing:
    """Where a request's time went, in milliseconds on the server; of several images, the slowest of each part."""

    queue: float
    decode: float
    inference: float
    total: float


@dataclass(frozen=True)
class Answer:
    """The answer to one image.

    Attributes:
        model: the model that ran.
        version: its version.
        precision: the numbers that were multiplied, `f32` or `bf16`.
        width: the width that ran, above 0 and up to 1.
        reason: what determined it: `requested`, `budget`, `load`, `gain`, `accuracy`, `confident` or `full`.
        predictions: the most probable classes, most probable first.
        timing_ms: milliseconds on the server; the images of a batch share it.
        late: whether the deadline had passed when the answer was ready.
        all_widths: the predictions at every step of the model's widths, ascending; None unless asked for.
        name: the file's name, cut to 100 characters; None outside a batch.
    """

    model: str
    version: str
    precision: str
    width: float
    reason: str
    predictions: tuple[Prediction, ...]
    timing_ms: Timing
    late: bool = False
    all_widths: Optional[tuple[WidthStep, ...]] = None
    name: Optional[str] = None

    @property
    def top(self) -> Prediction:
        """The most probable class."""
        return self.predictions[0]


@dataclass(frozen=True)
class ErrorFile:
    """The file of a batch that caused an error; `index` counts from 0."""

    index: int
    name: str


@dataclass(frozen=True)
class Input:
    """The shape of a network's input, in pixels."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the input.

    Attributes:
        crop: the share of the shorter side that the centre crop keeps.
        range: the input's values for black and for white.
        filter: the scaling filter.
    """

    crop: float
    range: tuple[float, ...]
    filter: str = "bilinear"


@dataclass(frozen=True)
class WidthAccuracy:
    """The accuracy at a width, from 0 to 1, as the model file states it."""

    width: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """The images on which the accuracies were measured: `test`, `validation` or another split, and their number."""

    split: str
    images: int


@dataclass(frozen=True)
class Model:
    """A served model in its default version.

    Attributes:
        versions: every version, ascending.
        widths: the steps at which the cost changes, ascending; requests may name any width above 0 and up to 1.
        accuracy: the accuracies that the file states; empty if it states none.
        evaluation: the images behind these; None if the file does not say.
        training: how the model was trained, as JSON; None if the file does not say.
    """

    name: str
    version: str
    versions: tuple[str, ...]
    input: Input
    preprocessing: Preprocessing
    precision: str
    classes: int
    labels: tuple[str, ...]
    widths: tuple[float, ...]
    accuracy: tuple[WidthAccuracy, ...]
    evaluation: Optional[Evaluation] = None
    training: Any = None


@dataclass(frozen=True)
class Limits:
    """The limits of a request: bytes of its body, files of a batch."""

    max_body_bytes: int
    max_files: int


@dataclass(frozen=True)
class RejectedModel:
    """A model that did not load, and why."""

    path: str
    error: str


@dataclass(frozen=True)
class Models:
    """The served models, the rejected ones, and the limits; `default` is the model of requests that name none."""

    default: str
    models: tuple[Model, ...]
    limits: Limits
    rejected: tuple[RejectedModel, ...]

    def __getitem__(self, name: str) -> Model:
        """The model of this name; raises KeyError if it is not served."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)


@dataclass(frozen=True)
class ProfileStep:
    """A width's accuracy, None if the file states none, and pairs of a batch size and its latency in microseconds."""

    width: float
    accuracy: Optional[float]
    latency_us: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ModelProfile:
    """One model's latencies on the server's machine.

    Attributes:
        correction: the ratio of the current run time to the one measured at start-up.
        decode_us: recent mean time to decode an image, in microseconds; None before the first.
        capacity_at_full_width: images per second that all workers answer at full width.
    """

    name: str
    version: str
    precision: str
    correction: float
    decode_us: Optional[float]
    capacity_at_full_width: float
    steps: tuple[ProfileStep, ...]


@dataclass(frozen=True)
class Profile:
    """Every model's latencies, and the number of worker threads."""

    workers: int
    models: tuple[ModelProfile, ...]
