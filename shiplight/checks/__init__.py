"""Run the checklist on any Dockerfile and report the results.

`reading` makes a subject of a Dockerfile, its context and, with `--build`, its image; `questions`
has one function for each check; `checklist` runs them all; `reporting` prints results, makes tables
and writes SARIF. Without `--build`, nothing is run or built and no Docker SDK is loaded. Evidence
never repeats a secret.
"""

from ..lazily import offered

__getattr__, __dir__, __all__ = offered(
    __name__,
    {
        "CHECKS": "checklist",
        "Checklist": "checklist",
        "baseline": "baseline",
        "Command": "reading.shell",
        "commands": "reading.shell",
        "find_dockerfiles": "checklist",
        "listed": "questions.outcomes",
        "Margin": "reporting.margins",
        "margin": "reporting.margins",
        "mask": "reading.masking",
        "masked_text": "reading.masking",
        "patch": "patching",
        "print_checklist": "reporting.report",
        "print_summary": "reporting.report",
        "read_subject": "checklist",
        "run": "checklist",
        "to_github": "reporting.github",
        "to_sarif": "reporting.sarif",
        "with_build": "reading.evidence",
        "with_image": "reading.evidence",
    },
)
