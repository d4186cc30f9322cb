"""What it means that a registry gives nothing, and what helps: one wording, whoever asked it.

Each is a meaning and a hint; `{host}` is what follows `docker login`, "" for Docker Hub.
"""

LOGIN = "`docker login{host}` if the image is private; else check its spelling"

TOO_MANY = (
    "too many requests from here",
    "`docker login{host}` gives more pulls; or wait, or set SHIPLIGHT_MIRROR to a mirror",
)
NOTHING = ("it has nothing of that name", "check the spelling of name and tag")
BROKEN = ("it reports a server error", "try again later, or set SHIPLIGHT_MIRROR to a mirror")
CHANGED = (
    "the content does not match its digest",
    "try again; if it persists, a proxy or a mirror in between changes it",
)
CLOSED = (
    "it closed the connection",
    "try again; if it persists, a proxy in between may cause it",
)
NO_REGISTRY = (
    "what responds there is not a registry",
    "does this network require a login in a browser? or is the host, or SHIPLIGHT_MIRROR, wrong?",
)
NOBODY = ("nothing listens there", "check host and port, and whether the registry runs")

SILENT = "it did not respond in time"
NO_TLS = "it uses plain HTTP, without TLS"
UNKNOWN_CERTIFICATE = "its certificate is not one that {who} trusts"
