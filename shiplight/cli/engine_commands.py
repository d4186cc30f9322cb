"""The commands of the engine and of this machine: doctor, bases, engine and clean."""

from ..setup import PROGRAM
from .shared import connect, print_json


def do_doctor(given) -> int:
    from . import doctor

    findings = doctor.examine()
    result = doctor.to_dict(findings)
    if given.report:
        from .machine import report

        print(report(findings))
    elif given.json:
        print_json(result)
    else:
        from .report import print_findings

        print_findings(findings)
    return 0 if result["ready"] else 1


def do_bases(given) -> int:
    from ..builds import provide, recipes
    from ..references import canonical
    from . import report

    client = connect(given, to_make=given.do == "get")
    wanted = [canonical(reference) for reference in given.references] or list(recipes())
    if given.do == "get":
        provide(client, wanted, renew=True)
    rows = report.base_rows(client, wanted)
    print_json(rows) if given.json else report.print_bases(rows)
    return 0


def do_engine(given) -> int:
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
        print_json(asdict(status) | others | done)
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


def do_clean(given) -> int:

    from .. import engine
    from ..engine import cleaning
    from . import report

    done = cleaning.clean(engine.connect(), every_lab=given.all)
    print_json(done.to_dict()) if given.json else report.print_cleaned(done)
    return 0
