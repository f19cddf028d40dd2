"""Where a release is asked, with which headers, and what must never be shown."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from canary.errors import ConfigError
from canary.release import OpenAIRelease

_PATHS = {"chat": "/chat/completions", "completions": "/completions"}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CREDENTIAL = re.compile(r"auth|key|token|secret|passw|cookie", re.IGNORECASE)
MASK = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One URL to post to; its `repr` holds no secret."""

    url: URL
    headers: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    """What no message may show."""
    credentials: tuple[str, ...] = field(repr=False)
    """The part of it that no output may show: a tenant's name may be said, a key may not."""

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a provider meters together."""
        return str(self.url.origin())

    @property
    def is_local(self) -> bool:
        """Whether a proxy would only be in the way."""
        host = (self.url.host or "").rstrip(".").lower()
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def proxy(self) -> URL | None:
        """The environment's proxy on the way there; raises ValueError for one of another kind than HTTP."""
        if self.is_local or proxy_bypass(self.url.authority):
            return None
        known = getproxies()
        written = known.get(self.url.scheme) or known.get("all")
        if not written:
            return None
        proxy = URL(written if "://" in written else f"http://{written}")
        if proxy.scheme not in ("http", "https") or not proxy.host:
            raise ValueError(f"a proxy of the environment must be an HTTP proxy (got {proxy.scheme}://{proxy.host})")
        return proxy

    def mask(self, message: str) -> str:
        """The message without any secret of four characters or more."""
        return _mask(message, self.secrets, 4)

    def mask_output(self, output: str) -> str:
        """The output without credentials of eight characters or more."""
        return _mask(output, self.credentials, 8)


def read_endpoint(release: OpenAIRelease) -> Endpoint:
    """Raises ConfigError with every problem; none of them shows a secret."""
    given = {name: value.get_secret_value().strip() for name, value in release.headers.items()}
    key = release.api_key.get_secret_value().strip() if release.api_key else ""
    problems = [
        f"'{where}' must be printable ASCII"
        for where, value in {"api_key": key, **{f"headers.{name}": value for name, value in given.items()}}.items()
        if not (value.isascii() and value.isprintable())
    ]
    problems += [f"'headers' holds no header's name: {name!r}" for name in given if not _HEADER.fullmatch(name)]
    try:
        json.dumps(release.extra_body, allow_nan=False)
    except (TypeError, ValueError) as error:
        problems.append(f"'extra_body' must be JSON: {error}")
    if problems:
        raise ConfigError(problems)
    return _endpoint(release, key, given)


def _endpoint(release: OpenAIRelease, key: str, given: dict[str, str]) -> Endpoint:
    try:
        url = URL(release.base_url)
    except ValueError:
        raise ConfigError("'base_url' must be a URL") from None
    headers = {"authorization": f"Bearer {key}"} if key else {}
    # A value such as "Bearer x" is masked whole and in its last word.
    named = [word for name, value in given.items() if _CREDENTIAL.search(name) for word in _words(value)]
    credentials = [key, *named]
    others = [word for value in given.values() for word in _words(value)]
    path = url.raw_path.rstrip("/").removesuffix(_PATHS[release.api]) + _PATHS[release.api]
    return Endpoint(
        url=url.with_path(path, encoded=True, keep_query=True),
        headers=headers | {name.lower(): value for name, value in given.items()},
        secrets=tuple({*credentials, *others} - {""}),
        credentials=tuple({*credentials} - {""}),
    )


def _words(value: str) -> tuple[str, ...]:
    return (value, *value.split()[-1:])


def _mask(text: str, secrets: tuple[str, ...], shortest: int) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= shortest:
            text = text.replace(secret, MASK)
    return text
