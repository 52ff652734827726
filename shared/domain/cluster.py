"""What is seen of a cluster: objects as the API server lists them, or why there are none to see."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

Object = Mapping[str, Any]


class Unlisted(StrEnum):
    """Why objects of a kind are not seen."""

    NOT_SERVED = "the cluster does not know this kind"
    FORBIDDEN = "the user of the kubeconfig may not look at it"
    TOO_MANY = "there are too many of them"
    UNANSWERED = "the API server gave no answer"


Objects = Sequence[Object] | Unlisted


class Right(NamedTuple):
    """One right of an account, in one namespace or, without one, in all of them."""

    group: str
    resource: str
    verb: str
    namespace: str = ""

    def __str__(self) -> str:
        place = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {self.resource} {place}"
