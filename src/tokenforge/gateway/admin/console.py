"""`/`: one page that shows deployments and runs to a person, read by the same calls that anybody can make.

It needs nothing from elsewhere and may run no script but its own. The page holds no data, so it needs no key; what it
reads does, where keys are made.
"""

import base64
import hashlib
import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from tokenforge.gateway.admin.operation import Operation

PAGE = files(__package__).joinpath("console.html").read_text(encoding="utf-8")


def console_operation() -> Operation:
    """The page's route."""
    return Operation(
        method="GET", path="/", summary="A page for people", handle=_page, needs="", answers={200: "text/html"}
    )


def _hash_of(tag: str) -> str:
    """What a browser compares the content of the page's only such tag with."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", PAGE, flags=re.DOTALL)
    if found is None:
        raise ValueError(f"the console has no {tag}")
    return "'sha256-" + base64.b64encode(hashlib.sha256(found.group(1).encode()).digest()).decode() + "'"


_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src {_hash_of('script')}; style-src {_hash_of('style')}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


async def _page(request: Request) -> Response:
    del request
    return Response(PAGE, media_type="text/html; charset=utf-8", headers=_HEADERS)
