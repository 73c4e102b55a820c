"""The page with dcgm-exporter's names, asked of a running agent."""

import re
import urllib.error
import urllib.request

from tests.e2e.paging import free_port
from tests.e2e.stage import Stage, wait_for


def test_an_agent_serves_the_page_and_the_last_xid_of_each_gpu(stage: Stage) -> None:
    collector = stage.serving()
    node, port = stage.node("n1", collector), free_port()
    with node.config.open("a") as file:
        file.write(f'dcgm_listen = "127.0.0.1:{port}"\ndcgm_host_label = "Hostname"\n')
    node.enroll()
    node.start()

    def rows(name: str) -> list[tuple[str, str]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                text = answer.read().decode()
        except urllib.error.URLError:
            return []
        return re.findall(rf'^{name}\{{.*UUID="([^"]+)".*Hostname="n1".*\}} (\S+)$', text, re.M)

    drawn = wait_for(lambda: rows("DCGM_FI_DEV_POWER_USAGE"), "the page")
    assert {uuid for uuid, _ in drawn} == {node.gpu(0), node.gpu(1)}
    assert dict(rows("DCGM_FI_DEV_XID_ERRORS")) == {node.gpu(0): "0", node.gpu(1): "0"}
    node.play("xid 1 31")
    wait_for(lambda: (node.gpu(1), "31") in rows("DCGM_FI_DEV_XID_ERRORS"), "the XID")
    assert (node.gpu(0), "0") in rows("DCGM_FI_DEV_XID_ERRORS")
