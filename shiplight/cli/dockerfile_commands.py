"""The commands of Dockerfiles: check, graph, margin and why, by their text or after a build."""

import os
import sys
import warnings
from contextlib import suppress

from ..setup import PROGRAM, say
from .shared import connect, named_values, print_json


def do_graph(given) -> int:
    from .. import dockerfile
    from ..checks import checklist

    build_args = named_values(given.build_args)
    path = _path_of(given.path)
    found = checklist.read_subject(path, target=given.target, build_args=build_args)
    graph = dockerfile.draw(found.read, given.target, build_args)
    if given.build:
        graph = _built(given, build_args).graph()
    print(graph.svg())
    return 0


def _path_of(name: str) -> str:
    """The Dockerfile of a variant of the catalogue; any other path as it is."""
    from .. import catalogue

    row = catalogue.find(name)
    return str(row.folder / row.dockerfile) if row else name


def _built(given, build_args: dict[str, str]):
    """The build of the Dockerfile that is named, without remarks."""
    from .. import builds
    from ..builds import offers

    secrets = offers.secrets_of(given.secrets)
    offers.read(secrets, given.ssh, None)  # what is missing is said before anything is done
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return builds.build(
            connect(given, to_make=True),
            given.path,
            target=given.target,
            build_args=build_args,
            secrets=secrets,
            ssh=tuple(given.ssh),
        )


def do_margin(given) -> int:
    from .. import builds
    from ..builds import offers
    from ..checks import checklist, margin, mask
    from ..errors import UsageError
    from ..files import write
    from ..inspection import origins

    build_args = named_values(given.build_args)
    path = _path_of(given.path)
    subject = checklist.read_subject(path, target=given.target, build_args=build_args)
    checked = checklist.run(subject)
    build = _built(given, build_args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = origins(
            connect(given, to_make=True),
            given.path,
            target=given.target,
            build_args=build_args,
            secrets=offers.secrets_of(given.secrets),
            ssh=tuple(given.ssh),
        )
    reasons = {}
    with suppress(UsageError):  # where nothing could be kept, there is nothing to compare
        reasons = builds.why(given.path, mask=mask).by_line()
    made = margin(checked, steps=build.steps, origins=found, reasons=reasons)
    if given.output:
        write(given.output, made.page())
        say(f"the page is {given.output}")
    else:
        print(made)
    return 0


def do_why(given) -> int:
    from .. import builds
    from ..checks import mask
    from ..units import visible

    found = builds.why(given.path, mask=mask, file=given.file)
    if given.json:
        print_json(found.to_dict())
    else:
        print(visible("\n".join(found.sentences())))
    return 0


def do_check(given) -> int:
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
    given_paths = [name if os.path.exists(name) else _path_of(name) for name in given.paths]
    named = (os.path.normpath(name) for path in given_paths for name in find_dockerfiles(path))
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
    if given.diff:
        problem = not _print_patches(found) or problem
    elif found:
        _print_checklists(given, found, several=len(paths) > 1)
    for each in found:
        for remark in each.remarks:
            say(visible_line(f"{each.file}: {remark}"))
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

    build_args = named_values(given.build_args)
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
        built = with_build(connect(given, to_make=True), subject, build_args, **offered)
        found = checklist.run(built, skip=skip)
    return found


def _print_patches(found: list) -> bool:
    """Print the patch of each file, byte by byte where a program reads it; whether all have one.

    A patch that would repeat a secret is refused, and the others are printed.
    """
    from ..checks import patch
    from ..errors import UsageError
    from ..units import visible

    whole = True
    for each in found:
        try:
            text = patch(each)
        except UsageError as error:
            say(str(error))
            whole = False
            continue
        if sys.stdout.isatty():
            print(visible(text), end="")
        else:
            sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
    sys.stdout.flush()
    return whole


def _print_checklists(given, found: list, *, several: bool) -> None:
    wanted = given.format or ("json" if given.json else "sarif" if given.sarif else "text")
    if wanted == "json":
        print_json([row for each in found for row in each.to_list()])
    elif wanted == "sarif":
        from ..checks import to_sarif

        print_json(to_sarif(*found))
    elif wanted == "github":
        from ..checks import to_github

        for line in to_github(*found):
            print(line)
    else:
        from ..checks import print_checklist, print_summary

        print_summary(found) if several else print_checklist(found[0])
