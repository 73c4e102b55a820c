"""`status --watch` as a person has it before them: on a terminal of 80 columns, while the collector comes and goes."""

import signal
import subprocess

from tests.e2e.stage import COLLECTOR, DEADLINE_S, Stage, environment
from tests.terminal import COLUMNS, CONTROL, LINES, interrupted, on_terminal


def test_the_picture_is_kept_while_the_collector_is_away_and_ends_with_ctrl_c(stage: Stage) -> None:
    collector = stage.serving()
    mine = environment(WEIGHBRIDGE_CONFIG=str(collector.config))
    with on_terminal([COLLECTOR, "status", "--watch"], mine) as (terminal, process):
        terminal.until(lambda shown: "as of 20" in shown and "lease" in shown, "the picture")
        assert collector.end(signal.SIGTERM) == 0
        gone = terminal.until(lambda shown: "NO ANSWER for " in shown, "that nobody answers")
        assert "no collector serves this store" in gone
        assert "lease" in gone, "the newest picture stays"
        collector.start()
        terminal.until(lambda shown: "NO ANSWER" not in shown, "the collector again")
        assert interrupted(process) == 0
        terminal.read(0)
    assert "Traceback" not in terminal.written
    assert "Aborted" not in terminal.written
    assert terminal.written.count("\x1b[2J") == 1, "to clear the screen each time would flicker"
    for drawn in terminal.written.split("\x1b[H")[1:]:
        lines = CONTROL.sub("", drawn).rstrip("\n\r").split("\n")
        assert len(lines) <= LINES
        assert max(len(line.rstrip("\r")) for line in lines) <= COLUMNS


def test_who_reads_no_further_ends_it_without_a_word(stage: Stage) -> None:
    collector = stage.serving()
    process = subprocess.Popen(
        [COLLECTOR, "status", "--watch", "--config", str(collector.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("as of 20"), "no control sequence goes into a pipe"
    process.stdout.close()
    process.wait(DEADLINE_S)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
