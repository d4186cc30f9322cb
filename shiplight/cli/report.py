"""What the commands print: one table each, on standard output."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from .. import progress
from ..builds import Build, here, outdated, recipes
from ..catalogue import Row
from ..engine import Cleaned, Status
from ..image import FIRST, SAME, SECOND, WHERE, Comparison, Image, LayerComparison, Published
from ..inspection import Budget, Origin, Origins, contents, measure
from ..lessons import Verdict
from ..scans import FATES, PASSED, SEVERITIES, WORDS, Judgement, ScanComparison, ScanReport
from ..setting import Setting
from ..setup import PROGRAM
from ..units import UNKNOWN, escape, format_bytes, format_minutes, format_seconds, one_line

if TYPE_CHECKING:
    from ..classroom import CaughtUp, Class, Missed
    from ..lessons import Run  # loading it takes two seconds that `doctor` need not wait for

_MOST_COUNTED = 20
_STATES = {"ok": ("●", "green"), "note": ("○", "dim"), "problem": ("✗", "bold red")}


def _escape_lines(text: str) -> str:
    """Escape what may have several lines, all but the first of them indented."""
    return "\n".join(map(escape, text.split("\n")))


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; numbers stand at the right of their column and are never broken."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        justify = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=column in right, overflow="fold")
    return table


def _room(taken: int) -> int:
    """How many characters a line has left beside columns that take so many."""
    return max(20, Console().width - taken)


def _print(*parts) -> None:
    console = Console(highlight=False)
    for part in parts:
        console.print(part)


def print_findings(findings) -> None:
    """Print the findings of the doctor, each with its advice below it."""
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        mark, style = _STATES[finding.state]
        table.add_row(f"[{style}]{mark}[/]", finding.name, _escape_lines(finding.seen))
        if finding.advice:
            table.add_row("", "", f"[dim]→ {_escape_lines(finding.advice)}[/]")
    _print(table)


def print_catalogue(rows: list[Row]) -> None:
    """Print what can be built."""
    table = _table("build", "what", "teaches")
    for row in rows:
        table.add_row(row.name, row.title, row.teaches)
    _print(table)


def packed(count: int | None, is_estimate: bool) -> str:
    """Packed bytes, with `≈` where they are an estimate."""
    return f"≈ {format_bytes(count)}" if is_estimate and count is not None else format_bytes(count)


def print_images(images: list[Image], setting: Setting) -> None:
    """Print one line for each image, and the setting of the first."""
    numbers = ("unpacked", "packed", "reclaimable", "layers")
    table = _table("image", *numbers, right=numbers)
    for image in images:
        table.add_row(
            escape(image.name),
            format_bytes(image.unpacked_bytes),
            packed(image.packed_bytes, image.packed_is_estimate),
            format_bytes(image.reclaimable_bytes),
            str(len(image.layers)),
        )
    _print(table, f"[dim]{escape(str(setting))}[/]")


def print_image(image: Image) -> None:
    """Print the layers of one image, base first, then what later layers hide."""
    numbers = ("unpacked", "packed", "reclaimable", "files")
    table = _table("", *numbers, "instruction", right=("", *numbers))
    for layer in image.layers:
        table.add_row(
            str(layer.index),
            format_bytes(layer.unpacked_bytes),
            packed(layer.packed_bytes, layer.packed_is_estimate),
            format_bytes(layer.reclaimable_bytes),
            str(layer.files),
            escape(one_line(layer.instruction, _room(52))),
        )
    table.add_section()
    table.add_row(
        "",
        format_bytes(image.unpacked_bytes),
        packed(image.packed_bytes, image.packed_is_estimate),
        format_bytes(image.reclaimable_bytes),
        str(sum(layer.files for layer in image.layers)),
        "total",
    )
    _print(f"[bold]{escape(image.name)}[/]  {escape(image.platform)}", table)
    if image.buried:
        _print(_buried(image))


def image_to_dict(image: Image, budget: Budget | None) -> dict:
    """Return one image as `./lab measure --json` prints it, with its budget if there is one."""
    return image.to_dict() | {"budget": budget and budget.to_dict()}


def print_budget(budget: Budget) -> None:
    """Print whether an image keeps to its bytes, and what to look at where it does not."""
    limits = [("at most", budget.at_most), ("the baseline has", budget.before)]
    told = [f"{words} {format_bytes(most)}" for words, most in limits if most is not None]
    seen = f"{packed(budget.bytes, budget.is_estimate)} {budget.kind}"
    mark = "[bold green]✓[/]" if budget.is_kept else "[bold red]✗[/]"
    _print(f"{mark} {seen}; {', '.join(told) or 'there was no baseline yet'}")
    if not budget.is_kept:
        over = [budget.bytes - most for _, most in limits if most is not None]
        what = "grew by" if budget.grew else "is the largest, with"
        by = f"{what} {format_bytes(budget.instruction_bytes)}"
        most = f"{format_bytes(max(over))} over the limit ({max(over):,} B)"
        _print(f"  {most}. This instruction {by}:")
        _print(f"  {escape(budget.instruction)}")


def _buried(image: Image) -> Table:
    """The ten largest things that ship although no one can see them."""
    table = _table("buried", "bytes", "added in", "buried in", right=("bytes",))
    for item in sorted(image.buried, key=lambda item: (-item.bytes, item.path))[:10]:
        table.add_row(
            escape(one_line(f"/{item.path} ({item.how})", _room(38))),
            format_bytes(item.bytes),
            f"layer {item.added_by}",
            f"layer {item.buried_by}",
        )
    return table


def print_published(found: Published) -> None:
    """Print what a registry has under a name: a table of platforms, and the layers of each."""
    numbers = ("packed", "layers", "attestations")
    table = _table("platform", *numbers, "digest", right=numbers)
    read = {image.platform: image for image in found.images}
    for image, digest in zip(found.images, found.manifests, strict=True):
        attested = sum(one.subject == digest for one in found.attestations)
        sizes = format_bytes(image.packed_bytes), str(len(image.layers)), str(attested)
        table.add_row(escape(image.platform or UNKNOWN), *sizes, escape(digest[:19]))
    _print(f"[bold]{escape(found.name)}[/]  {escape(found.digest)}", table)
    if others := [one for one in dict.fromkeys(found.platforms) if one not in read]:
        _print(f"[dim]not read: {escape(', '.join(others))}[/]")
    for image in found.images:
        layers = _table("", "packed", "instruction", right=("", "packed"))
        for layer in image.layers:
            text = escape(one_line(layer.instruction, _room(24)))
            layers.add_row(str(layer.index), format_bytes(layer.packed_bytes), text)
        _print(f"[bold]{escape(image.platform or UNKNOWN)}[/]", layers)
    kinds = dict.fromkeys(kind for one in found.attestations for kind in one.kinds)
    if found.attestations:
        said = f"attested: {', '.join(kinds) or 'statements of no named type'}"
        _print(f"[dim]{escape(said)}[/]")
    _print("[dim]Only the layers tell what they unpack to: --deep reads them[/]")


def print_layer_comparison(found: LayerComparison) -> None:
    """Print which layers two images share, and which only one of them has."""
    table = _table("layer", "packed", "instruction", right=("packed",))
    for layer in found.layers:
        text = escape(one_line(layer.instruction, _room(34)))
        table.add_row(_SIDES[layer.where], format_bytes(layer.packed_bytes), text)
    table.add_section()
    for where, side in _SIDES.items():
        table.add_row(side, format_bytes(found.packed_bytes(where)), "total")
    _print(f"[bold]{escape(found.first)}[/] → [bold]{escape(found.second)}[/]", table)


def print_comparison(found: Comparison) -> None:
    """Print how two images differ: files, packages, layers, and the largest files that differ."""
    names = {FIRST: f"only in {found.first}", SECOND: f"only in {found.second}"}
    table = _table("", "files", "unpacked", "packages", right=("files", "unpacked", "packages"))
    for where in WHERE:
        packages = sum(package.where == where for package in found.packages)
        if where == SAME:
            packages = found.same_packages
        counts = f"{found.count(where):,}", format_bytes(found.bytes(where)), f"{packages:,}"
        table.add_row(escape(names.get(where, where)), *counts)
    made = _table("layer", "unpacked", "instruction", right=("unpacked",))
    for layer in found.layers:
        text = escape(one_line(layer.instruction, _room(34)))
        made.add_row(_SIDES[layer.where], format_bytes(layer.unpacked_bytes), text)
    files = _table("differs", "first", "second", right=("first", "second"))
    for file in found.files[:10]:
        sizes = format_bytes(file.first_bytes), format_bytes(file.second_bytes)
        files.add_row(escape(one_line(f"/{file.path}", _room(26))), *sizes)
    _print(f"[bold]{escape(found.first)}[/] → [bold]{escape(found.second)}[/]", table, made)
    _print(*([files] if found.files else []))
    for kind in found.unread:
        _print(f"[dim]packages of {kind} are named inside one file, which is not read here[/]")


_SIDES = {SAME: "both", FIRST: "first", SECOND: "second"}


def print_origins(found: Origins) -> None:
    """Print where the bytes of all stages were born, what ships, and what stays behind."""
    numbers = ("born", "shipped", "left behind")
    table = _table("stage", "line", *numbers, "instruction", right=("line", *numbers))
    for row in found.rows:
        drawn = f" (reads {', '.join(row.mounted)})" if row.mounted else ""
        counts = (row.born_bytes, row.shipped_bytes, row.left_behind_bytes)
        _add_origin(table, row, map(format_bytes, counts), row.instruction + drawn)
    table.add_section()
    left = found.born_bytes - found.unpacked_bytes
    sums = map(format_bytes, (found.born_bytes, found.unpacked_bytes, left))
    table.add_row("", "", *sums, "total")
    _print(f"[bold]{escape(found.name)}[/]", table, f"[dim]{escape(str(found.setting))}[/]")
    for step in found.ran:
        _print(f"[dim]not cached: {escape(one_line(step, _room(12)))}[/]")
    if found.scanned_by:
        _print_vulnerabilities(found)


def _print_vulnerabilities(found: Origins) -> None:
    """The rows that have any, or where that is unknown; each counts once in a row."""
    numbers = ("vulnerabilities", "shipped", "left behind")
    table = _table("stage", "line", *numbers, "instruction", right=("line", *numbers))
    for row in found.rows:
        if row.vulnerabilities != 0:
            _add_origin(table, row, _vulnerabilities(row), row.instruction)
    table.add_section()
    table.add_row("", "", *_vulnerabilities(found), "total, each counted once")
    _print(table, f"[dim]{escape(found.scanned_by)}[/]")
    for name in found.unscanned:
        _print(f"[dim]no packages could be read in {escape(one_line(name, _room(32)))}[/]")


def _add_origin(table: Table, row: Origin, numbers: Iterable[str], text: str) -> None:
    stage, line = one_line(row.stage or UNKNOWN, 20), UNKNOWN if row.line is None else row.line
    table.add_row(escape(stage), str(line), *numbers, escape(one_line(text, _room(56))))


def _vulnerabilities(found: Origin | Origins) -> list[str]:
    counts = [found.vulnerabilities, found.shipped_vulnerabilities]
    counts.append(found.left_behind_vulnerabilities)
    return [UNKNOWN if count is None else str(count) for count in counts]


def print_scan(found: ScanReport) -> None:
    """Vulnerabilities by severity, by kind of package and by instruction, and what said so."""
    _print(f"[bold]{escape(found.image)}[/]")
    if not found.covered:
        why = found.why or (
            "This image has no package database, and no program that records what it was built "
            "from.\n  It may still have vulnerabilities: there was nothing to look up."
        )
        _print(_escape_lines(why))
    else:
        _print(_by_severity(found), _by_kind(found), *_kernel_headers(found), _by_origin(found))
    said = [str(found.setting)] if found.setting else []
    said += [found.scanned_by] if found.database_date else []
    _print(*(f"[dim]{escape(line)}[/]" for line in said))


def _by_severity(found: ScanReport) -> Table:
    numbers = ("vulnerabilities", "fixable", "findings")
    table = _table("severity", *numbers, right=numbers)
    worst, fixed = found.severities, {f.id for f in found.findings if f.fixed}
    for severity in SEVERITIES:
        ids = {one for one, its in worst.items() if its == severity}
        findings = sum(finding.id in ids for finding in found.findings)
        table.add_row(WORDS[severity], str(len(ids)), str(len(ids & fixed)), str(findings))
    table.add_section()
    table.add_row("total", str(found.unique), str(found.fixable), str(found.finding_count))
    return table


def _by_kind(found: ScanReport) -> Table:
    numbers = ("packages", "places", "vulnerabilities")
    table = _table("packages of", *numbers, right=numbers)
    for seen in found.package_databases:
        ids = {f.id for f in found.findings if (f.kind, f.type) == (seen.kind, seen.type)}
        table.add_row(escape(seen.type), str(seen.packages), str(seen.places), str(len(ids)))
    return table


def _kernel_headers(found: ScanReport) -> list[str]:
    """One line where kernel headers make up part of the number."""
    rest = found.without_kernel_headers().unique
    if rest == found.unique:
        return []
    return [
        f"{found.unique - rest} of the {found.unique} affect only kernel headers, not a kernel."
    ]


def _by_origin(found: ScanReport) -> Table:
    """The instructions that brought any, base first."""
    numbers = ("", "vulnerabilities", "new")
    table = _table(*numbers, "added by", right=numbers)
    seen: set[str] = set()
    for index, instruction in enumerate(found.instructions):
        ids = {finding.id for finding in found.findings if finding.layer == index}
        if ids:
            text = escape(one_line(instruction, _room(34)))
            table.add_row(str(index), str(len(ids)), str(len(ids - seen)), text)
        seen |= ids
    return table


def print_scan_comparison(found: ScanComparison) -> None:
    """Print what is gone, kept and new, by severity, and by the stage and instruction of each."""
    numbers = (*(WORDS[severity] for severity in SEVERITIES), "total")
    table = _table("", *numbers, right=numbers)
    where = _table("", "vulnerabilities", "from stage", "added by", right=("vulnerabilities",))
    for fate in FATES:
        counts = found.severities(fate)
        table.add_row(fate, *map(str, [*counts.values(), sum(counts.values())]))
        for (stage, text), count in found.brought(fate).items():
            text = escape(one_line(text or UNKNOWN, _room(48)))
            where.add_row(fate, str(count), escape(one_line(stage or "the last", 12)), text)
    title = one_line(f"{found.before} → {found.after}", _room(0))
    _print(f"[bold]{escape(title)}[/]", table)
    if found.rows:
        _print(where)
    _print(f"[dim]{escape(found.scanned_by)}[/]")


def scan_to_dict(found: ScanReport, judged: Judgement | None) -> dict:
    """Return one scan as `./lab scan --json` prints it, with its verdict if one was asked for."""
    return found.to_dict() | {"verdict": judged and judged.to_dict()}


def print_judgement(judged: Judgement) -> None:
    """Print what counts and what is excepted, and whether the scan passes."""
    if judged.counted:
        table = _table("counts", "severity", "package", "installed", "fixed in")
        for one in judged.counted[:_MOST_COUNTED]:
            cells = (one.id, WORDS[one.severity], one.package, one.installed, one.fixed or UNKNOWN)
            table.add_row(*map(escape, cells))
        _print(table)
        if more := len(judged.counted) - _MOST_COUNTED:
            _print(*([f"and {more} more: --json lists all"] if more > 0 else []))
    for waiver in dict.fromkeys(waiver for _, waiver in judged.waived):
        _print(f"excepted until {waiver.until}: {escape(str(waiver))}")
    for waiver in judged.expired:
        _print(f"expired after {waiver.until}, counts again: {escape(str(waiver))}")
    for waiver in judged.unused:
        _print(f"[dim]this exception matches nothing here: {escape(str(waiver))}[/]")
    if judged.unrated:
        _print(f"{judged.unrated} that nobody rated do not count: `--fail-on unrated` counts them")
    what = judged.fail_on + ("" if judged.fail_on == "unrated" else " or above")
    what += " with a fix" if judged.only_fixed else ""
    if judged.counted:
        count = judged.vulnerabilities
        some = "1 vulnerability" if count == 1 else f"{count} vulnerabilities"
        _print(f"[bold red]✗[/] failed: {some}, {what}")
    if judged.why:
        why = _escape_lines(judged.why)
        _print(f"[bold]?[/] unknown{' beyond that' if judged.counted else ''}: {why}")
    if judged.result == PASSED:
        _print(f"[bold green]✓[/] passed: no vulnerability that counts, {what}")


def build_to_dict(build: Build, image: Image | None) -> dict:
    """Return one variant as `./lab build --json` prints it, with an image or an output folder."""
    build_dict = build.to_dict()
    top = {key: build_dict.pop(key) for key in ("app", "variant", "setting")}
    return top | {"image": image and image.to_dict(), "build": build_dict}


def run_to_dict(run: "Run") -> dict:
    """Return one lesson as `./lab run --json` prints it."""
    return {
        "lesson": run.lesson,
        "path": str(run.path),
        "seconds": round(run.seconds, 1),
        "claims": [claim.removeprefix("✓ ").splitlines() for claim in run.claims],
        "failure": run.failure or None,
    }


def print_run(run: "Run") -> None:
    """Print the claims that a lesson proved, or where it failed."""
    state = "[bold red]failed[/]" if run.failure else f"{len(run.claims)} claims hold"
    _print(f"[bold]{run.lesson}[/]  {state} in {format_seconds(run.seconds)}  {run.path}")
    for text in run.claims:
        sentence, *evidence = text.splitlines()
        _print(
            f"  {escape(sentence)}", *(f"    [dim]{escape(line.strip())}[/]" for line in evidence)
        )
    if run.failure:
        _print(f"  [red]{_escape_lines(run.failure)}[/]")


def print_verdicts(found: tuple[Verdict, ...]) -> None:
    """Print the scoreboard: the article's claims, and whether they hold here or held then."""
    table = _table("", "the article says", "verdict", "seen", "source")
    for row in found:
        table.add_row(
            row.claim.lesson,
            escape(row.claim.says),
            row.verdict,
            escape(row.seen or UNKNOWN),
            row.mode,
        )
    _print(table)


