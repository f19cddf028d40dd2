"""One registered name: its aliases, and which release each of its versions is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from canary.digest import digest_of
from canary.errors import PromotionError
from canary.plan import ReleasePlan
from canary.source import version_named
from canary.tracking import DIGEST, experiment_of, logged_model, text_for_mlflow, unless_absent

CHAMPION = "champion"
PREVIOUS = "previous-champion"
RELEASE = "gate.release"
RECORD = "gate.record_sha256"


class Entry(Protocol):
    """A registered model or prompt."""

    @property
    def client(self) -> Any:
        """MLflow's."""
        ...

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def scheme(self) -> str:
        """`models` or `prompts`, as its addresses begin."""
        ...

    def version_at(self, alias: str) -> str | None:
        """The version an alias points at; None where there is none."""
        ...

    def identity(self, version: str) -> str | None:
        """The digest of what a version is; None where nothing says it."""
        ...

    def digest(self, release: ReleasePlan) -> str:
        """The digest that a version of this release has."""
        ...

    def holds(self, version: str, release: ReleasePlan) -> bool:
        """Whether a version is where the release was loaded from."""
        ...

    def ensure(self, release: ReleasePlan, record: str) -> str:
        """The version that is this release, registered where there is none."""
        ...

    def point(self, alias: str, version: str) -> None:
        """Set an alias."""
        ...


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A registered model: each version is a release, by its digest."""

    client: Any
    name: str
    experiment: str
    """Where the logged models of its releases are."""
    scheme: str = "models"

    def version_at(self, alias: str) -> str | None:
        """The version an alias points at; None where there is none."""
        version = unless_absent(lambda: self.client.get_model_version_by_alias(self.name, alias))
        return None if version is None else str(version.version)

    def identity(self, version: str) -> str | None:
        """The digest that the version's tag says."""
        found = unless_absent(lambda: self.client.get_model_version(self.name, version))
        return None if found is None else found.tags.get(DIGEST)

    def digest(self, release: ReleasePlan) -> str:
        """The release's own."""
        return release.digest

    def ensure(self, release: ReleasePlan, record: str) -> str:
        """The version that the release's weights came from, or the first with its digest; else a new one.

        A version is one release: where the weights' own version is marked as
        another one (under another prompt, say), a new version has the same
        weights. Without weights in this name it names the logged model. Raises
        PromotionError where the version that was tested is gone or another.
        """
        own = self._loaded_from(release)
        if own is not None and own.tags.get(DIGEST, release.digest) == release.digest:
            self.client.set_model_version_tag(self.name, own.version, DIGEST, release.digest)
            return str(own.version)
        same = [v for v in versions_of(self.client, self.name) if v.tags.get(DIGEST) == release.digest]
        if same:
            return str(same[0].version)
        tags = {DIGEST: release.digest, RELEASE: text_for_mlflow(release.name, 500), RECORD: record}
        if own is not None:
            made = create_version(self.client, self.name, own.source, tags, model_id=own.model_id, run_id=own.run_id)
            return str(made.version)
        register_name(self.client, self.name)
        experiment_id = experiment_of(self.client, self.experiment)
        model_id = logged_model(self.client, experiment_id, release.name, release.digest, release.release)
        made = create_version(self.client, self.name, f"models:/{model_id}", tags, model_id=model_id)
        return str(made.version)

    def holds(self, version: str, release: ReleasePlan) -> bool:
        """Whether a version is the one that the release's weights came from."""
        try:
            own = self._loaded_from(release)
        except PromotionError:
            return False
        return own is not None and str(own.version) == version

    def _loaded_from(self, release: ReleasePlan) -> Any:
        """The version of this name that the release's weights came from; None where they came from elsewhere."""
        origin = release.origins.get("model")
        named = None if origin is None else version_named(origin.pinned)
        if origin is None or named is None or named[0] != self.name:
            return None
        found = unless_absent(lambda: self.client.get_model_version(*named))
        if found is None or found.source != origin.source:
            there = "gone" if found is None else f"another one: its source was {origin.source}, is {found.source}"
            raise PromotionError(f"{self.name}: version {named[1]}, which was tested, is {there}; nothing was moved")
        return found

    def point(self, alias: str, version: str) -> None:
        """Set an alias."""
        self.client.set_registered_model_alias(self.name, alias, version)


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """A registered prompt: each version is a template, by its text."""

    client: Any
    name: str
    scheme: str = "prompts"

    def version_at(self, alias: str) -> str | None:
        """The version an alias points at; None where there is none."""
        version = unless_absent(lambda: self.client.get_prompt_version_by_alias(self.name, alias))
        return None if version is None else str(version.version)

    def identity(self, version: str) -> str | None:
        """The digest of the version's template."""
        found = unless_absent(lambda: self.client.get_prompt_version(self.name, version))
        return None if found is None else prompt_digest(found.template)

    def digest(self, release: ReleasePlan) -> str:
        """Of the release's template."""
        return prompt_digest(release.release["prompt"])

    def holds(self, version: str, release: ReleasePlan) -> bool:  # noqa: ARG002 - Entry
        """Never: a release's prompt is text."""
        return False

    def ensure(self, release: ReleasePlan, record: str) -> str:
        """The first version with the release's template, else a new one."""
        wanted, number = self.digest(release), 1
        while (found := self.identity(str(number))) is not None:
            if found == wanted:
                return str(number)
            number += 1
        tags = {RELEASE: text_for_mlflow(release.name, 500), RECORD: record}
        template = release.release["prompt"]
        made = self.client.register_prompt(self.name, template, f"tested as {release.name}"[:200], tags)
        return str(made.version)

    def point(self, alias: str, version: str) -> None:
        """Set an alias."""
        self.client.set_prompt_alias(self.name, alias, int(version))


def prompt_digest(template: Any) -> str:
    """The digest of a text, or of chat turns."""
    turns = template if isinstance(template, str) else [{"role": t["role"], "content": t["content"]} for t in template]
    return digest_of(turns)


def register_name(client: Any, name: str, description: str | None = None) -> None:
    """A registered model of this name, made where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def versions_of(client: Any, name: str) -> tuple[Any, ...]:
    """Every version of a registered model, oldest first."""
    return tuple(sorted(_pages(client, name), key=lambda version: int(version.version)))


def create_version(client: Any, name: str, source: str, tags: Mapping[str, str], **of: str | None) -> Any:
    """A new version; the server gives each its number, even to two at once.

    `of` is the logged model (`model_id`) or run (`run_id`) that the source
    belongs to. The server tries three times to find a free number; where many
    come at once it gives up, which is no reason for us to.
    """
    from mlflow.exceptions import MlflowException

    for left in reversed(range(6)):
        try:
            return client.create_model_version(name, source, tags=dict(tags), **of)
        except MlflowException as error:
            if not left or "Giving up" not in str(error):
                raise
    raise AssertionError("unreachable")


def _pages(client: Any, name: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
