"""The report page. First cut: headline and table."""

from collections.abc import Mapping
from html import escape

import pyarrow as pa

from tokenforge.report.markdown import render_markdown


def render_report(document: Mapping[str, object], requests: pa.Table) -> str:
    """One self-contained page."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>TokenForge report</title>'
        f"<pre>{escape(render_markdown(document))}</pre><p>{requests.num_rows} requests</p></html>\n"
    )
