"""The commands of images: build, measure, origins and scan."""

import shlex
import sys
import warnings
from contextlib import contextmanager

from ..setup import PROGRAM, say
from .shared import connect, has_budget, named_values, print_json


def do_build(given) -> int:
    from .. import builds, catalogue
    from ..builds import caches, offers
    from ..inspection import measure
    from . import report

    names = [row.name for row in catalogue.rows() if given.what in (row.app, row.name)]
    if given.what is None:
        rows = catalogue.rows()
        print_json([vars(row) for row in rows]) if given.json else report.print_catalogue(rows)
        return 0
    names, build_args = names or [given.what], named_values(given.build_args)
    secrets, output = offers.secrets_of(given.secrets), offers.output_of(given.output)
    caches.to_of(given.cache_to)
    caches.from_of(given.cache_from)
    offers.read(secrets, given.ssh, output)  # so is what is missing
    for name in names:
        builds.order(name, file=given.file)  # what cannot be built is said before anything is done
    client = connect(given, to_make=True)
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
        print_json([report.build_to_dict(build, image) for build, image in results])
    elif given.output is None:
        report.print_images([image for _, image in results], results[0][0].setting)
    else:
        print(visible_line(f"the files are in {results[-1][0].output}"))


def do_measure(given) -> int:
    """0; with a budget 1 where it is not kept to."""
    from ..errors import UsageError

    if has_budget(given):
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
        print_json(report.image_to_dict(image, budget))
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
        print_json(found.to_dict()) if given.json else report.print_comparison(found)
    elif given.json:
        print_json(report.image_to_dict(images[0], None))
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

    client = None if all(_is_alone(name) for name, _ in pairs) else connect(given)
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
    print_json(found.to_dict()) if given.json else show(found)
    return 0


def do_origins(given) -> int:
    from .. import builds
    from ..builds import offers
    from ..inspection import origins
    from . import report

    build_args, secrets = named_values(given.build_args), offers.secrets_of(given.secrets)
    offers.read(secrets, given.ssh, None)
    builds.order(given.what, file=given.file)  # what cannot be built is said before anything else
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # remarks, which a build prints
        found = origins(
            connect(given, to_make=True),
            given.what,
            file=given.file,
            target=given.target,
            build_args=build_args,
            secrets=secrets,
            ssh=tuple(given.ssh),
            scan=given.scan,
        )
    print_json(found.to_dict()) if given.json else report.print_origins(found)
    return 0


def do_scan(given) -> int:
    """0 where the scan ran and nothing fails, 1 where something does, 2 where that is unknown."""
    from .. import scans
    from ..errors import UsageError
    from . import report

    if given.other:
        return _compare_scans(given)
    if not given.fail_on and (given.only_fixed or given.exceptions):
        raise UsageError("--only-fixed and --exceptions go with --fail-on.", hint="--fail-on high")
    waivers = scans.read_waivers(given.exceptions) if given.exceptions else ()
    client, name = _named(given, given.image)
    found = _scanned(given, client, name)
    how = {"fail_on": given.fail_on, "only_fixed": given.only_fixed, "waivers": waivers}
    judged = scans.judge(found, **how) if given.fail_on else None
    if given.json:
        print_json(report.scan_to_dict(found, judged))
    else:
        report.print_scan(found)
        if judged:
            report.print_judgement(judged)
    if found.status != "scanned":
        return 2
    if given.sbom:
        scans.write_package_list(client, name, given.sbom, platform=given.platform)
    return {None: 0, scans.PASSED: 0, scans.FAILED: 1}.get(judged and judged.result, 2)


def _compare_scans(given) -> int:
    """0 where both scans ran; what could not be scanned is an error, and so is what goes not."""
    from .. import scans
    from ..errors import UsageError
    from . import report

    if given.fail_on or given.only_fixed or given.exceptions or given.sbom:
        raise UsageError(
            "--fail-on, --only-fixed, --exceptions and --sbom are for one image.",
            hint=f"{PROGRAM} scan {given.other} --fail-on high",
        )
    named = [_named(given, name) for name in (given.image, given.other)]
    found = scans.compare_scans(*(_scanned(given, client, name) for client, name in named))
    print_json(found.to_dict()) if given.json else report.print_scan_comparison(found)
    return 0


def _named(given, name: str) -> tuple:
    """The client that has an image, None for a saved one, and the image's name there."""
    from .. import builds, engine
    from ..image import find_saved_for, not_saved

    saved = find_saved_for(name, given.platform)
    if _is_alone(name):
        if not saved:
            raise not_saved(name)
        return None, name
    client = connect(given)
    name = builds.image_name(client, name)
    engine.inspect_image(client, name)  # what is not there needs no scanner
    return client, name


def _scanned(given, client, name: str):
    """The report on one image; unknown where there is no scanner."""
    from .. import scans
    from ..errors import ScannerMissing
    from ..scans import findings, trivy

    try:
        with _telling_how("scan", [name]):
            trivy.provide(client, update=given.update)
            return scans.scan(client, name, platform=given.platform)
    except ScannerMissing as error:
        return findings.unknown(name, error)