def base_rows(client, references: list[str]) -> list[dict]:
    """Return one row for each base: its image here, its bytes here and published, its contents.

    Shows what it is measuring.
    """
    tasks = progress.Tasks("Measuring base images")
    with tasks.showing():
        return [_base_row(client, reference, tasks) for reference in references]


def _base_row(client, reference: str, tasks: progress.Tasks) -> dict:
    recipe, base = recipes().get(reference), here(client, reference)
    row = {"reference": reference, "kind": base.kind if base else None, "image": None}
    row["published"] = recipe.published if recipe else {}
    row["differs"] = recipe.differs if recipe else ""
    if base:
        tasks.begin(base.used, "reading its layers")
        image = measure(client, base.used)
        tasks.end(base.used, format_bytes(image.unpacked_bytes))
        row |= {
            "image": base.used,
            "outdated": outdated(client, base),
            "unpacked_bytes": image.unpacked_bytes,
            "packed_bytes": image.packed_bytes,
            "packed_is_estimate": image.packed_is_estimate,
            "created": image.created,
            "contents": contents(image),
        }
    return row


def print_bases(rows: list[dict]) -> None:
    """Print the bases, measured and published, and what they contain."""
    table = _table("base", "here", "unpacked", "packed", "age", right=("unpacked", "packed", "age"))
    for row in rows:
        table.add_row(
            f"[bold]{escape(one_line(row['reference'], _room(46)))}[/]",
            "outdated" if row.get("outdated") else row["kind"] or UNKNOWN,
            format_bytes(row.get("unpacked_bytes")),
            packed(row.get("packed_bytes"), row.get("packed_is_estimate", False)),
            _age(row.get("created")),
        )
        said = row["published"]
        table.add_row(
            f"[dim]  published {said.get('date', '')}[/]",
            "",
            f"[dim]{format_bytes(said.get('unpacked_bytes'))}[/]",
            f"[dim]{format_bytes(said.get('packed_bytes'))}[/]",
        )
    _print(table)
    for row in rows:
        holds = ", ".join(row.get("contents", []))
        differs = row["differs"] if row["kind"] == "equivalent" else ""
        if holds:
            name = escape(row["reference"])
            _print(f"{name} contains {escape(holds)}. [dim]{escape(differs)}[/]")
    if any(row.get("outdated") for row in rows):
        _print(f"Outdated: the recipe has changed since. `{PROGRAM} bases get` makes them again.")


