"""Run long work outside the event loop, which has to answer BuildKit's health checks."""

import asyncio
import threading
from contextlib import suppress


async def in_thread(function, *arguments):
    """Return what `function(*arguments)` returns, from a daemon thread.

    The interpreter would wait for the threads of a pool before it exits, however long they take.
    """
    loop = asyncio.get_running_loop()
    result = loop.create_future()

    def settle(done, value) -> None:
        if not result.done():
            done(value)

    def work() -> None:
        try:
            done, value = result.set_result, function(*arguments)
        except Exception as problem:
            done, value = result.set_exception, problem
        with suppress(RuntimeError):  # the session is over
            loop.call_soon_threadsafe(settle, done, value)

    threading.Thread(target=work, name="buildkit-work", daemon=True).start()
    return await result
