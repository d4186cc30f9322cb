"""Score the right answers of lesson 13 on an engine; write shiplight/lessons/shipped.toml.

    .venv/bin/python tests/exercises/measure_shipped.py          # all languages
    .venv/bin/python tests/exercises/measure_shipped.py go       # one; the others stay

The bytes of the smallest one are worth all points, so it asks only for the budget while it
measures. Ends with 1 where a right answer does not meet everything.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("SHIPLIGHT_PROGRESS", "off")

from shiplight import catalogue, engine, scoring
from shiplight.lessons import exercises, shipping

HEAD = """# What the right answers of lesson 13 took, in unpacked bytes; the smallest gets all points for them.
# Written by tests/exercises/measure_shipped.py.
"""


def main(languages: list[str]) -> int:
    client = engine.connect()
    known, wrong = dict(shipping.shipped()), False
    for language in languages or shipping.services():
        limits = replace(shipping.limits_of(language), best=None, source="")
        found = exercises.named(shipping.service(language)["exercise"])
        answers = {}
        for path in found.solutions():
            text, name = path.read_text(encoding="utf-8"), path.name.removesuffix(".Dockerfile")
            scored = scoring.score(
                client, catalogue.APPS / language, text=text, name=f"shipped/{name}",
                limits=limits, token=shipping.TOKEN,
            )  # fmt: skip
            print(scored, flush=True)
            wrong = wrong or not scored.passed
            answers[name] = scored.unpacked_bytes
            setting = scored.setting.to_dict()
        known[language] = {"setting": setting, "answers": answers}
        shipping.SHIPPED.write_text(written(known), encoding="utf-8")
    return int(wrong)


def written(known: dict) -> str:
    """The file, the languages in their order."""
    lines = [HEAD]
    for language in filter(known.get, shipping.services()):
        for part in ("setting", "answers"):
            rows = known[language][part].items()
            values = (f'"{name}" = {_value(value)}' for name, value in rows)
            lines.append("\n".join([f"[{language}.{part}]", *values, ""]))
    return "\n".join(lines)


def _value(value) -> str:
    return f"{value:_}" if isinstance(value, int) else f'"{value}"'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
