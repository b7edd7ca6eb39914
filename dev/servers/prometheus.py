"""A Prometheus over what the platform tells of itself, from Debian's package; there may be none."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from servers.ports import LOCALHOST, free_port, is_listening, until

_CONFIG = """\
global: {{scrape_interval: 5s}}
scrape_configs:
  - job_name: tokenforge
    http_sd_configs: [{{url: "http://{gateway}/metrics/targets", refresh_interval: 10s}}]
"""


def is_here() -> bool:
    """Whether the program is installed."""
    return shutil.which("prometheus") is not None


@dataclass(slots=True, kw_only=True)
class Prometheus:
    """Scrapes the gateway at `gateway` (HOST:PORT) and whatever that finds."""

    folder: Path
    gateway: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "prometheus.yml"
        config.write_text(_CONFIG.format(gateway=self.gateway))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus", "--config.file", str(config), "--storage.tsdb.path", str(self.folder / "data"),
                    "--web.listen-address", f"{LOCALHOST}:{self.port}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(lambda: is_listening(self.port), limit_s=30, what="prometheus")
