"""The errors of this package. Messages are for people; `hint` says what to do next."""


class BuildKitError(Exception):
    """Something between BuildKit and its client failed."""

    def __init__(self, message: str, *, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint


class SourceChanged(BuildKitError):
    """A file that BuildKit requested has changed since the files were listed."""


class NotUpgraded(BuildKitError):
    """The other side did not switch protocols. `status` is its HTTP status, 0 for none."""

    def __init__(self, message: str, *, status: int = 0, hint: str = ""):
        super().__init__(message, hint=hint)
        self.status = status
