"""Commands that only ask load no framework: they start in a fraction of a second on a busy machine too."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stage import environment

SLOW = "pydantic, aiohttp, asyncio, sqlalchemy, msgspec, cryptography, weighbridge.contract"
RUN = """
import sys
from {module}.__main__ import main
try:
    main({words})
except SystemExit as end:
    loaded = {{name for name in sys.modules if name in {slow!r}.split(", ")}}
    print(end.code, *sorted(loaded))
"""


@pytest.mark.parametrize(
    ("module", "words", "code"),
    [
        ("collector", ["status", "--url", "https://127.0.0.1:1"], 2),
        ("agent", ["status", "--runtime-directory", "nowhere"], 1),
    ],
)
def test_status_loads_no_framework(module: str, words: list[str], code: int) -> None:
    script = RUN.format(module=module, words=words, slow=SLOW)
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), cwd=Path(__file__).parents[1]
    )
    assert done.stdout == f"{code}\n", done.stderr
