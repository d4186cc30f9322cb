"""The course: what a lesson says beside its results, its exercises, its claims, its files.

`lesson` is what a lesson imports; `exercises` look at what a learner built; `judging`, `scoreboard`
and `results` check the article's claims against what was measured; `shelf`, `notebooks` and `pages`
are the lessons as files. Knows every other package but `cli`, and no other package knows it.
"""

from ..lazily import offered

__getattr__, __dir__, __all__ = offered(
    __name__,
    {
        "answered": "answering",
        "asked_of_index": "private_index",
        "Banner": "lesson",
        "believe": "believing",
        "Run": "notebooks",
        "run": "notebooks",
        "Shown": "shown",
        "Verdict": "judging",
        "build_times": "board_charts",
        "check": "exercises",
        "claim": "lesson",
        "clean_up": "lesson",
        "clean_up_all": "lesson",
        "copy_of": "lesson",
        "day_of": "lesson",
        "edit": "lesson",
        "guess": "exercises",
        "held_against": "lesson",
        "hint": "exercises",
        "not_here": "lesson",
        "Progress": "exercises",
        "limits_of": "shipping",
        "load_ipython_extension": "magics",
        "needed_by": "needs",
        "new_machine": "ci_registry",
        "reaches": "results",
        "solution": "exercises",
        "renew_token": "private_index",
        "start_index": "private_index",
        "start_registry": "ci_registry",
        "service": "shipping",
        "stop_index": "private_index",
        "stop_registry": "ci_registry",
        "sizes": "board_charts",
        "survey": "scoreboard",
        "TOKEN": "shipping",
        "typed": "typed_commands",
        "verdicts": "judging",
        "vulnerabilities": "board_charts",
    },
)
