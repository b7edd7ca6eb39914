"""A process that offers one load with TokenForge's driver: `drive.py SPEC`, the load as `clients/ours.py` writes it."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.plans import plan, send


def main(spec: Path) -> None:
    """Plan, offer, and write down where the stamps begin (monotonic ns) and what the driver says of itself."""
    facts = json.loads(spec.read_text())
    folder = Path(facts["folder"])
    trial = plan(
        requests=facts["requests"],
        tokens=facts["tokens"],
        seed=facts["seed"],
        rate=facts["rate"],
        streams=facts["streams"],
    )
    result = asyncio.run(send(trial, url=facts["url"], folder=folder))
    (folder / "drive.json").write_text(json.dumps({"origin_ns": result.origin_ns, "reading": asdict(result.reading)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
