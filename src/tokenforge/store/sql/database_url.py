"""`TOKENFORGE_DATABASE_URL`: read, checked, and shown without its password."""

from urllib.parse import urlsplit

from tokenforge.domain.errors import Fault, InvalidInput

SETTING = "TOKENFORGE_DATABASE_URL"
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


def check_database_url(url: str) -> str:
    """The address as it was given. Raises InvalidInput, and never repeats the password."""
    hint = "write postgresql://USER:PASSWORD@HOST:PORT/NAME, or leave it out for SQLite"
    try:
        parts = urlsplit(url)
        wrong = "" if parts.scheme in _SCHEMES else f"has the scheme {parts.scheme[:20]!r}"
        if not wrong and not url.partition(":")[2].startswith("//"):
            wrong = "has no //"
        if not wrong and parts.port == 0:
            wrong = "has port 0"
    except ValueError:
        wrong = "is no address"
    if wrong:
        fault = Fault(field=SETTING, value=shown_url(url), message=wrong, hint=hint)
        raise InvalidInput([fault], source="environment")
    return url


def sqlalchemy_url(url: str) -> str:
    """With the driver named in it."""
    return "postgresql+psycopg" + url[url.index("://") :]


def shown_url(url: str) -> str:
    """For people: scheme, host, port and name; neither user, password nor options."""
    scheme, _, rest = url.partition("://")
    place = rest.partition("?")[0].partition("#")[0].rpartition("@")[2]
    return f"{scheme.partition('+')[0]}://{place}" if rest else "(not an address)"