def _age(created: str | None) -> str:
    """Whole days since an image was made."""
    if not created:
        return UNKNOWN
    made = datetime.fromisoformat(created.partition(".")[0].rstrip("Z") + "+00:00")
    days = (datetime.now(UTC) - made).days
    return "today" if days < 1 else f"{days} d"


def print_engine(
    status: Status, gone: tuple[Status, ...] = (), unknown: tuple[Status, ...] = ()
) -> None:
    """Print the state of the private engine."""
    _print(
        f"private engine: {_state(status)}",
        f"  endpoint  {status.socket}",
        f"  data      {status.data} ({format_bytes(status.data_bytes)})",
    )
    for one in gone:
        _print(f"private engine of {escape(one.checkout)}, which no longer exists:")
        _print(f"  {_state(one)}, {one.data} ({format_bytes(one.data_bytes)})")
    if gone:
        _print(f"→ `{PROGRAM} engine stop --remove-gone` stops and removes these")
    for one in unknown:
        _print(f"private engine of a checkout that it does not name: {_state(one)}")
        _print(f"  {one.data} ({format_bytes(one.data_bytes)})")
        _print(f"→ `{PROGRAM} engine stop --remove-data` in its checkout removes it")


def _state(status: Status) -> str:
    return f"running (PID {status.pid})" if status.pid else "not running"


