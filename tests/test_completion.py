"""The completion that the programs print, in a real shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
IN_BASH = """
eval "$({program} completion bash)"
COMP_WORDS=({words}) COMP_CWORD={at}
{function} {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "come"),
    [
        ("weighbridge sta", ["status", "statement"]),
        ("weighbridge contract sh", ["show"]),
        ("weighbridge statement --la", ["--lang"]),
        ("weighbridge statement --lang z", ["zh"]),
        ("weighbridge-agent re", ["record", "resume"]),
        ("weighbridge-agent status --w", ["--watch"]),
    ],
)
def test_bash_completes(words: str, come: list[str]) -> None:
    program = words.split()[0]
    function = f"_{program.replace('-', '_')}_completion"
    at = len(words.split()) - 1
    script = IN_BASH.format(program=program, words=words, at=at, function=function)
    path = {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=path, capture_output=True, text=True)
    assert (sorted(done.stdout.split()), done.stderr) == (sorted(come), "")


@pytest.mark.parametrize(
    ("module", "program"), [("collector", "weighbridge"), ("agent", "weighbridge-agent")]
)
def test_a_package_that_starts_a_module_has_the_same_script(module: str, program: str) -> None:
    command = [sys.executable, "-m", module, "completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    own = subprocess.run([str(BIN / program), "completion", "bash"], capture_output=True, text=True)
    assert done.stdout == own.stdout != ""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(shell: str) -> None:
    command = [str(BIN / "weighbridge"), "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "_WEIGHBRIDGE_COMPLETE" in done.stdout) == (0, True)
