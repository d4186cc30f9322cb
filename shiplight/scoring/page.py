"""The score as a page to keep: no script, nothing from elsewhere, light and dark as its reader has.

Every text passes through `boxes`, which shows what is invisible and escapes the rest.
"""

from ..boxes import inline, verbatim
from ..checks import masked_text
from ..units import format_bytes

_MARKS = {True: ("yes", "✓"), False: ("no", "✗"), None: ("open", "–")}


def page(scored) -> str:
    """Return the page of a `Score`: what was built, each criterion with its evidence, and its text.

    Secrets in the Dockerfile are masked.
    """
    title = inline(f"{scored.name}: {scored.total}")
    on = scored.setting
    facts = {
        "image": scored.tag,
        "digest of its configuration": scored.digest or "not built",
        "unpacked bytes": f"{format_bytes(scored.unpacked_bytes)}"
        + (f" ({scored.unpacked_bytes:,} bytes)" if scored.unpacked_bytes is not None else ""),
        "day, engine and base images": str(on or ""),
        "bytes for all points": scored.limits.source,
    }
    about = "".join(
        f"<tr><th>{inline(name)}<td>{inline(said)}\n" for name, said in facts.items() if said
    )
    rows = "".join(
        f'<tr class="{_MARKS[row.passed][0]}"><td>{_MARKS[row.passed][1]}<td>{inline(row.id)}'
        f'<td class="number">{row.worth}<td>{inline(row.asked)}<td>{inline(row.measured)}\n'
        for row in scored.rows
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_CSS}</style></head>\n<body><h1>{title}</h1>\n"
        f"<table>{about}</table>\n<h2>What was asked, and what was measured</h2>\n"
        f'<table class="rows"><tr><th><th>criterion<th>points<th>asked<th>measured\n{rows}</table>'
        f"\n<h2>Dockerfile</h2>\n{verbatim(masked_text(scored.text)) if scored.text else ''}\n"
        "</body></html>\n"
    )


_CSS = """
:root { --ink: #1F2933; --quiet: #6B7480; --paper: #fff; --line: #dde2e7; --accent: #0072B2;
  --wrong: #b3263b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --quiet: #9aa5b1; --paper: #14181d; --line: #333c47; --accent: #5db4ea;
    --wrong: #ff8294; }
}
body { font: 16px/1.5 Helvetica, Arial, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 70em; margin: 1.5em auto; padding: 0 1em; }
h1 { font-size: 1.4em; overflow-wrap: anywhere; } h2 { font-size: 1.1em; margin: 1.5em 0 .4em; }
table { border-collapse: collapse; }
td, th { padding: .25em .9em .25em 0; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } th { color: var(--quiet); font-weight: normal; }
.rows tr + tr td { border-top: 1px solid var(--line); }
.rows td:nth-child(-n+3) { white-space: nowrap; overflow-wrap: normal; }
.number { text-align: right; }
.yes td:first-child { color: var(--accent); }
.no td:first-child, .no .number { color: var(--wrong); font-weight: bold; }
.open td { color: var(--quiet); }
pre { font-size: .85em; }
@media (max-width: 700px) {
  .rows tr { display: block; padding: .4em 0; border-top: 1px solid var(--line); }
  .rows tr:first-child { display: none; }
  .rows td { display: inline; border: 0 !important; padding-right: .5em; }
  .rows td:nth-child(n+4) { display: block; }
}
"""
