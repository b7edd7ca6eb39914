"""A share as people write it: `5%` or `0.05`."""

import re

from tokenforge.domain.errors import Fault

_SHARE = re.compile(r"^(?P<number>\d+(\.\d+)?|\.\d+) ?(?P<percent>%?)$")


def read_share(option: str, text: str, faults: list[Fault]) -> float:
    """The share; 0 and a fault where it is none between 0 and 1."""
    found = _SHARE.match(text.strip())
    share = float(found["number"]) / (100 if found["percent"] else 1) if found else 0.0
    if not 0 < share < 1:
        message = "is not a share between 0 and 1"
        faults.append(Fault(field=option, value=text, message=message, hint="write 5% or 0.05"))
    return share
