"""Lessons as web pages, for reading without Jupyter: charts live, with pictures where they are not.

nbconvert writes a page with the template of ours, `page.html.j2` beside this file. All pages of a
folder share one `plotly.min.js`, so they need no network.
"""

import html
import re
import shutil
from importlib import resources
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from .. import files
from ..units import as_json

PLOTLY = "application/vnd.plotly.v1+json"
TEMPLATE = Path(__file__).with_name("page.html.j2")


def write(notebook, path: Path, *, pictures: Path | None = None) -> None:
    """Write one executed notebook as a page, and the folder's index and plotly.js beside it.

    `pictures` names the stored notebook whose pictures stand in for charts where a browser runs no
    scripts; they are of the run that it stores, and say so.
    """
    shown = nbformat.from_dict(notebook)
    _with_charts(shown, _pictures(pictures) if pictures else {})
    exporter = HTMLExporter(template_file=str(TEMPLATE), embed_images=True)
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(shown, {"metadata": {"name": title_of(shown)}})
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, _to_pages(body))
    _share_plotly(path.parent)
    _index(path.parent)


def write_text(source: Path, path: Path) -> None:
    """Write a Markdown file as a page."""
    cell = nbformat.v4.new_markdown_cell(source.read_text(encoding="utf-8"))
    write(nbformat.v4.new_notebook(cells=[cell]), path)


def title_of(notebook) -> str:
    """Return the first heading of a notebook."""
    for cell in notebook.cells:
        if found := re.match(r"# (.+)", cell.source):
            return found[1]
    return "Ship Light"


def _pictures(stored: Path) -> dict[int, str]:
    """The stored picture of each code cell that shows a chart, by the cell's number."""
    found = {}
    for number, cell in enumerate(nbformat.read(stored, as_version=4).cells):
        for output in cell.get("outputs", ()):
            if picture := _picture(output.get("data", {})):
                found[number] = picture
    return found


def _picture(data: dict) -> str:
    """The picture of an output as an address that has it inside; "" where there is none."""
    kind = next((one for one in ("image/jpeg", "image/png") if one in data), None)
    return f"data:{kind};base64,{data[kind].strip()}" if kind else ""


def _with_charts(notebook, pictures: dict[int, str]) -> None:
    """Put in the place of each chart a piece of HTML that draws it, or shows its picture."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if PLOTLY in data:
                picture = _picture(data) or pictures.get(number)
                output["data"] = {"text/html": _chart(number, data[PLOTLY], picture)}


def _chart(number: int, figure: dict, picture: str | None) -> str:
    """One chart: drawn by script; without one, its stored picture, or a word to the table."""
    drawn = as_json({"data": figure["data"], "layout": figure["layout"]})
    drawn = drawn.replace("<", "\\u003c")  # no word of it ends the script, or begins a comment
    if picture:
        alt = html.escape(html.unescape(re.sub("<[^>]+>", " ", _title(figure))))
        instead = f'<img src="{picture}" alt="{alt}">'
    else:
        instead = "<p>This chart needs JavaScript; the table beside it has the same numbers.</p>"
    return (
        f'<div id="chart-{number}" class="chart">{instead}</div>'
        f'<script>drawChart("chart-{number}", {drawn})</script>'
    )


def _title(figure: dict) -> str:
    title = figure["layout"].get("title", {})
    return title.get("text", "chart") if isinstance(title, dict) else str(title)


def _to_pages(body: str) -> str:
    """Links between lessons, and to the glossary, lead from page to page."""
    return re.sub(
        r'href="(\d\d-[\w-]+|glossary)\.(?:ipynb|md)(#[^"]*)?"', r'href="\1.html\2"', body
    )


def _share_plotly(folder: Path) -> None:
    source = Path(str(resources.files("plotly"))) / "package_data" / "plotly.min.js"
    target = folder / "plotly.min.js"
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        shutil.copyfile(source, target)


def _index(folder: Path) -> None:
    """One page that lists the lessons of this folder."""
    rows = []
    for path in sorted(folder.glob("[0-9][0-9]-*.ipynb")):
        if path.with_suffix(".html").exists():
            title = html.escape(title_of(nbformat.read(path, as_version=4)))
            rows.append(f'<li><a href="{path.stem}.html">{path.stem[:2]} {title}</a></li>')
    style = "font:16px/1.6 Helvetica,Arial,sans-serif;max-width:44em;margin:3em auto;padding:0 1em"
    files.write(
        folder / "index.html",
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Ship Light</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        f'content="light dark"><body style="{style}"><h1>Ship Light</h1><p>Lessons that were run '
        f"here.</p><ul style='list-style:none;padding:0'>{''.join(rows)}</ul></body></html>\n",
    )
