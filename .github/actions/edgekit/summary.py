"""What `edgekit export --json` printed, for GitHub: a table for the job summary on stdout, annotations on stderr.

summary.py export.json             # the table; ::error lines on stderr for a gate that failed
summary.py --bundles export.json   # the bundles' folders, one a line
"""

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    *flags, path = sys.argv[1:]
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError:
        document = {}  # edgekit itself said why on stderr
    if flags == ["--bundles"]:
        print(*(t["bundle"] for t in document.get("targets", ()) if t["bundle"]), sep="\n", end="\n" * bool(document))
        return
    print("\n".join(table(document)))
    for line in annotations(document):
        print(line, file=sys.stderr)


def table(document: dict[str, Any]) -> list[str]:
    """Markdown: a row per target."""
    rows = [
        f"### edgekit: {document.get('model', 'no model')}",
        "",
        "| target | size | SQNR, model to file | same top-1 | gates |",
        "| --- | --- | --- | --- | --- |",
    ]
    for target in document.get("targets", ()):
        last = target["parity"]["hops"][-1]
        quality = "equal" if last["sqnr_db"] is None and last["passed"] else f"{last['sqnr_db'] or 0:.1f} dB"
        verdict = "pass" if target["parity"]["passed"] else "**failed**"
        size = f"{target['size_bytes'] / 1e6:.2f} MB"
        rows.append(f"| {target['target']} | {size} | {quality} | {last['agreement']:.0%} | {verdict} |")
    if error := document.get("error"):
        rows += ["", f"{error['code']} {error['what']}"]
    return rows


def annotations(document: dict[str, Any]) -> list[str]:
    """One ::error line for what went wrong, escaped as GitHub wants it."""
    error = document.get("error")
    if not error:
        return []
    message = f"{error['what']} [{error['where']}] fix: {error['fix']}"
    escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return [f"::error title=edgekit export {error['code']}::{escaped}"]


main()
