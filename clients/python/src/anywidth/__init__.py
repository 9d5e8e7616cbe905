"""A typed client for anywidth, an inference server for Any-Width Networks.

    from anywidth import Client

    with Client("http://127.0.0.1:8080") as client:
        print(client.classify("ship.png", budget_ms=20).top.label)

`AsyncClient` has the same calls for asyncio.
"""

from ._async_client import AsyncClient
from ._client import Client
from ._errors import (
    AnywidthError,
    BadRequest,
    BrokenImage,
    CannotBeMet,
    ConnectionFailed,
    DeadlineMissed,
    Forbidden,
    NotFound,
    NotReady,
    Overloaded,
    ServerError,
    TooLarge,
    UnsupportedImage,
)
from ._images import Image
from ._models import (
    Answer,
    ErrorFile,
    Evaluation,
    Input,
    Limits,
    Model,
    ModelProfile,
    Models,
    Prediction,
    Preprocessing,
    Profile,
    ProfileStep,
    RejectedModel,
    Timing,
    WidthAccuracy,
    WidthStep,
)
from ._parameters import Priority

__all__ = [
    "Answer",
    "AnywidthError",
    "AsyncClient",
    "BadRequest",
    "BrokenImage",
    "CannotBeMet",
    "Client",
    "ConnectionFailed",
    "DeadlineMissed",
    "ErrorFile",
    "Evaluation",
    "Forbidden",
    "Image",
    "Input",
    "Limits",
    "Model",
    "ModelProfile",
    "Models",
    "NotFound",
    "NotReady",
    "Overloaded",
    "Prediction",
    "Preprocessing",
    "Priority",
    "Profile",
    "ProfileStep",
    "RejectedModel",
    "ServerError",
    "Timing",
    "TooLarge",
    "UnsupportedImage",
    "WidthAccuracy",
    "WidthStep",
]