def print_removed(removed: tuple[Status, ...]) -> None:
    """Print the private engines whose checkout is gone, and which were removed as well."""
    for one in removed:
        _print(f"removed {one.data} of {escape(one.checkout)} ({format_bytes(one.data_bytes)})")
    if not removed:
        _print("no private engine belongs to a checkout that is gone")


def print_cleaned(done: Cleaned) -> None:
    """Print what was removed, and what stayed and why."""
    counts = [
        (done.containers, "containers"),
        (done.images, "images"),
        (done.networks, "networks"),
        (done.volumes, "volumes"),
        (done.cache_records, "cache records"),
    ]
    removed = ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing"
    _print(f"removed {removed}; freed {format_bytes(done.freed_bytes)}")
    for left in done.left:
        size = "" if left.bytes is None else f" ({format_bytes(left.bytes)})"
        _print(f"left {escape(left.what)}{size}: {left.why}")
        _print(f"  → {escape(left.remove)}")


def print_class(seen: "Class") -> None:
    """Print who is stuck on what, and below it all exercises, guesses and engines of a class."""
    from ..classroom import said_of
    from ..lessons import exercises

    every = exercises.every()
    marks = _table("who", *sorted({one.id[:2] for one in every}), "solved", right=("solved",))
    for learner in seen.learners:
        lessons: dict[str, str] = {}
        for one in every:
            lessons[one.id[:2]] = lessons.get(one.id[:2], "") + learner.mark(one.id)
        marks.add_row(learner.name, *lessons.values(), str(learner.solved))
    stuck = _table("stuck", "exercise", "for", "what the check said last", right=("for",))
    for learner, on in seen.stuck:
        said = said_of(on.exercise, on.mistake)
        stuck.add_row(learner.name, on.exercise, format_minutes(on.seconds), escape(said))
    wrong = _table("learners", "exercise", "the commonest wrong answers", right=("learners",))
    for one in seen.wrong[:10]:
        said = said_of(one.exercise, one.mistake)
        wrong.add_row(str(one.learners), one.exercise, escape(said))
    _print(*(table for table in (marks, stuck, wrong) if table.row_count))
    _print_guesses_and_images(seen)
    for name, why in seen.refused:
        _print(f"not read: {escape(name)}: {escape(why)}")
    if not seen.learners:
        _print("Nobody has handed anything over yet.")


