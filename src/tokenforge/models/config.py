"""Reading sizes out of a hub `config.json`, whatever dialect it is written in.

Fields are asked for by name, faults are gathered, and all are reported together. It refuses to fill in a size that the
file does not give; only fields with a meaning when absent (a count of experts, a bias) have a default.
"""

from collections.abc import Mapping

from tokenforge.domain.errors import Fault, InvalidInput


class ConfigFields:
    """A `config.json` being read. Call `check` once after all `required` reads."""

    def __init__(self, config: Mapping[str, object], *, source: str = "config.json") -> None:
        self._config = config
        self._source = source
        self._faults: list[Fault] = []

    def required(self, *names: str) -> int:
        """The first of `names` that is set, as a positive whole number; a fault, and 1, when there is none."""
        for name in names:
            value = self._config.get(name)
            if value is not None:
                return self._positive(name, value)
        hint = "the file must give this size" + (f" (or as {', '.join(names[1:])})" if names[1:] else "")
        self._faults.append(Fault(field=names[0], value=None, message="is missing", hint=hint))
        return 1

    def number(self, *names: str, default: int = 0) -> int:
        """The first of `names` that is set, or `default`."""
        for name in names:
            if self._config.get(name) is not None:
                return self._positive(name, self._config[name], least=0)
        return default

    def text(self, *names: str) -> str | None:
        """The first of `names` that holds text."""
        found = (self._config.get(name) for name in names)
        return next((value for value in found if isinstance(value, str)), None)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A yes or no."""
        value = self._config.get(name)
        return default if value is None else bool(value)

    def mapping(self, name: str) -> Mapping[str, object]:
        """A nested table, empty when absent."""
        value = self._config.get(name)
        return value if isinstance(value, Mapping) else {}

    def whole_numbers(self, name: str) -> frozenset[int]:
        """A list of indexes, empty when absent."""
        value = self._config.get(name)
        return frozenset(item for item in value if isinstance(item, int)) if isinstance(value, list) else frozenset()

    def check(self) -> None:
        """Raise InvalidInput with every fault found so far."""
        if self._faults:
            raise InvalidInput(self._faults, source=self._source)

    def _positive(self, name: str, value: object, *, least: int = 1) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        self._faults.append(Fault(field=name, value=value, message=f"must be a whole number of at least {least}"))
        return 1


def language_part(config: Mapping[str, object]) -> Mapping[str, object]:
    """The part that generates text: a multimodal config nests it, and leaves the dtype outside."""
    inner = config.get("text_config")
    if not isinstance(inner, Mapping):
        return config
    outer = {name: config[name] for name in ("torch_dtype", "dtype", "quantization_config") if name in config}
    return {**outer, **inner}
