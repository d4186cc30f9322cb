"""What each command of `./lab` does. A command loads its modules when it is called."""

import errno
import os
import shlex
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from importlib.util import find_spec

from ..setup import IS_CHECKOUT, PROGRAM, ROOT, say
from .arguments import parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code. Errors of ours are printed, not traced."""
    from ..errors import BuildCancelled, ShipLightError
    from ..units import visible_line

    for stream in (sys.stdout, sys.stderr):  # whose encoding need not have all of our signs
        stream.reconfigure(errors="backslashreplace")
    given = parser().parse_args(arguments)
    failed = 2 if _judges(given) else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every `finally` runs
    try:
        if given.command in _OF_LESSONS:
            _require_lessons(given)
        return globals()[f"_{given.command}"](given) or 0
    except BuildCancelled as error:
        say(str(error))
        return 130
    except ShipLightError as error:
        say(str(error))
        return failed
    except KeyboardInterrupt:
        print(file=sys.stderr)
        say("interrupted.")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UnicodeEncodeError as error:
        say(visible_line(f"not UTF-8: {error.object}"))
        print("  Try: names of images, stages and files that are UTF-8", file=sys.stderr)
        return failed
    except OSError as error:
        say(visible_line(_what_failed(error)))
        hint = _FIXES.get(error.errno, "check the path, and whether you may use it")
        print(f"  Try: {hint}", file=sys.stderr)
        return failed


_OF_LESSONS = ("up", "test", "run", "progress", "record", "reset")


def _require_lessons(given) -> None:
    """UsageError where the package was installed without what lessons need, or without them."""
    from ..errors import UsageError

    try:
        installed = all(find_spec(name) for name in ("jupyterlab", "nbval", "pandas", "plotly"))
    except ImportError:
        installed = False
    if not installed:
        raise UsageError("what the lessons need is not installed.", hint="install shiplight[lab]")
    if not IS_CHECKOUT and not getattr(given, "lessons", None):
        raise UsageError(
            "the lessons are in a checkout of the repository, and this is none.",
            hint="clone it, and run `./lab up` there",
        )


def _judges(given) -> bool:
    """Whether 1 is what this command found, so that a failure of its own is something else."""
    budget = (getattr(given, name, None) for name in ("at_most", "baseline"))
    has_budget = given.command == "measure" and any(one is not None for one in budget)
    return has_budget or given.command in ("check", "scan")


_FULL = f"make room; `{PROGRAM} clean` gives back what this lab used"
_FIXES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "a copy of this folder on a disk that can be written to",
    errno.EACCES: "with the right to read and to write there",
    errno.EPERM: "with the right to read and to write there",
}


def _what_failed(error: OSError) -> str:
    """What a system's error says: a full disk first, then the file and what is the matter."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    where = f"{error.filename}: " if error.filename else ""
    return f"{'a disk of this machine is full: ' * full}{where}{error.strerror or error}"


def _connect(given, *, to_make: bool = False):
    """The client of an engine; one is started to make something, or if it has something already."""
    from ..engine import private

    may_start = not given.no_engine and (to_make or private.has_data())
    return private.connect_or_start(may_start=may_start)


def _connect_or_say(given):
    """The client of an engine; where there is none, that the recordings take its place.

    Where recordings are asked for, no engine is looked for, and none is started.
    """
    from .. import recordings
    from ..errors import EngineNotReachable

    if recordings.mode() == "recorded":
        say("SHIPLIGHT_MODE=recorded: the lessons replay their recordings, marked as recorded.")
        return None
    try:
        return _connect(given, to_make=True)
    except EngineNotReachable as error:
        say(str(error))
        say("the lessons replay their recordings, each marked as recorded.")
        return None


def _print_json(data) -> None:
    from ..units import as_json

    print(as_json(data, indent=2))


# --- the commands ----------------------------------------------------------------------------


