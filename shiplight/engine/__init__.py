"""The one seam to Docker: the only package that imports the SDK.

Finding and describing an engine, every call to it, its disk, the private engine, the journal of
what this lab made, and removing that again. What the SDK or the connection raises leaves this
package as an error of ours. Knows nothing of Dockerfiles, of the catalogue or of lessons.
"""

from .answers import (
    DISK_FULL,
    NO_CACHE_EXPORT,
    OLD_FRONTEND,
    not_an_answer,
    or_none,
    translated,
)
from .cleaning import Cleaned, held
from .connecting import ANSWER_TIMEOUT, connect, wait_until_answers
from .containers import (
    address_of,
    exit_code,
    find_container,
    remove_container,
    wait_until_listening,
)
from .describing import (
    Engine,
    data_folder,
    describe,
    described,
    identity,
    image_store,
    is_local,
    setting,
)
from .exporting import export_image, export_images, own_socket
from .images import (
    find_image,
    has_image,
    id_of,
    image_history,
    import_rootfs,
    inspect_image,
    labels_of,
    load_images,
    post_build,
    pull,
    push,
    registry_has,
    remember_image,
    remove_image,
    tag_image,
)
from .journal import made
from .logins import credentials, login
from .private import Status
from .registries import ask_registry, pull_limit
from .sessions import open_connection, session_path
from .transcript import Transcript

__all__ = [
    "ANSWER_TIMEOUT",
    "DISK_FULL",
    "NO_CACHE_EXPORT",
    "OLD_FRONTEND",
    "Cleaned",
    "Engine",
    "Status",
    "Transcript",
    "address_of",
    "ask_registry",
    "connect",
    "credentials",
    "data_folder",
    "describe",
    "described",
    "exit_code",
    "export_image",
    "export_images",
    "find_container",
    "find_image",
    "has_image",
    "held",
    "id_of",
    "identity",
    "image_history",
    "image_store",
    "import_rootfs",
    "inspect_image",
    "is_local",
    "labels_of",
    "load_images",
    "login",
    "made",
    "not_an_answer",
    "open_connection",
    "or_none",
    "own_socket",
    "post_build",
    "pull",
    "pull_limit",
    "push",
    "registry_has",
    "remember_image",
    "remove_container",
    "remove_image",
    "session_path",
    "setting",
    "tag_image",
    "translated",
    "wait_until_answers",
    "wait_until_listening",
]
