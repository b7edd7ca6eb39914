"""Giving a queued benchmark's runs their ends: part of the transaction that keeps what came of them."""

import json

from tokenforge.domain.queued import OPEN
from tokenforge.domain.run import RunStatus
from tokenforge.store.base import Ending
from tokenforge.store.sql.connection import Connection


def end_queued(db: Connection, ending: Ending) -> None:
    """Take each run that is still open to its end, and keep the facts. A benchmark that is gone is no error.

    Also one that was never said to run: whoever began it may have been killed before it could say so.
    """
    values: dict[str, object] = {"id": ending.queued_id}
    row = db.execute("SELECT facts FROM queued_benchmark WHERE id = :id", values).fetchone()
    if row is None:
        return
    facts = json.dumps({**json.loads(row[0]), **ending.facts})
    db.execute("UPDATE queued_benchmark SET facts = :facts WHERE id = :id", {**values, "facts": facts})
    runs = db.execute("SELECT id, status FROM queued_run WHERE benchmark_id = :id", values).fetchall()
    for identity, said in runs:
        now = RunStatus(said)
        if identity in ending.runs and now in OPEN:
            to, cause = ending.runs[identity]
            change = "UPDATE queued_run SET status = :status, cause = :cause WHERE id = :id"
            db.execute(change, {"status": str(to), "cause": cause, "id": identity})