def _up(given) -> int:
    from .. import builds, dockerfile
    from ..builds import provide
    from ..dockerfile import stages
    from ..lessons import notebooks, shelf

    lesson = shelf.lessons()[0]
    notebooks.check_port(given.port)
    client = _connect_or_say(given)
    if client is not None:
        needed = []
        for variant in ("go/single", "go/multi"):
            uses = stages.image_uses(dockerfile.parse(builds.recipe(variant)))
            needed += [use.reference for use in uses]
        provide(client, needed)
    shelf.trust()
    return notebooks.serve(lesson, port=given.port, browser=not given.no_browser)


def _test(given) -> int:
    from .. import recordings
    from ..builds import provide, recipes
    from ..engine import private
    from ..errors import EngineNotReachable

    command = [sys.executable, "-m", "pytest", "tests", "shiplight"]
    lessons = ["notebooks", "--nbval-current-env", "--nbval-cell-timeout=900"]
    if given.recorded:
        command += [*lessons, "--nbval"]
    elif not given.unit:
        try:
            may_start = not given.no_engine and recordings.mode() != "recorded"
            client = private.connect_or_start(may_start=may_start)
            command += [*lessons, "--nbval-lax"]
            if not given.rest:
                if not sys.stderr.isatty():
                    say("getting the missing base images")
                provide(client, list(recipes()))  # here, where its progress is seen
        except EngineNotReachable as error:
            say(str(error))
            if given.live:
                return 1
            command += [*lessons, "--nbval"]
    command += [f"--{name}" for name in ("live", "recorded", "unit") if getattr(given, name)]
    if sys.platform == "linux" and not given.rest and "LAB_ID" not in os.environ:
        command.append("--numprocesses=2")  # each worker with a lab of its own
    # The tests start hundreds of processes: none compiles again what another one has compiled.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    return _run_to_its_end([*command, *given.rest], environment)


def _run_to_its_end(command: list[str], environment: dict[str, str] | None = None) -> int:
    """Run a program that Ctrl-C reaches too, and let it clean up; a second one ends it."""
    interrupted = False
    with subprocess.Popen(command, cwd=ROOT, env=environment) as child:
        while child.poll() is None:
            try:
                child.wait()
            except KeyboardInterrupt:
                if interrupted:
                    child.terminate()
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return child.returncode


def _doctor(given) -> int:
    from . import doctor

    findings = doctor.examine()
    result = doctor.to_dict(findings)
    if given.report:
        from .machine import report

        print(report(findings))
    elif given.json:
        _print_json(result)
    else:
        from .report import print_findings

        print_findings(findings)
    return 0 if result["ready"] else 1


def _run(given) -> int:
    from ..lessons import notebooks, shelf, verdicts
    from . import report

    paths = shelf.find(given.lessons, elsewhere=True)
    client = _connect_or_say(given)
    runs = [notebooks.run(path) for path in paths]
    if given.json:
        _print_json([report.run_to_dict(run) for run in runs])
    else:
        for run in runs:
            report.print_run(run)
        report.print_verdicts(verdicts(client))
    return 1 if any(run.failure for run in runs) else 0


def _record(given) -> int:
    from ..engine import cleaning
    from ..lessons import notebooks, results, shelf
    from . import report

    runs = []
    for path in shelf.find(given.lessons):
        if not given.replay:
            # So that builds are stored as they are the first time.
            cleaning.prune_cache(_connect(given, to_make=True))
        runs.append((notebooks.replay if given.replay else notebooks.record)(path))
    results.write()
    for run in runs:
        report.print_run(run)
    return 1 if any(run.failure for run in runs) else 0


def _progress(given) -> int:
    from ..lessons import Progress

    found = Progress()
    if given.json:
        _print_json(found.to_dict())
    else:
        print(found)
    return 0


def _reset(given) -> int:
    from ..lessons import shelf

    for path in shelf.find(given.lessons):
        kept = shelf.reset(path)
        print(
            f"restored the original {path.name}" + (f"; your copy is {kept.name}" if kept else "")
        )
    return 0


