import subprocess
import sys


def test_the_command_line_starts_without_what_only_some_commands_need() -> None:
    """Seconds that every command, and every `--help`, would wait for."""
    code = "import sys, unimol2_tasks.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "deepspeed", "prefect", "matplotlib", "sklearn"} & set(done.stdout.split())
