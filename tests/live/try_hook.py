"""Try the hook of `.pre-commit-hooks.yaml` as pre-commit installs it: a good file, and a bad one.

    python tests/live/try_hook.py

Installs pre-commit, and this checkout's last commit, into a folder that goes again; needs the
package registry and git. Half a minute. docs/your-own.md says when it was last tried.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOOD = 'FROM alpine:3.22\nCOPY app /app\nUSER 7\nCMD ["/app"]\n'
BAD = "FROM alpine\nCOPY app /app\nCMD /app\n"
AUTHOR = ("-c", "user.name=someone", "-c", "user.email=someone@example.com")


def tried(folder: Path) -> None:
    """Run the hook in a new repository; raise AssertionError where it does not do what it says."""
    environment = os.environ | {"PRE_COMMIT_HOME": str(folder / "home")}
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    installing = [folder / "venv/bin/pip", "install", "--quiet", "pre-commit"]
    subprocess.run(installing, check=True)
    for name, text, code in (("good", GOOD, 0), ("bad", BAD, 1)):
        here = folder / name
        (here / "app").parent.mkdir()
        (here / "app").write_text("")
        (here / "Dockerfile").write_text(text)
        (here / "Dockerfile.dockerignore").write_text("out\n")
        for words in (("init", "-q"), ("add", "."), (*AUTHOR, "commit", "-qm", "x")):
            subprocess.run(["git", *words], cwd=here, check=True)
        command = [folder / "venv/bin/pre-commit", "try-repo", ROOT, "shiplight-check", "-a"]
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
        print(done.stdout[-1500:])
        assert done.returncode == code, done.stderr
        assert "Skipped" not in done.stdout, "it did not see the Dockerfile"
        assert code == 0 or "✗ pinned-bases" in done.stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        tried(Path(made))