def _print_guesses_and_images(seen: "Class") -> None:
    numbers = ("guesses", "lowest", "median", "highest", "measured")
    guessed = _table("question", "unit", *numbers, right=numbers)
    for one in seen.guessed:
        measured = UNKNOWN if one.measured is None else f"{one.measured:,g}"
        row = (one.guesses[0], one.median, one.guesses[-1])
        guessed.add_row(
            one.question, one.unit, str(len(one.guesses)), *(f"{n:,g}" for n in row), measured
        )
    images = _table("image", "bases", "platform", "learners", "unpacked bytes", "engines say",
                    right=("learners", "unpacked bytes"))  # fmt: skip
    for one in seen.agreements:
        agree = one.unpacked_bytes
        bytes_ = f"{agree[0]:,}" if len(agree) == 1 else f"{len(agree)} different results"
        said = "\n".join(
            f"{on}: {', '.join(f'{size:,}' for size in sizes)}" for on, sizes in one.sizes.items()
        )
        images.add_row(
            one.image, one.bases, one.platform, str(one.learners), bytes_, _escape_lines(said)
        )
    _print(*(table for table in (guessed, images) if table.row_count))


def print_missed(missed: tuple["Missed", ...]) -> None:
    """Print the claims and exercises of the lessons that somebody missed."""
    if not missed:
        _print("No lesson comes before it.")
    for one in missed:
        _print(f"[bold]{escape(one.lesson[:2])} {escape(one.title)}[/]")
        for claim in one.claims:
            _print(f"  ✓ {escape(claim)}")
        for exercise in one.exercises:
            _print(f"  ○ open: {escape(exercise)}")


def print_caught_up(found: "CaughtUp") -> None:
    """Print what is there now, so that the lesson can begin."""
    built = ", ".join(one.name for one in found.built) or "nothing"
    _print(f"built: {escape(built)}", f"base images of {found.lesson}: {len(found.bases)} are here")
    _print(f"Begin with notebooks/{found.lesson}.ipynb; no exercise counts as solved.")
