"""`models`: make a synthetic one, describe any."""

from pathlib import Path

from tokenforge.cli.show import print_json, print_table, size_text
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import ModelSource, parse_model
from tokenforge.models.resolve import describe_model
from tokenforge.models.synthetic import make_synthetic
from tokenforge.settings import read_settings


def make(name: str, folder: Path, *, seed: int, as_json: bool) -> int:
    """Write `synthetic:NAME` into `folder`."""
    ref = parse_model(name)
    if ref.source is not ModelSource.SYNTHETIC:
        raise InvalidInput([Fault(field="name", value=name, message="is not synthetic", hint="write synthetic:NAME")])
    if folder.exists() and any(folder.iterdir()):
        raise InvalidInput([Fault(field="folder", value=str(folder), message="is not empty", hint="name a new folder")])
    made = make_synthetic(ref.name, folder, seed=seed)
    if as_json:
        print_json({"model": str(ref), "folder": str(made), "seed": seed})
    else:
        print(f"{ref} written to {made}")
    return 0


def describe(model: str, *, as_json: bool) -> int:
    """Print a model's facts."""
    settings = read_settings()
    facts = to_plain(describe_model(parse_model(model), home=settings.home, offline=settings.hub_offline))
    if as_json:
        print_json(facts)
        return 0
    assert isinstance(facts, dict)
    rows = [(name.replace("_", " "), _value_text(name, value)) for name, value in facts.items()]
    print_table(("", model), rows)
    return 0


def _value_text(name: str, value: object) -> str:
    if isinstance(value, int) and name.endswith("bytes"):
        return f"{value:,} ({size_text(value)})"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return "-" if value is None else str(value)
