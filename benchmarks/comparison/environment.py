"""The environment of a peer: its own packages, with the torch of this one."""

import subprocess
import sys
import venv
from pathlib import Path

import torch


def peer_python(folder: Path) -> Path:
    """Return the interpreter of `folder`/.venv, which is made from `folder`/requirements.txt where absent.

    Raises:
        subprocess.CalledProcessError: pip could not install something; it has printed why.
    """
    environment = folder / ".venv"
    python = environment / "bin" / "python"
    requirements = folder / "requirements.txt"
    stamp = environment / ".set-up"
    version = torch.__version__.partition("+")[0]
    wanted = f"torch=={version}\n{requirements.read_text(encoding='utf-8')}"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"making {environment} (about 2 GB, once)", file=sys.stderr)
    venv.create(environment, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"torch=={version}", "--requirement", str(requirements)], check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return python
