"""Have three learners finish lesson 01 in browsers, on a bare Debian.

    pip install selenium        # and Chromium with its chromedriver on PATH
    python tests/deploy/try_browsers.py BASES KIT [PICTURES]

The server is Debian 13 as mmdebstrap unpacks it, with processes, mounts and network of its own;
what is typed there are the lines of "Start" in docs/hub.md, with this checkout as the repository
that is cloned. No system starts services there, so the script starts its engine, as systemd would.
BASES and KIT are the archives of try_hub.py. Pictures of the learners' pages go to PICTURES.

It ends with 1 at the first sentence that is not true. Linux, root, slirp4netns, 20 GB of disk.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import docker
import requests
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from try_hub import HUB, ROOT, given_paths, in_its_network, true, wait_for

SUITE = "trixie"
SETTINGS = {"DISK": "6G", "KIT": "/root/kit"}
LESSON = "ship-light/notebooks/01-go.ipynb"
EXERCISES = ("01.1", "01.2")
LEARNERS = ("ana", "ben", "cyd")
PAGE, LOADED, RUN = 180, 900, 2400  # seconds: for a page, the kit, and all cells of the lesson
SERVER = """
set -e
mount --make-rprivate /
mount --bind {root} {root}
cd {root}
mkdir -p old
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
pivot_root . old
umount -l /old
echo nameserver 10.0.2.3 >/etc/resolv.conf
echo ready
while read -r line; do :; done
"""


# --- the server ---------------------------------------------------------------------------------


class Server:
    """A bare Debian: a file system of its own, and namespaces in which its commands run."""

    def __init__(self, root: Path):
        self.root = root
        own = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c")
        self.process = subprocess.Popen(
            [*own, SERVER.format(root=root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("no namespaces on this machine")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.first = children.read_text().split()[0]

    def command(self, line: str) -> list[str]:
        """Return what runs a line there, as root types it."""
        inside = ["nsenter", "--target", self.first, "--mount", "--pid", "--root", "--wd"]
        return [*inside, "bash", "-c", f"cd /root && {line}"]

    def type(self, line: str, **settings: str) -> float:
        """Run a line, and return the seconds that it took; end here where it fails."""
        print(f"  # {line}", flush=True)
        since = time.monotonic()
        log = self.root.parent / "typed.log"
        with open(log, "ab") as said:
            given = os.environ | {"DEBIAN_FRONTEND": "noninteractive", **settings}
            command = self.command(line)
            done = subprocess.run(
                command, env=given, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        if done.returncode:
            print(log.read_text(errors="replace")[-3000:])
            true(f"`{line}` succeeds", False, done.returncode)
        return time.monotonic() - since

    def start_engine(self) -> docker.DockerClient:
        """Start the engine that was installed, and return a client of it."""
        with open(self.root.parent / "dockerd.log", "ab") as log:
            command = self.command("exec dockerd")
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        socket = f"unix:///proc/{self.first}/root/run/docker.sock"
        return wait_for(lambda: docker.DockerClient(base_url=socket, timeout=900), 60, "the engine")


@contextmanager
def bare_server():
    """Yield a server, which ends with the block, with all that was written there."""
    with tempfile.TemporaryDirectory(prefix="slhub", dir="/var/tmp") as folder:
        root = Path(folder, "root")
        command = ["mmdebstrap", "--variant=important", "--include=ca-certificates", SUITE, root]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        trusted = "etc/ssl/certs/ca-certificates.crt"  # where a proxy of this network may be known
        shutil.copy(f"/{trusted}", root / trusted)
        server = Server(root)
        try:
            yield server
        finally:
            server.process.kill()
            server.process.wait()


def typed() -> list[str]:
    """Return the lines that docs/hub.md tells to type on a bare server."""
    text = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8").partition("## Start")[2]
    lines = re.findall(r"(?m)^    (\S.*)$", text)[:3]
    programs = [line.split()[0] for line in lines]
    true("docs/hub.md has three lines to type", programs == ["apt-get", "git", "docker"], programs)
    return lines


def set_up(server: Server, bases: str, kit: str) -> None:
    """Type what the page says, until the login page answers."""
    install, clone, start = typed()
    seconds = server.type(install)
    client = server.start_engine()
    print("  (the engine started by hand, and base images loaded in place of a registry)")
    with open(bases, "rb") as archive:
        client.images.load(archive)
    own_kit = server.root / "root" / "kit"
    shutil.copytree(Path(kit).parent, own_kit)
    (server.root / "root").chmod(0o755)
    (own_kit / Path(kit).name).chmod(0o644)  # `docker save` lets nobody else read what it writes
    repository = server.root / "root" / "repository.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, repository], check=True)
    seconds += server.type(re.sub(r"https://\S+", "file:///root/repository.git", clone))
    seconds += server.type(start, **SETTINGS)
    since = time.monotonic()
    wait_for(page_answers, 120, "the login page")
    seconds += time.monotonic() - since
    version = client.version()["Version"]
    true("the lines of docs/hub.md lead to the login page", True, f"{seconds:.0f} s, {version}")


def page_answers() -> bool:
    return requests.get(f"{HUB}/hub/login", timeout=10).ok


# --- people -------------------------------------------------------------------------------------


class Person:
    """Somebody with a browser of their own and a password."""

    def __init__(self, name: str):
        self.name, self.password, self.typed = name, f"a long password of {name}", 0
        options = webdriver.ChromeOptions()
        for one in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
            options.add_argument(one)
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.browser = webdriver.Chrome(options=options, service=service)
        self.browser.set_script_timeout(120)

    def wait(self, for_what, seconds: float = PAGE):
        """Wait until `for_what(browser)` is true, through a page that is being replaced."""
        waiting = WebDriverWait(self.browser, seconds, 0.5, [WebDriverException])
        return waiting.until(for_what)

    def fill(self, path: str, **fields: str) -> str:
        """Open a page, type into its form and send it; the text of the page that follows."""
        self.browser.get(HUB + path)
        for name, value in fields.items():
            self.wait(lambda page, name=name: page.find_element(By.NAME, name)).send_keys(value)
        before = self.browser.find_element(By.TAG_NAME, "html")
        self.browser.find_element(By.CSS_SELECTOR, "form [type=submit]").click()
        self.wait(lambda page: page.find_element(By.TAG_NAME, "html") != before)
        return self.browser.find_element(By.TAG_NAME, "body").text

    def sign_up(self) -> str:
        return self.fill(
            "/hub/signup",
            username=self.name,
            signup_password=self.password,
            signup_password_confirmation=self.password,
        )

    def log_in(self) -> str:
        return self.fill("/hub/login", username=self.name, password=self.password)

    def lets_in(self, name: str) -> None:
        """Press the button of somebody who waits for the teacher."""
        self.browser.get(f"{HUB}/hub/authorize")
        self.wait(lambda page: page.find_element(By.CSS_SELECTOR, f"a[href*='/authorize/{name}']"))
        self.browser.find_element(By.CSS_SELECTOR, f"a[href*='/authorize/{name}']").click()

    def types_into_a_terminal(self, line: str, seconds: float) -> None:
        """Type a line into a terminal of JupyterLab, and wait until it has succeeded."""
        self.browser.get(f"{HUB}/user/{self.name}/lab?reset")
        card = ".jp-LauncherCard[data-category=Other][title*='terminal']"
        self.wait(lambda page: page.find_element(By.CSS_SELECTOR, card)).click()
        self.wait(lambda page: page.find_element(By.CSS_SELECTOR, ".jp-Terminal textarea"))
        time.sleep(3)  # for the shell's prompt
        self.typed += 1
        done = f"typed-{self.typed}"
        self.press(f"{line} && touch ~/{done}", Keys.ENTER)
        self.wait(lambda _: self.fetched(done), seconds)

    def open(self, path: str) -> None:
        """Open a notebook in JupyterLab, and wait until its kernel is idle."""
        self.browser.get(f"{HUB}/user/{self.name}/lab/tree/{path}?reset")
        self.wait(lambda page: page.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell"))
        self.wait(lambda page: "Idle" in page.find_element(By.ID, "jp-main-statusbar").text)
        self.browser.find_element(By.CSS_SELECTOR, ".jp-Notebook .jp-MarkdownOutput").click()

    def choose(self, menu: str, entry: str) -> None:
        """Choose an entry of JupyterLab's menus by what it says."""
        bar = f"//div[contains(@class,'lm-MenuBar-itemLabel')][text()='{menu}']"
        self.browser.find_element(By.XPATH, bar).click()
        said = f"//div[contains(@class,'lm-Menu-itemLabel')][normalize-space()='{entry}']"
        self.wait(lambda page: page.find_element(By.XPATH, said)).click()

    def press(self, *keys: str) -> None:
        ActionChains(self.browser).send_keys(*keys).perform()

    def press_with(self, modifier: str, key: str) -> None:
        ActionChains(self.browser).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def runs_all(self, path: str) -> list[dict]:
        """Run all cells of the notebook that is open; the code cells, as saved afterwards."""
        self.choose("Edit", "Clear Outputs of All Cells")  # those of the recorded run
        started = self.code_cells(path)
        self.choose("Run", "Run All Cells")
        last = len(started) - 1

        def over(_) -> list[dict]:
            cells = self.code_cells(path)
            failed = any(output_errors(cell) for cell in cells)
            return cells if cells[last]["execution_count"] or failed else []

        return self.wait(over, RUN)

    def runs(self, code: str, path: str, seconds: float) -> dict:
        """Run code in a new cell at the end of the notebook; that cell, as saved afterwards."""
        self.press(Keys.ESCAPE, "b")
        time.sleep(2)  # for the cell
        self.press(Keys.ENTER)
        time.sleep(2)  # for its editor
        # Pasted: the editor would indent lines that are typed one by one, and close their brackets.
        self.browser.execute_cdp_cmd("Input.insertText", {"text": code})
        time.sleep(1)
        self.press_with(Keys.SHIFT, Keys.ENTER)

        def ran(_) -> dict | None:
            found = [c for c in self.code_cells(path) if "".join(c["source"]) == code]
            return found[0] if found and found[0]["execution_count"] else None

        return self.wait(ran, seconds)

    def code_cells(self, path: str) -> list[dict]:
        """Save the notebook that is open, and return its code cells."""
        self.press_with(Keys.CONTROL, "s")
        time.sleep(2)
        cells = self.fetched(path)["content"]["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]

    def fetched(self, path: str) -> dict | None:
        """Return what this person's own server says of a file; None where there is none."""
        return self.browser.execute_async_script(
            "const [path, done] = arguments;"
            "const token = (document.cookie.match(/_xsrf=([^;]+)/) || [])[1];"
            "fetch(path, {headers: {'X-XSRFToken': token}})"
            ".then(r => r.ok ? r.json() : null).then(done, () => done(null))",
            f"/user/{self.name}/api/contents/{path}",
        )


def output_errors(cell: dict) -> list[str]:
    """Return the errors below a cell."""
    found = [one for one in cell["outputs"] if one["output_type"] == "error"]
    return [f"{one['ename']}: {one['evalue']}" for one in found]


def text_of(cell: dict) -> str:
    """Return what stands below a cell, as text."""
    shown = [
        one.get("text") or one.get("data", {}).get("text/plain", "") for one in cell["outputs"]
    ]
    return "\n".join("".join(one) for one in shown)


# --- a class ------------------------------------------------------------------------------------


def finishes(person: Person) -> dict:
    """Have one learner do lesson 01 from the first cell to both exercises; what was seen."""
    since = time.monotonic()
    person.log_in()
    person.types_into_a_terminal("docker load --input /kit/bases.tar", LOADED)
    person.open(LESSON)
    cells = person.runs_all(LESSON)
    seen = {
        "cells": len(cells),
        "ran": sum(bool(cell["execution_count"]) for cell in cells),
        "errors": [one for cell in cells for one in output_errors(cell)],
        "claims": sum(text_of(cell).count("✓") for cell in cells),
        "solved": [],
    }
    for exercise in EXERCISES:
        code = (
            f"text = {right_answer(exercise)!r}\n"
            'mine = build(client, "go/multi", text=text, name="go/mine")\n'
            f'check(client, "{exercise}", mine)'
        )
        cell = person.runs(code, LESSON, RUN)
        seen["errors"] += output_errors(cell)
        seen["solved"] += [exercise] * (not output_errors(cell))
    person.types_into_a_terminal(
        f"cd ~/ship-light && ./lab progress --export ~/class --as {person.name}", PAGE
    )
    return seen | {"seconds": round(time.monotonic() - since)}


def right_answer(exercise: str) -> str:
    """Return the text of an exercise's first solution."""
    folder = ROOT / "shiplight" / "lessons" / "exercises" / "solutions"
    return sorted(folder.glob(f"{exercise}*.Dockerfile"))[0].read_text(encoding="utf-8")


def inside(bases: str, kit: str, pictures: str = "") -> int:
    """Do everything, in the server's network; the exit code."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with bare_server() as server:
        set_up(server, bases, kit)
        teacher, *learners = map(Person, ("teacher", *LEARNERS))
        try:
            in_class(teacher, learners)
            seeing(server)
        finally:
            for person in (teacher, *learners):
                if pictures:
                    person.browser.save_screenshot(str(Path(pictures, f"{person.name}.png")))
                person.browser.quit()
    return 0


def in_class(teacher: Person, learners: list[Person]) -> None:
    """Sign up, be let in, and finish the lesson, everybody at the same time."""
    teacher.sign_up()
    teacher.log_in()
    for learner in learners:
        learner.sign_up()
    said = learners[0].log_in()
    true("nobody gets in before the teacher lets them in", "not" in said.lower(), said[:150])
    for learner in learners:
        teacher.lets_in(learner.name)
    with ThreadPoolExecutor(len(learners)) as pool:
        seen = list(pool.map(finishes, learners))
    for learner, found in zip(learners, seen, strict=True):
        ran = f"{found['ran']} of {found['cells']} cells, {found['claims']} claims"
        whole = found["ran"] == found["cells"] and not found["errors"]
        what = found["errors"] or f"{ran}, {found['seconds']} s"
        true(f"{learner.name} runs lesson 01 in a browser, without an error", whole, what)
        solved = tuple(found["solved"]) == EXERCISES
        true(f"and {learner.name}'s answers are accepted", solved, ", ".join(found["solved"]))


def seeing(server: Server) -> None:
    """See the class from the server, as docs/hub.md says."""
    text = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
    asked = text.partition("On the server, the teacher")[2]
    install, look = re.findall(r"(?m)^    (\S.*)$", asked)[:2]
    server.type(install)
    server.type(f"{look.replace(' --follow', '')} --names --json >/root/class.json")
    seen = json.loads((server.root / "root" / "class.json").read_text(encoding="utf-8"))
    solved = {one["name"]: one["solved"] for one in seen["learners"]}
    right = set(solved) == set(LEARNERS) and not seen["refused"]
    true("the teacher sees each of them in the class", right, solved)


def on_a_network_of_its_own(arguments: list[str]) -> int:
    """Run this script again in a network namespace that reaches package registries."""
    waiting = 'echo ready; read -r network; exec "$@"'
    own = ["unshare", "--net", "bash", "-c", waiting, "server", sys.executable, __file__]
    process = subprocess.Popen(
        [*own, "--inside", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        text=True,
    )
    try:
        process.stdout.readline()
        return in_its_network(process, str(process.pid))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        sys.exit(inside(*sys.argv[2:]))
    sys.exit(on_a_network_of_its_own(given_paths()))
