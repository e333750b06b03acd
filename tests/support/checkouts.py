"""Fresh clones of the work tree, as a new user gets them."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def clone_work_tree(folder: Path) -> None:
    """Copy every file of the work tree that git knows or would add into a new folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def make_bare_python(folder: Path) -> Path:
    """Make a Python without packages in a new folder; return the folder of its programs `python` and `python3`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin"
