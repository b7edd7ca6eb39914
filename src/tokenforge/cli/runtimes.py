"""`runtimes`: which there are, which are installed, install one."""

import sys

from tokenforge.bench.environment import detect_accelerator
from tokenforge.cli.show import print_json, print_table
from tokenforge.domain.runtime import parse_runtime
from tokenforge.runtimes.adopting import adopt_this_python
from tokenforge.runtimes.environments import ensure_environment, list_environments
from tokenforge.runtimes.registry import find_plug, list_plugs
from tokenforge.settings import read_settings


def show(*, as_json: bool) -> int:
    """List runtimes with the versions installed here."""
    settings = read_settings()
    accelerator = detect_accelerator()
    installed = list_environments(settings.home)
    rows = []
    for plug in list_plugs():
        versions = [e.version for e in installed if e.runtime == plug.name]
        recommended = plug.recipe(None, accelerator)
        rows.append(
            {
                "name": plug.name,
                "summary": plug.summary,
                "recommended": recommended.version,
                "installed": versions if recommended.requirements else ["built in"],
                "quants": sorted(plug.quants.get(accelerator, frozenset())),
            }
        )
    if as_json:
        print_json(rows)
        return 0
    columns = ("runtime", "recommended", "installed", f"formats on {accelerator}", "what it is")
    cells = [
        (r["name"], r["recommended"], ", ".join(r["installed"]) or "no", " ".join(r["quants"]), r["summary"])
        for r in rows
    ]
    print_table(columns, [[str(cell) for cell in row] for row in cells])
    return 0


def install(runtime: str, *, here: bool = False, as_json: bool) -> int:
    """Make the runtime's environment, with uv's progress on standard error; `here` takes this Python's packages."""
    settings = read_settings()
    accelerator = detect_accelerator()
    ref = parse_runtime(runtime)
    recipe = find_plug(ref.name).recipe(ref.version, accelerator)
    if here:
        environment = adopt_this_python(recipe, runtime=ref.name, home=settings.home, accelerator=accelerator)
    else:
        environment = ensure_environment(
            recipe,
            runtime=ref.name,
            home=settings.home,
            find_links=settings.find_links,
            extra_indexes=settings.extra_indexes,
            accelerator=accelerator,
            base_env=settings.child_env,
            on_progress=lambda text: print(text, file=sys.stderr),
        )
    if as_json:
        print_json(environment_facts(environment.runtime, environment.version, str(environment.python)))
    else:
        print(f"{environment.runtime}@{environment.version} is ready: {environment.python}")
    return 0


def environment_facts(runtime: str, version: str, python: str) -> dict[str, str]:
    """An installed environment as JSON."""
    return {"runtime": runtime, "version": version, "python": python}
