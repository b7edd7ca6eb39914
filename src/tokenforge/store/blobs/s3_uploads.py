"""Uploads in parts that nobody ended: found and given up, so that they take no room. What obstore does not do.

Two calls of S3's API, signed by hand (AWS Signature Version 4). A server that does not know them keeps its leftovers.
"""

import hashlib
import hmac
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from tokenforge.domain.errors import StoreUnavailable
from tokenforge.store.blobs.location import Bucket, Credentials

_LIMIT_S: Final = 20.0
_NOTHING = hashlib.sha256(b"").hexdigest()
_UNKNOWN_CALL = (400, 404, 405, 501)


class Uploads:
    """Of one bucket. Without a key of its own (the machine's role signs) there is nothing that it can do."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._endpoint = bucket.endpoint or f"https://s3.{bucket.region}.amazonaws.com"

    def abandon(self, prefix: str) -> int:
        """Give up all whose key begins so. How many there were. Raises StoreUnavailable."""
        return sum(self._give_up(key, upload) for key, upload in self.begun(prefix))

    def begun(self, prefix: str) -> list[tuple[str, str]]:
        """Those that are there, as key and upload id."""
        full = f"{self._bucket.prefix}/{prefix}" if self._bucket.prefix else prefix
        answer = self.call("GET", "", {"prefix": full, "uploads": ""})
        if not answer:
            return []
        found = []
        for upload in ElementTree.fromstring(answer).iter():
            if upload.tag.rpartition("}")[2] == "Upload":
                said = {child.tag.rpartition("}")[2]: child.text or "" for child in upload}
                if said.get("Key", "").startswith(full):
                    found.append((said["Key"], said["UploadId"]))
        return found

    def _give_up(self, key: str, upload: str) -> bool:
        return self.call("DELETE", key, {"uploadId": upload}) is not None

    def call(self, method: str, key: str, query: dict[str, str]) -> bytes | None:
        """The answer to one signed call without a body; None from a server that does not know it."""
        if self._bucket.credentials is None:
            return None
        path = quote(f"/{self._bucket.name}/{key}" if key else f"/{self._bucket.name}")
        sorted_query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in sorted(query.items()))
        headers = sign(
            self._bucket.credentials, method=method, host=urlsplit(self._endpoint).netloc, path=path,
            query=sorted_query, region=self._bucket.region, now=datetime.now(UTC),
        )  # fmt: skip
        request = urllib.request.Request(f"{self._endpoint}{path}?{sorted_query}", method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _UNKNOWN_CALL:
                return None
            raise StoreUnavailable(f"the artifact store {self._bucket.shown} answered {error.code}") from error
        except OSError as error:
            raise StoreUnavailable(f"the artifact store {self._bucket.shown} failed: {error}") from error


def sign(
    credentials: Credentials, *, method: str, host: str, path: str, query: str, region: str, now: datetime
) -> dict[str, str]:
    """The headers of a request without a body. `path` and `query` are as they are sent."""
    stamp, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    headers = {"host": host, "x-amz-content-sha256": _NOTHING, "x-amz-date": stamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{_NOTHING}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    said = f"AWS4-HMAC-SHA256 Credential={credentials.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": said}
