"""The completion that the programs print, in a real shell."""

import os
import pty
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
IN_BASH = """
{loaded}
COMP_WORDS=({words}) COMP_CWORD={at}
{function} {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

IN_ZSH = """
fpath=(~/functions $fpath)
autoload -Uz compinit && compinit -u -D
typed=("${(@f)$(<typed)}")
zle-line-init() {
  (( $#typed )) || exit 0
  BUFFER=$typed[1] CURSOR=$#BUFFER
  shift typed
  zle complete-word
  print -r -- $BUFFER >>completed
  BUFFER=
  zle accept-line
}
zle -N zle-line-init
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
    loaded = printed(program, "bash")
    script = IN_BASH.format(loaded=loaded, program=program, words=words, at=at, function=function)
    path = {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=path, capture_output=True, text=True)
    assert (sorted(done.stdout.split()), done.stderr) == (sorted(come), "")


@pytest.mark.parametrize(
    ("module", "program"), [("collector", "weighbridge"), ("agent", "weighbridge-agent")]
)
def test_a_package_that_starts_a_module_has_the_same_script(module: str, program: str) -> None:
    command = [sys.executable, "-m", module, "completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout == printed(program, "bash") != ""


@cache
def printed(program: str, shell: str) -> str:
    """The script of a program for a shell."""
    return subprocess.check_output([BIN / program, "completion", shell], text=True)


def write_scripts(shell: str, folder: Path) -> None:
    """The scripts of both programs, where the shell looks for them."""
    folder.mkdir(parents=True)
    for program in ("weighbridge", "weighbridge-agent"):
        name = f"_{program}" if shell == "zsh" else f"{program}.fish"
        (folder / name).write_text(printed(program, shell))


def test_zsh_completes(tmp_path: Path) -> None:
    """At a terminal of its own, one line after the other."""
    write_scripts("zsh", tmp_path / "functions")
    (tmp_path / ".zshrc").write_text(IN_ZSH)
    (tmp_path / "a lease.yaml").touch()
    typed = {
        "weighbridge contract sh": "weighbridge contract show ",
        "weighbridge statement --la": "weighbridge statement --lang ",
        "weighbridge statement --lang z": "weighbridge statement --lang zh ",
        "weighbridge statement --lang=z": "weighbridge statement --lang=zh ",
        "weighbridge contract check a": "weighbridge contract check a\\ lease.yaml ",
        "weighbridge-agent status --w": "weighbridge-agent status --watch ",
        "weighbridge-agent check --contract=a": "weighbridge-agent check --contract=a\\ lease.yaml ",
    }
    (tmp_path / "typed").write_text("".join(f"{line}\n" for line in typed))
    assert shell("zsh", "-d", "-i", home=tmp_path) == 0
    assert (tmp_path / "completed").read_text().splitlines() == list(typed.values())


def test_fish_completes(tmp_path: Path) -> None:
    """Each word with its help, up to the help's own commas."""
    write_scripts("fish", tmp_path / ".config/fish/completions")
    (tmp_path / "a lease.yaml").touch()
    offered = {
        "weighbridge contract sh": ["show\tThe version in force of CONTRACT_ID as..."],
        "weighbridge statement --la": ["--lang\tIn which language."],
        "weighbridge statement --lang z": ["zh"],
        "weighbridge statement --lang=z": ["--lang=zh"],
        "weighbridge contract check a": ["a lease.yaml"],
        "weighbridge-agent status --w": ["--watch\tDraw it anew every two seconds, until ^C."],
        "weighbridge-agent check --contract=a": ["--contract=a lease.yaml"],
    }
    lines = " ".join(f"'{line}'" for line in offered)
    script = f"for line in {lines}; complete -C $line >> offered; echo >> offered; end"
    assert shell("fish", "-c", script, home=tmp_path) == 0
    told = (tmp_path / "offered").read_text().removesuffix("\n\n").split("\n\n")
    assert told == ["\n".join(words) for words in offered.values()]


def shell(*command: str, home: Path) -> int:
    """Run a shell at a terminal; its exit code."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} (Debian: {command[0]}) is not installed")
    seen = {"HOME": str(home), "ZDOTDIR": str(home), "TERM": "dumb"}
    master, terminal = pty.openpty()
    try:
        return subprocess.call(
            command,
            cwd=home,
            env=seen | {"PATH": f"{BIN}:{os.environ['PATH']}"},
            stdin=terminal,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=120,
        )
    finally:
        os.close(master)
        os.close(terminal)
