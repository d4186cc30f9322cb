"""Say how large something is, as people read it."""

import humanize


def said(size: int) -> str:
    return f"{humanize.naturalsize(size)} to move"