def _build(given) -> int:
    from .. import builds, catalogue
    from ..builds import caches, offers
    from ..inspection import measure
    from . import report

    names = [row.name for row in catalogue.rows() if given.what in (row.app, row.name)]
    if given.what is None:
        rows = catalogue.rows()
        _print_json([vars(row) for row in rows]) if given.json else report.print_catalogue(rows)
        return 0
    names, build_args = names or [given.what], _pairs(given.build_args)
    secrets, output = offers.secrets_of(given.secrets), offers.output_of(given.output)
    caches.to_of(given.cache_to)
    caches.from_of(given.cache_from)
    offers.read(secrets, given.ssh, output)  # so is what is missing
    for name in names:
        builds.order(name, file=given.file)  # what cannot be built is said before anything is done
    client = _connect(given, to_make=True)
    results = []
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # remarks, which are printed below
            build = builds.build(
                client,
                name,
                file=given.file,
                target=given.target,
                build_args=build_args,
                no_cache=given.no_cache,
                platform=given.platform,
                secrets=secrets,
                ssh=tuple(given.ssh),
                cache_from=tuple(given.cache_from),
                cache_to=tuple(given.cache_to),
                output=output,
            )
        results.append((build, None if output else measure(client, build.tag)))
    _print_builds(given, results)
    return 0


def _print_builds(given, results) -> None:
    from ..units import visible_line
    from . import report

    for remark in dict.fromkeys(remark for build, _ in results for remark in build.remarks):
        say(visible_line(remark))
    if given.json:
        _print_json([report.build_to_dict(build, image) for build, image in results])
    elif given.output is None:
        report.print_images([image for _, image in results], results[0][0].setting)
    else:
        print(visible_line(f"the files are in {results[-1][0].output}"))


