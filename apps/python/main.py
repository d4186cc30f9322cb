"""A small HTTP service that can say what still works in the image it runs in."""

import asyncio
import os
import platform
import socket
import ssl
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import FastAPI
from pydantic import BaseModel

try:
    from cffi import FFI
except ImportError:  # left out on purpose: requirements-pure.txt
    FFI = None

app = FastAPI()


class SelfCheck(BaseModel):
    """What this image still offers its program. Every app answers the same fields."""

    ca_certificates: int  # how many certificate authorities were found; 0: HTTPS to others fails
    time_zones: bool  # whether the zone Europe/Paris loads
    tmp_writable: bool  # whether a file can be written to /tmp
    user_id: int  # 0 is root
    resolves_localhost: bool  # whether the name localhost has an address
    resolves_own_name: bool  # whether the container's host name has an address


@app.get("/healthz")
async def healthz() -> dict[str, bool]:
    return {"ok": True}


@app.get("/")
async def about() -> dict[str, str | None]:
    return {
        "app": "shiplight",
        "language": "python",
        "version": platform.python_version(),
        "platform": f"{platform.system()}/{platform.machine()}".lower(),
        "libc": libc_version(),
    }


@app.get("/selfcheck")
async def selfcheck() -> SelfCheck:
    return SelfCheck(
        ca_certificates=ca_certificates(),
        time_zones=time_zones(),
        tmp_writable=tmp_writable(),
        user_id=os.getuid(),
        resolves_localhost=await resolves("localhost"),
        resolves_own_name=await resolves(socket.gethostname()),
    )


def libc_version() -> str | None:
    """What the C library says of itself when it is called through cffi; None without cffi."""
    if FFI is None:
        return None
    ffi = FFI()
    ffi.cdef("const char *gnu_get_libc_version(void);")
    return f"glibc {ffi.string(ffi.dlopen(None).gnu_get_libc_version()).decode()}"


def ca_certificates() -> int:
    """From the one file that OpenSSL reads at once, or else the folder where it looks them up."""
    loaded = ssl.create_default_context().cert_store_stats()["x509_ca"]
    folder = ssl.get_default_verify_paths().capath
    return loaded or len({path.resolve() for path in Path(folder or "/none").glob("*.[0-9]")})


def time_zones() -> bool:
    try:
        return ZoneInfo("Europe/Paris").key == "Europe/Paris"
    except ZoneInfoNotFoundError:
        return False


def tmp_writable() -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir="/tmp", prefix="selfcheck-"):
            return True
    except OSError:
        return False


async def resolves(name: str) -> bool:
    found = asyncio.get_running_loop().getaddrinfo(name, None)
    try:
        return bool(await asyncio.wait_for(found, timeout=2))
    except OSError:  # TimeoutError is one
        return False
