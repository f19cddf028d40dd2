"""The embedder in an actor on a GPU of the cluster: where a run is started there may be none."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from canary.errors import EngineError
from canary.models import open_embedder
from canary.models.sentence_transformers import MiniLM
from canary.pipeline import Pipeline, RayRunner
from canary.protocols import Embedder
from canary.runners.head import require, unwatched
from canary.runners.ray import REACHED_S, cluster, head_of, job_metadata

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EVERY_S = 2.0
PLACED_S = 60.0
"""How long a GPU may take to be free."""


@contextmanager
def embedding(pipeline: Pipeline, say: Callable[[str], None]) -> Iterator[Callable[[], Embedder]]:
    """Yields what opens the embedder: of an actor where the runner has `scorer_gpus`, else of this process.

    Vectors are kept here either way. An actor that finds no room, or dies, or
    whose cluster is lost, is said, and its texts are embedded here.
    """
    runner = pipeline.runner
    if not isinstance(runner, RayRunner) or not runner.scorer_gpus:
        yield open_embedder
        return
    with cluster(runner, job_metadata(pipeline)):
        scorer = Scorer(runner.scorer_gpus, head_of(runner), say)
        try:
            yield lambda: MiniLM(encode=scorer)
        finally:
            scorer.close()


class Scorer:
    """Texts to vectors, wherever that can be done."""

    def __init__(self, gpus: float, head: tuple[str, int], say: Callable[[str], None]) -> None:
        self._gpus, self._head, self._say = gpus, head, say
        self._actor: Any = None
        self._here: MiniLM | None = None

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (texts, dimensions)."""
        import ray

        if self._here is None:
            try:
                return self._encoded(texts)
            except (ray.exceptions.RayError, EngineError) as error:
                self._say(f"canary: answers are embedded here: {_reason(error)}")
                self._here = MiniLM()
        return self._here.encode(texts)

    def _encoded(self, texts: list[str]) -> NDArray[np.float32]:
        """Of the actor; raises EngineError where it is waited for and the head node is lost."""
        import ray

        require(*self._head)
        self._actor = self._actor or self._placed()
        asked = self._actor.encode.remote(texts)
        while not ray.wait([asked], timeout=_EVERY_S)[0]:
            require(*self._head)
        vectors: NDArray[np.float32] = ray.get(asked)
        return vectors

    def _placed(self) -> Any:
        """An actor that has its room; raises EngineError where the head node is lost before there is one."""
        import ray

        created = unwatched(ray.remote(num_cpus=1, num_gpus=self._gpus)(Encoder).remote)
        while not wait([created], _EVERY_S).done:
            require(*self._head)
        self._actor = created.result()
        ray.get(self._actor.place.remote(), timeout=PLACED_S)
        return self._actor

    def close(self) -> None:
        """Ends the actor."""
        import ray

        if self._actor is not None:
            with suppress(OSError, ray.exceptions.RayError):  # Ray ends what a driver leaves
                socket.create_connection(self._head, REACHED_S).close()  # a call to a dead head takes a minute
                ray.kill(self._actor)


class Encoder:
    """The model in a process of its own; `ray.remote` makes it an actor."""

    def __init__(self) -> None:
        self._model = MiniLM()

    def place(self) -> None:
        """Returns once there is a process to be in."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (texts, dimensions)."""
        return self._model.encode(texts)


def _reason(error: Exception) -> str:
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"the scorer found no GPU that is free within {PLACED_S:g} s"
    return f"the scorer failed: {str(error).strip().rpartition(chr(10))[2]}"
