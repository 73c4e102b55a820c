"""The Debian packages: installed, upgraded, removed and purged on this machine's Debian under a booted systemd.

`scripts/test --debian 12` and `--debian 13` run it in clean roots of those releases.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.systemd.sandbox import Sandbox
from tests.systemd.test_programs import SANDBOX_TARGET, SCRIPT_UNIT

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = 280
pytestmark = pytest.mark.slow

AGENT: Final = """
gone() { for path in "$@"; do if [ -e "$path" ]; then echo "left: $path"; false; fi; done; }
quiet() { DEBIAN_FRONTEND=noninteractive "$@"; }
quiet dpkg --no-triggers --install /result/weighbridge-agent_*-1+*.deb
test "$(stat -c %U:%a /var/lib/weighbridge-agent)" = weighbridge-agent:700
id -nG weighbridge-agent | grep --quiet video
/usr/bin/weighbridge-agent --version
echo 'interval_ms = 2000' >> /etc/weighbridge/agent.toml
touch /var/lib/weighbridge-agent/key
test "$(systemctl is-enabled weighbridge-agent || true)" = disabled
page=$(systemctl show --property=Documentation --value weighbridge-agent)
test -s "${page#file:}"
systemd-analyze verify weighbridge-agent.service weighbridge-probe.socket
zcat /usr/share/man/man1/weighbridge-agent.1.gz | grep --quiet 'weighbridge\\\\-agent check'
bash --norc -c '. /usr/share/bash-completion/completions/weighbridge-agent
  COMP_WORDS=(weighbridge-agent chec) COMP_CWORD=1
  _weighbridge_agent_completion weighbridge-agent; test "${COMPREPLY[0]}" = check'
zsh -fc 'autoload -Uz compinit; compinit -u -D; test "${_comps[weighbridge-agent]}" = _weighbridge-agent'
fish -c 'complete --do-complete "weighbridge-agent chec"' | grep --quiet '^check'
quiet dpkg --no-triggers --install /result/weighbridge-agent_*-2+*.deb
grep --quiet 'interval_ms = 2000' /etc/weighbridge/agent.toml
systemctl enable weighbridge-agent
dpkg --no-triggers --remove weighbridge-agent
gone /usr/lib/weighbridge-agent/bin /usr/bin/weighbridge-agent /usr/lib/systemd/system/weighbridge-agent.service
test "$(systemctl is-enabled weighbridge-agent 2>/dev/null || true)" != enabled
test -e /var/lib/weighbridge-agent/key
test -e /etc/weighbridge/agent.toml
dpkg --no-triggers --purge weighbridge-agent
gone /etc/weighbridge /var/lib/weighbridge-agent /usr/lib/weighbridge-agent /usr/share/doc/weighbridge-agent
echo done >/result/done
"""

COLLECTOR: Final = """
quiet() { DEBIAN_FRONTEND=noninteractive "$@"; }
until_true() { for _ in $(seq 600); do "$@" && return; sleep 0.1; done; false; }
quiet dpkg --no-triggers --install /result/weighbridge-collector_*-1+*.deb
runuser -u weighbridge-collector -- weighbridge init /var/lib/weighbridge-collector
systemctl enable --now weighbridge-collector
started=$(systemctl show --property=MainPID --value weighbridge-collector)
quiet dpkg --no-triggers --install /result/weighbridge-collector_*-2+*.deb
until_true systemctl is-active --quiet weighbridge-collector
test "$(systemctl show --property=MainPID --value weighbridge-collector)" != "$started"
dpkg --no-triggers --purge weighbridge-collector | grep 'The evidence stays'
test -e /var/lib/weighbridge-collector/evidence
test ! -e /usr/lib/weighbridge-collector
test "$(systemctl is-active weighbridge-collector || true)" = inactive
echo done >/result/done
"""


@pytest.fixture(scope="module")
def packages(
    make_environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two revisions of both, of what the tests run with; the second is the first under another number."""
    sites, built = tmp_path_factory.mktemp("sites"), tmp_path_factory.mktemp("packages")
    for program in ("agent", "collector"):
        (site,) = (make_environment(program).parent / "lib").glob("python3*/site-packages")
        (sites / program).symlink_to(site)
    settings = {**os.environ, "SITES": str(sites), "COMPRESSION": "none"}
    command = [str(ROOT / "scripts/package"), str(built)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for package in list(built.glob("*.deb")):
        renumber(package, built / package.name.replace("-1+", "-2+"))
    return built


def renumber(package: Path, target: Path) -> None:
    root = target.with_suffix("")
    subprocess.run(["dpkg-deb", "--raw-extract", package, root], check=True)
    control = root / "DEBIAN/control"
    control.write_text(
        re.sub(r"^(Version: .*)-1\+", r"\1-2+", control.read_text(), flags=re.MULTILINE)
    )
    build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(target)]
    subprocess.run(build, check=True, capture_output=True)


@pytest.mark.parametrize(("name", "script"), [("agent", AGENT), ("collector", COLLECTOR)])
def test_a_package_is_installed_upgraded_removed_and_purged(
    sandbox: Sandbox, packages: Path, name: str, script: str
) -> None:
    (sandbox.files / "usr/lib/sysusers.d/weighbridge.conf").unlink()
    (sandbox.files / "usr/lib/tmpfiles.d/weighbridge.conf").unlink()
    for package in packages.glob(f"weighbridge-{name}_*.deb"):
        shutil.copy(package, sandbox.result)
    sandbox.write("opt/script", script)
    unit = re.sub("TimeoutStartSec=.*", f"TimeoutStartSec={SECONDS}", SCRIPT_UNIT)
    sandbox.write("etc/systemd/system/script.service", unit)
    sandbox.write("etc/systemd/system/sandbox.target", SANDBOX_TARGET)
    printed = sandbox.boot(SECONDS + 20)
    assert sandbox.read("done") == "done\n", "\n".join([printed, sandbox.read("output")])
