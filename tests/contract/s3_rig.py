"""S3 servers for tests: rclone's, started here; Ceph's, where `make test-s3-ceph` has started one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenforge.store.blobs.location import Bucket
from tokenforge.store.blobs.s3_uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """A server: its endpoint, its bucket, a key, and its files on the disk where they can be looked at."""

    endpoint: str
    bucket: str
    env: Mapping[str, str]
    root: Path | None = None

    def url(self, *, prefix: str) -> str:
        """As `TOKENFORGE_ARTIFACTS_URL` has it."""
        return f"s3://{self.bucket}/{prefix}?endpoint={self.endpoint}"


def ceph_url() -> str | None:
    """The endpoint of a Ceph that was started for this run of the tests."""
    return os.environ.get("TOKENFORGE_TEST_CEPH_ENDPOINT")


def begin_upload(bucket: Bucket, key: str) -> None:
    """Begin an upload in parts and never end it, as a killed process does."""
    assert Uploads(bucket).call("POST", f"{bucket.prefix}/{key}", {"uploads": ""})
