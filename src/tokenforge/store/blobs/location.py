"""`TOKENFORGE_ARTIFACTS_URL`: a folder, or a bucket of any S3-compatible server; and where its credentials come from.

Credentials are read as everybody's tools read them: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (with `_FILE`: a
file that holds it, as Kubernetes and Docker mount secrets), or a profile of `AWS_SHARED_CREDENTIALS_FILE`. Never in the
URL, which is refused with them.
"""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tokenforge.domain.errors import Fault, InvalidInput

SETTING = "TOKENFORGE_ARTIFACTS_URL"
_OPTIONS = ("endpoint", "region")
_HINT = "write s3://BUCKET/PREFIX?endpoint=https://HOST:PORT, or a folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A key of an S3 server, and its secret parts."""

    key: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where in which server. `credentials` None: what the machine itself was given (a role, a token file)."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    credentials: Credentials | None = None

    @property
    def shown(self) -> str:
        """For people."""
        return f"s3://{self.name}/{self.prefix}" + (f" at {self.endpoint}" if self.endpoint else "")


def read_location(url: str, *, env: Mapping[str, str]) -> Path | Bucket:
    """The folder, or the bucket with its credentials. Raises InvalidInput, and never repeats a secret."""
    if "://" not in url:
        return Path(url).expanduser()
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _refused(url, "is no address") from None
    if parts.scheme == "file":
        return Path(parts.path)
    if parts.scheme != "s3":
        raise _refused(url, f"has the scheme {parts.scheme[:20]!r}")
    if "@" in parts.netloc:
        raise _refused(url, "holds a user or a key; put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise _refused(url, f"has the option {unknown[0][:20]!r}; there are {', '.join(_OPTIONS)}")
    endpoint = options.get("endpoint") or env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or None
    if endpoint is not None and (urlsplit(endpoint).scheme not in ("http", "https") or "@" in endpoint):
        raise _refused(url, "has an endpoint that is not http://HOST or https://HOST")
    if not parts.netloc:
        raise _refused(url, "names no bucket")
    region = options.get("region") or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1"
    return Bucket(
        name=parts.netloc, prefix=parts.path.strip("/"), endpoint=endpoint and endpoint.rstrip("/"), region=region,
        credentials=read_credentials(env),
    )  # fmt: skip


def read_credentials(env: Mapping[str, str]) -> Credentials | None:
    """Of the environment, of files that it names, or of a profile; None where there are none."""
    key, secret = _secret(env, "AWS_ACCESS_KEY_ID"), _secret(env, "AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return Credentials(key=key, secret=secret, token=_secret(env, "AWS_SESSION_TOKEN"))
    if key or secret:
        there, lacks = ("ID", "SECRET_ACCESS_KEY") if key else ("SECRET", "ACCESS_KEY_ID")
        fault = Fault(field=f"AWS_{lacks}", value=None, message=f"is missing, though the {there} of a key is there")
        raise InvalidInput([fault], source="environment")
    file = Path(env.get("AWS_SHARED_CREDENTIALS_FILE") or Path(env.get("HOME", "/nonexistent")) / ".aws/credentials")
    profiles = configparser.ConfigParser(interpolation=None)
    try:
        profiles.read(file)
    except (OSError, configparser.Error):
        fault = Fault(field="AWS_SHARED_CREDENTIALS_FILE", value=str(file), message="can't be read as profiles")
        raise InvalidInput([fault], source="environment") from None
    name = env.get("AWS_PROFILE") or "default"
    if not profiles.has_option(name, "aws_access_key_id"):
        return None
    found = profiles[name]
    return Credentials(
        key=found["aws_access_key_id"], secret=found.get("aws_secret_access_key", ""),
        token=found.get("aws_session_token", ""),
    )  # fmt: skip


def _secret(env: Mapping[str, str], name: str) -> str:
    """The variable, or the content of the file that `NAME_FILE` names."""
    if said := env.get(name):
        return said
    path = env.get(f"{name}_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        fault = Fault(field=f"{name}_FILE", value=path, message=f"can't be read: {error.strerror}")
        raise InvalidInput([fault], source="environment") from error


def _refused(url: str, why: str) -> InvalidInput:
    scheme, _, rest = url.partition("://")
    shown = f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
    return InvalidInput([Fault(field=SETTING, value=shown, message=why, hint=_HINT)], source="environment")