def _pairs(texts: list[str]) -> dict[str, str]:
    from ..errors import UsageError

    for text in texts:
        if "=" not in text[1:]:
            raise UsageError(f"--build-arg {text!r} has no value.", hint="--build-arg NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)


def _measure(given) -> int:
    """0; with a budget 1 where it is not kept to."""
    from ..errors import UsageError

    if _judges(given):
        return _measure_budget(given)
    if given.packed:
        raise UsageError("--packed goes with --at-most or --baseline.", hint="--at-most 30MB")
    return _measure_all(given)


def _measure_budget(given) -> int:
    from ..errors import UsageError
    from ..inspection import PREFIX, keep_to, measure
    from . import report

    if given.other or "," in (given.platform or ""):
        raise UsageError("a budget is for one image.", hint="name one, for one platform")
    name = given.image.removeprefix(PREFIX)
    if given.remote or name != given.image:
        image = measure(None, f"{PREFIX}{name}", platform=given.platform, deep=given.deep)
    else:
        [image] = _here(given, [name])
    how = {"at_most": given.at_most, "baseline": given.baseline, "packed": given.packed}
    budget = keep_to(image, **how)
    if given.json:
        _print_json(report.image_to_dict(image, budget))
    else:
        if image.unpacked_bytes is not None:
            report.print_image(image)
        report.print_budget(budget)
    if budget.said:
        print(f"lab: {budget.said}", file=sys.stderr)
    return 0 if budget.is_kept else 1


def _here(given, names: list[str]) -> list:
    """The images of an engine, or saved ones, under these names and for these platforms."""
    from ..errors import UsageError
    from ..image import find_saved

    if given.deep or (given.platform and not all(map(find_saved, names))):
        raise UsageError(
            "--deep is for images in a registry, --platform for these and for saved ones.",
            hint=f"{PROGRAM} measure --remote {' '.join(names)}",
        )
    pairs = _pairs_of(given, names)
    with _telling_how("measure", names):
        return _measured(given, pairs)


def _measure_all(given) -> int:
    from ..image import compare
    from ..inspection import PREFIX
    from . import report

    names = [name for name in (given.image, given.other) if name]
    if given.remote or all(name.startswith(PREFIX) for name in names):
        return _measure_remote(given, [name.removeprefix(PREFIX) for name in names])
    images = _here(given, names)
    if len(images) == 2:
        called = tuple(f"{image.name} {image.platform}" for image in images)
        found = compare(*images, names=called if given.platform else None)
        _print_json(found.to_dict()) if given.json else report.print_comparison(found)
    elif given.json:
        _print_json(report.image_to_dict(images[0], None))
    else:
        report.print_image(images[0])
    return 0


def _pairs_of(given, names: list[str]) -> list[tuple[str, str | None]]:
    """Each name with each platform that is asked for, None for the usual one: one pair, or two."""
    from ..errors import UsageError

    platforms = given.platform.split(",") if given.platform else [None]
    pairs = [(name, platform) for name in names for platform in platforms]
    if len(pairs) > 2:
        raise UsageError("this compares two images, not more.", hint="two names or two platforms")
    return pairs


@contextmanager
def _telling_how(command: str, names: list[str]):
    """Where it is unclear which image of an archive is meant, say what to type."""
    from ..errors import ImageUnclear
    from ..image import find_saved

    try:
        yield
    except ImageUnclear as error:
        saved = [found for found in map(find_saved, names) if found]
        if len(names) == len(saved) == 1:
            path = shlex.quote(saved[0].path)
            behind = [f"{path}:{name}" for name in error.names]
            behind += [f"{shlex.quote(names[0])} --platform {one}" for one in error.platforms]
            ways = [f"{PROGRAM} {command} {words}" for words in behind[:20]]
            error.hint = "\n       ".join(ways) or error.hint
        raise


def _is_alone(name: str) -> bool:
    """Whether a name needs no engine: it is in a registry, saved, or a path and no image's name."""
    from ..image import find_saved
    from ..inspection import PREFIX
    from ..references import read

    is_path = bool(name) and not read(name).is_valid
    return name.startswith(PREFIX) or find_saved(name) is not None or is_path


def _measured(given, pairs: list[tuple[str, str | None]]) -> list:
    """The images of these names and platforms; saved ones and registries need no engine."""
    from .. import builds
    from ..inspection import PREFIX, measure

    client = None if all(_is_alone(name) for name, _ in pairs) else _connect(given)
    return [
        measure(client, name, platform=platform, deep=name.startswith(PREFIX))
        if _is_alone(name)
        else measure(client, builds.image_name(client, name))
        for name, platform in pairs
    ]


def _measure_remote(given, names: list[str]) -> int:
    """One image for its platforms, or two, or two platforms of one, as registries have them."""
    from ..image import compare, compare_layers
    from ..inspection import PREFIX, measure, published
    from . import report

    pairs = _pairs_of(given, names)
    if len(pairs) == 1 and not given.deep:
        found, show = published(names[0], platform=pairs[0][1]), report.print_published
    else:
        images = [
            measure(None, f"{PREFIX}{name}", platform=platform, deep=given.deep)
            for name, platform in pairs
        ]
        called = tuple(f"{image.name} {image.platform}" for image in images)
        if len(images) == 1:
            [found], show = images, report.print_image
        elif given.deep:
            found, show = compare(*images, names=called), report.print_comparison
        else:
            found, show = compare_layers(*images, names=called), report.print_layer_comparison
    _print_json(found.to_dict()) if given.json else show(found)
    return 0


def _origins(given) -> int:
    from .. import builds
    from ..builds import offers
    from ..inspection import origins
    from . import report

    build_args, secrets = _pairs(given.build_args), offers.secrets_of(given.secrets)
    offers.read(secrets, given.ssh, None)
    builds.order(given.what, file=given.file)  # what cannot be built is said before anything else
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # remarks, which a build prints
        found = origins(
            _connect(given, to_make=True),
            given.what,
            file=given.file,
            target=given.target,
            build_args=build_args,
            secrets=secrets,
            ssh=tuple(given.ssh),
        )
    _print_json(found.to_dict()) if given.json else report.print_origins(found)
    return 0


def _graph(given) -> int:
    from .. import builds, dockerfile

    text = builds.order(given.path).text
    print(dockerfile.draw(dockerfile.parse(text), given.target, _pairs(given.build_args)).svg())
    return 0


def _scan(given) -> int:
    """0 where the scan ran and nothing fails, 1 where something does, 2 where that is unknown."""
    from .. import builds, engine, scans
    from ..errors import ScannerMissing, UsageError
    from ..image import find_saved, not_saved
    from ..scans import findings, trivy
    from . import report

    client, name = None, given.image
    if not given.fail_on and (given.only_fixed or given.exceptions):
        raise UsageError("--only-fixed and --exceptions go with --fail-on.", hint="--fail-on high")
    waivers = scans.read_waivers(given.exceptions) if given.exceptions else ()
    if given.platform and not find_saved(name):
        raise UsageError(
            "--platform is for images in archives and layouts.",
            hint="an engine's image is scanned for the platform that is there",
        )
    if _is_alone(name):
        if not find_saved(name):
            raise not_saved(name)
    else:
        client = _connect(given)
        name = builds.image_name(client, name)
        engine.inspect_image(client, name)  # what is not there needs no scanner
    try:
        with _telling_how("scan", [name]):
            trivy.provide(client, update=given.update)
            found = scans.scan(client, name, platform=given.platform)
    except ScannerMissing as error:
        found = findings.unknown(name, error)
    how = {"fail_on": given.fail_on, "only_fixed": given.only_fixed, "waivers": waivers}
    judged = scans.judge(found, **how) if given.fail_on else None
    if given.json:
        _print_json(report.scan_to_dict(found, judged))
    else:
        report.print_scan(found)
        if judged:
            report.print_judgement(judged)
    if found.status != "scanned":
        return 2
    if given.sbom:
        scans.write_package_list(client, name, given.sbom, platform=given.platform)
    return {None: 0, scans.PASSED: 0, scans.FAILED: 1}.get(judged and judged.result, 2)


def _check(given) -> int:
    """0 where nothing failed, 1 where something did, 2 where one could not be read or built.

    2 also where this program itself failed, whose traceback is printed without secrets.
    """
    from ..checks import mask
    from ..errors import BuildCancelled, ShipLightError
    from ..units import visible

    try:
        return _check_all(given)
    except (BuildCancelled, OSError, UnicodeEncodeError):
        raise
    except ShipLightError as error:
        say(mask(str(error)))
    except Exception:
        import traceback

        print(visible(mask(traceback.format_exc())), file=sys.stderr)
    return 2


def _check_all(given) -> int:
    """Check every Dockerfile; what cannot be read is told, and the others are checked."""
    from ..checks import baseline, find_dockerfiles, mask
    from ..errors import BuildCancelled, ShipLightError, UsageError
    from ..units import visible_line

    found, problem = [], False
    known = baseline.read(given.baseline) if given.baseline else None
    named = (os.path.normpath(name) for path in given.paths for name in find_dockerfiles(path))
    paths = list(dict.fromkeys(named))
    if len(paths) > 1 and given.build:
        raise UsageError("--build builds one Dockerfile.", hint="name one")
    for path in paths:
        try:
            found.append(_checked(given, path))
        except BuildCancelled:
            raise
        except ShipLightError as error:
            where = f"{path}: " if len(paths) > 1 and path not in str(error) else ""
            say(visible_line(mask(where)) + mask(str(error)))
            problem = True
    if given.baseline and found:
        seen = baseline.findings(found, given.baseline)
        now = baseline.Baseline(seen, _narrowing(given))
        if said := baseline.update(given.baseline, now, known):
            say(said)
        if known is not None:
            found = [baseline.apply(each, known, given.baseline) for each in found]
    if found:
        _print_checklists(given, found, several=len(paths) > 1)
    return 2 if problem else int(any(each.fails(given.fail_on) for each in found))


def _narrowing(given) -> tuple[str, ...]:
    """The options that decide what of a Dockerfile is seen, without the values of arguments."""
    options = {
        "--build": [""] * given.build,
        "--build-arg": [""] * bool(given.build_args),
        "--context": [given.context] * bool(given.context),
        "--skip": sorted(set(_skipped(given))),
        "--target": [given.target] * bool(given.target),
    }
    return tuple(f"{name} {value}".strip() for name, values in options.items() for value in values)


def _skipped(given) -> list[str]:
    return [name.strip() for text in given.skip for name in text.split(",") if name.strip()]


def _checked(given, path: str):
    """The checklist of one Dockerfile, built if that is asked for."""
    from ..checks import checklist
    from ..errors import UsageError

    build_args = _pairs(given.build_args)
    if path == "-" and given.build:
        raise UsageError("--build needs a file.", hint="save it, and name it with --context")
    if path == "-" and sys.stdin is None:
        raise UsageError("standard input is closed.", hint=f"`{PROGRAM} check - < Dockerfile`")
    text = sys.stdin.buffer.read(checklist.MOST_BYTES + 1) if path == "-" else None
    subject = checklist.read_subject(
        "stdin" if path == "-" else path,
        target=given.target,
        build_args=build_args,
        context=given.context,
        text=text,
    )
    skip = _skipped(given)
    found = checklist.run(subject, skip=skip)
    if given.build:
        from ..builds import offers
        from ..checks import with_build

        offered = {"secrets": offers.secrets_of(given.secrets), "ssh": tuple(given.ssh)}
        offers.read(**offered)  # what is missing is said before anything is done
        built = with_build(_connect(given, to_make=True), subject, build_args, **offered)
        found = checklist.run(built, skip=skip)
    return found


def _print_checklists(given, found: list, *, several: bool) -> None:
    from ..units import visible, visible_line

    if given.diff:
        from ..checks import patch

        for text in map(patch, found):
            if sys.stdout.isatty():
                print(visible(text), end="")
            else:  # byte by byte, for a program that applies it
                sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
        return
    wanted = given.format or ("json" if given.json else "sarif" if given.sarif else "text")
    if wanted == "json":
        _print_json([row for each in found for row in each.to_list()])
    elif wanted == "sarif":
        from ..checks import to_sarif

        _print_json(to_sarif(*found))
    elif wanted == "github":
        from ..checks import to_github

        for line in to_github(*found):
            print(line)
    else:
        from ..checks import print_checklist, print_summary

        print_summary(found) if several else print_checklist(found[0])
    for each in found:
        for remark in each.remarks:
            say(visible_line(f"{each.file}: {remark}"))


def _bases(given) -> int:
    from ..builds import provide, recipes
    from ..references import canonical
    from . import report

    client = _connect(given, to_make=given.do == "get")
    wanted = [canonical(reference) for reference in given.references] or list(recipes())
    if given.do == "get":
        provide(client, wanted)
    rows = report.base_rows(client, wanted)
    _print_json(rows) if given.json else report.print_bases(rows)
    return 0


def _engine(given) -> int:
    from dataclasses import asdict

    from ..engine import private
    from ..errors import UsageError
    from .report import print_engine, print_removed

    done = {}
    if given.do != "stop" and (given.remove_gone or given.remove_data):
        option = "--remove-gone" if given.remove_gone else "--remove-data"
        raise UsageError(f"{option} goes with stop.", hint=f"`{PROGRAM} engine stop {option}`")
    if given.do == "start":
        _refuse_beside_another()
        private.start()
    elif given.remove_gone:
        removed = private.remove_gone()
        done = {"removed": list(map(asdict, removed))}
        if not given.json:
            print_removed(removed)
            return 0
    elif given.do == "stop":
        stopped = private.stop(remove_data=given.remove_data)
        if not given.json:
            print("stopped the private engine" if stopped else "no private engine was running")
            return 0
    status, gone, unknown = private.status(), private.gone(), private.unknown()
    if given.json:
        others = {"gone": list(map(asdict, gone)), "unknown": list(map(asdict, unknown))}
        _print_json(asdict(status) | others | done)
    else:
        print_engine(status, gone, unknown)
    return 0


def _refuse_beside_another() -> None:
    """A second engine would share the first one's firewall rules: UsageError where one answers."""
    from .. import engine
    from ..engine import endpoints
    from ..errors import EngineNotReachable, UsageError

    try:
        found = engine.describe(engine.connect())
    except EngineNotReachable:
        return
    if found.endpoint != f"unix://{endpoints.private_socket()}":
        raise UsageError(
            f"{found} is already running at {found.endpoint}.",
            hint="use it: every command finds it",
        )


def _clean(given) -> int:

    from .. import engine
    from ..engine import cleaning
    from . import report

    done = cleaning.clean(engine.connect(), every_lab=given.all)
    _print_json(done.to_dict()) if given.json else report.print_cleaned(done)
    return 0
