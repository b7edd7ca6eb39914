"""A Ceph with an S3 server on one machine, for as long as a command runs: `python dev/ceph.py -- COMMAND`.

From Debian's packages (radosgw, ceph-mon, ceph-osd, ceph-mgr): one monitor, one manager, one store on a file, no
copies. It speaks for Ceph's S3 (ranged reads, conditional writes), not for Ceph as anybody should run it.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from obstore.store import S3Store

from servers.ports import LOCALHOST, free_port, is_listening, until
from servers.s3 import BUCKET

_NEEDED = ("ceph-mon", "ceph-mgr", "ceph-osd", "radosgw", "radosgw-admin")
_CONFIG = """\
[global]
fsid = {fsid}
mon host = {host}:{port}
mon initial members = a
mon data = {folder}/mon
mgr data = {folder}/mgr
osd data = {folder}/osd
run dir = {folder}
admin socket = {folder}/$name.asok
keyring = {folder}/keyring
log file = {folder}/$name.log
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = true
mon allow pool size one = true
osd pool default size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = 4294967296
osd memory target = 939524096
mon osd allow primary affinity = true
mon data avail crit = 1
public network = 127.0.0.0/8
ms bind ipv4 = true
ms bind msgr1 = false
[client.admin]
rgw frontends = beast endpoint={host}:{rgw}
"""


class Ceph:
    """Its processes, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rgw = free_port()
        self._config = folder / "ceph.conf"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> dict[str, str]:
        """Start all of it; the environment in which tests find it."""
        port, fsid = free_port(), str(uuid.uuid4())
        text = _CONFIG.format(folder=self.folder, host=LOCALHOST, port=port, fsid=fsid, rgw=self.rgw)
        self._config.write_text(text)
        self._monitor(fsid, port)
        for name in ("mgr", "osd"):
            (self.folder / name).mkdir()
        for entity in ("mgr.x", "osd.0"):
            profile = entity.partition(".")[0]
            self._run(
                "ceph",
                "auth",
                "add",
                entity,
                "mon",
                f"allow profile {profile}",
                "osd",
                "allow *",
                "mgr",
                "allow *",
            )
            key = self._run("ceph", "auth", "print-key", entity)
            self._run("ceph-authtool", str(self.folder / "keyring"), "-n", entity, "--add-key", key)
        self._daemon("ceph-mgr", "-i", "x")
        osd = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._daemon("ceph-osd", "-i", "0")
        key, secret = secrets.token_hex(10), secrets.token_hex(20)
        self._run(
            "radosgw-admin", "user", "create", "--uid", "t", "--display-name", "t", "--access-key", key,
            "--secret-key", secret,
        )  # fmt: skip
        self._daemon("radosgw", "-n", "client.admin")
        until(lambda: is_listening(self.rgw), limit_s=300, what="radosgw")
        env = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        endpoint = f"http://{LOCALHOST}:{self.rgw}"
        _make_bucket(endpoint, key=key, secret=secret)
        return {**env, "TOKENFORGE_TEST_CEPH_ENDPOINT": endpoint}

    def stop(self) -> None:
        """End all of it."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _monitor(self, fsid: str, port: int) -> None:
        keyring = str(self.folder / "keyring")
        for make, entity, may in (
            ("--create-keyring", "mon.", ("mon",)),
            ("-g", "client.admin", ("mon", "osd", "mgr")),
        ):
            caps = [word for part in may for word in ("--cap", part, "allow *")]
            self._run("ceph-authtool", keyring, make, *(["-g"] if make != "-g" else []), "-n", entity, *caps)
        monmap = self.folder / "monmap"
        self._run("monmaptool", "--create", "--addv", "a", f"[v2:{LOCALHOST}:{port}]", "--fsid", fsid, str(monmap))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(monmap), "--keyring", keyring)
        self._daemon("ceph-mon", "-i", "a")
        until(lambda: is_listening(port), limit_s=60, what="ceph-mon")

    def _daemon(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.out").open("ab") as out:
            self._processes.append(
                subprocess.Popen(
                    [program, "-f", "-c", str(self._config), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )
            )

    def _run(self, program: str, *arguments: str) -> str:
        config = () if program in ("monmaptool", "ceph-authtool") else ("-c", str(self._config))
        done = subprocess.run([program, *config, *arguments], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} {arguments[0]} ended with {done.returncode}: {done.stderr[-800:]}")
        return done.stdout.strip()


def _make_bucket(endpoint: str, *, key: str, secret: str) -> None:
    """obstore makes no buckets; a signed PUT of one does."""
    from datetime import timedelta
    from urllib.request import Request, urlopen

    import obstore

    root = S3Store(
        BUCKET, endpoint=endpoint, access_key_id=key, secret_access_key=secret, region="us-east-1",
        virtual_hosted_style_request=False, client_options={"allow_http": True},
    )  # fmt: skip
    link = obstore.sign(root, "PUT", "", timedelta(seconds=60))
    with urlopen(Request(link, method="PUT"), timeout=30):
        return


def main(command: list[str]) -> int:
    """Run the command beside it."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing or not command:
        what = ", ".join(missing) or "a command after --"
        sys.stderr.write(f"needs {what} (apt-get install radosgw ceph-mon ceph-osd ceph-mgr ceph-common)\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="ceph-") as name:
        ceph, began_s = Ceph(Path(name)), time.monotonic()
        try:
            env = ceph.start()
            sys.stderr.write(f"Ceph's S3 is up after {time.monotonic() - began_s:.0f} s\n")
            return subprocess.run(command, env={**os.environ, **env}, check=False).returncode
        except TimeoutError:
            logs = sorted(Path(name).glob("*.out"))
            sys.stderr.write("".join(f"{log.name}:\n{log.read_text()[-1500:]}\n" for log in logs))
            raise
        finally:
            ceph.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []))
