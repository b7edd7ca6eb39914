"""The gateways of the comparison: how each is installed, started in front of the one upstream, and asked.

Each is installed once, into an environment of its own under TOKENFORGE_BENCH_HOME; nginx comes from the system. One
that cannot be had is told with the reason. All run with their access logs off, except ours: keys, limits, routing,
metrics, ids, the sampled access log and trace headers are on.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.seed import MODEL
from harness.home import PIP, CannotInstall, Home

UPSTREAM_PORT = 18_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a gateway is run: its command, commands of more processes, and the header lines that a request needs."""

    command: Sequence[str]
    env: dict[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    more_commands: tuple[Sequence[str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One gateway. `version` installs it where needed and tells its version; `launch` gets a folder and a port.

    Both raise CannotInstall.
    """

    name: str
    version: Callable[[Home], str]
    launch: Callable[[Home, Path, int], Launch]


def _nginx(home: Home, folder: Path, port: int) -> Launch:
    del home
    temps = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"""worker_processes 1; daemon off;
pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body; {temps}
  upstream workers {{ server 127.0.0.1:{UPSTREAM_PORT}; keepalive 2000; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://workers; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_buffering off; }} }} }}
""")
    return Launch(command=(_nginx_program(), "-p", str(folder), "-c", str(folder / "nginx.conf")))


def _nginx_program() -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise CannotInstall("nginx is not installed (Debian: apt-get install nginx)")
    return found


def _nginx_version(home: Home) -> str:
    del home
    done = subprocess.run([_nginx_program(), "-v"], capture_output=True, text=True, check=True)
    return done.stderr.strip().rpartition("/")[2]


def _from_pip(name: str, package: str) -> Callable[[Home], str]:
    checks = f"from importlib.metadata import version; print(version({package.partition('[')[0]!r}))"
    return lambda home: home.environment(name, [(*PIP, package)], checks=checks)


def _rust_router(name: str, module: str) -> Callable[[Home, Path, int], Launch]:
    def launch(home: Home, folder: Path, port: int) -> Launch:
        del folder
        words = ("--host", "127.0.0.1", "--port", str(port), "--worker-urls", f"http://127.0.0.1:{UPSTREAM_PORT}")
        more = ("--policy", "round_robin", "--log-level", "error", "--prometheus-port", str(port + 1))
        return Launch(command=(str(home.python(name)), "-m", module, *words, *more))

    return launch


def _litellm(home: Home, folder: Path, port: int) -> Launch:
    (folder / "config.yaml").write_text(f"""model_list:
  - model_name: "{MODEL}"
    litellm_params: {{model: "hosted_vllm/{MODEL}", api_base: "http://127.0.0.1:{UPSTREAM_PORT}/v1", api_key: none}}
litellm_settings: {{telemetry: false}}
general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}
""")
    words = ("--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    return Launch(command=(str(home.script("litellm", "litellm")), *words), env={"LITELLM_LOG": "ERROR"})


def _portkey_version(home: Home) -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall("npm is not installed")
    folder = home.root / "envs" / "portkey"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        words = ("install", "--no-audit", "--no-fund", "@portkey-ai/gateway")
        done = subprocess.run([npm, *words], cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise CannotInstall(f"npm: {done.stderr.strip().splitlines()[-1]}")
    words = ("-p", "require('@portkey-ai/gateway/package.json').version")
    return subprocess.run(["node", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def _portkey(home: Home, folder: Path, port: int) -> Launch:
    del folder
    package = home.root / "envs" / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{UPSTREAM_PORT}/v1")
    command = ("node", str(package / "build" / "start-server.js"), f"--port={port}", "--headless")
    return Launch(command=command, headers=(*headers, "authorization: Bearer none"), env={"NODE_ENV": "production"})


def _ours(processes: int) -> Callable[[Home, Path, int], Launch]:
    def launch(home: Home, folder: Path, port: int) -> Launch:
        del home
        seed = [sys.executable, "-m", "gateway.seed", str(folder / "platform"), f"http://127.0.0.1:{UPSTREAM_PORT}"]
        seed += os.environ.get("GATEWAY_PLACES", "").split()
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        key = subprocess.run(seed, env=env, capture_output=True, text=True, check=True).stdout.strip()
        words = ("-P", "-m", "tokenforge.cli", "gateway", "--port", str(port))
        command = (sys.executable, *words, *(("--shared",) if processes > 1 else ()))
        trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        return Launch(
            command=command,
            more_commands=(command,) * (processes - 1),
            env={"TOKENFORGE_HOME": str(folder)},
            headers=(f"authorization: Bearer {key}", trace),
        )

    return launch


def _our_version(home: Home) -> str:
    del home
    from tokenforge import __version__

    return __version__


def _none(home: Home) -> str:
    del home
    return ""


def _direct(home: Home, folder: Path, port: int) -> Launch:
    del home, folder, port
    return Launch(command=())


def _no_package(home: Home) -> str:
    del home
    raise CannotInstall("no package of this router was found on PyPI")


DIRECT = "direct"
_VLLM, _SGLANG = "vllm-router", "sglang-router"
PEERS = (
    Peer(name=DIRECT, version=_none, launch=_direct),
    Peer(name="nginx", version=_nginx_version, launch=_nginx),
    Peer(name=_VLLM, version=_from_pip(_VLLM, _VLLM), launch=_rust_router(_VLLM, "vllm_router.launch_router")),
    Peer(
        name=_SGLANG, version=_from_pip(_SGLANG, _SGLANG), launch=_rust_router(_SGLANG, "sglang_router.launch_router")
    ),
    Peer(name="production-stack router", version=_no_package, launch=_direct),
    Peer(name="LiteLLM", version=_from_pip("litellm", "litellm[proxy]"), launch=_litellm),
    Peer(name="Portkey", version=_portkey_version, launch=_portkey),
    Peer(name="TokenForge", version=_our_version, launch=_ours(1)),
    Peer(name="TokenForge x 2", version=_our_version, launch=_ours(2)),
)
