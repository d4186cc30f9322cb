"""What a lesson stores: the outputs of its recorded run, as text."""


def shown(every: list, *, after_guess: str = "") -> str:
    """Return the text that a lesson's cells show: of all, or of those after one of its guesses."""
    asks = f'guess("{after_guess}"'
    first = [number for number, cell in enumerate(every) if cell.source.startswith(asks)]
    parts = []
    for cell in every[first[0] :] if first else [] if after_guess else every:
        for output in cell.get("outputs", ()):
            parts.append(output.get("data", {}).get("text/plain") or output.get("text", ""))
    return "\n".join(map("".join, parts))
