"""The Kubernetes manifests, against the published schemas, and what they must and must not give."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from weighbridge import __version__

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy/kubernetes/base"
CHART = ROOT / "deploy/kubernetes/chart"
CONTAINERFILE = (ROOT / "deploy/Containerfile").read_text()
VERSIONS = ("1.30", "1.34", "1.37")


def manifests() -> Iterator[dict[str, Any]]:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    for name in listed:
        yield from yaml.safe_load_all((BASE / name).read_text())


def pods() -> dict[str, dict[str, Any]]:
    """By the name of what makes them."""
    made = [one for one in manifests() if one["kind"] in ("DaemonSet", "StatefulSet")]
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in made}


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["initContainers"], *pod["containers"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_what_the_published_schemas_say(version: str) -> None:
    for manifest in manifests():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_key_that_no_schema_has_is_noticed() -> None:
    (agent,) = [one for one in manifests() if one["kind"] == "DaemonSet"]
    agent["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(agent, VERSIONS[0], strict=True)


def test_every_file_of_the_base_is_in_it() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in BASE.iterdir()}


def rendered(program: str, *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What a program makes of the manifests, by kind and name."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here (scripts/test unpacks it on x86-64)")
    done = subprocess.run([program, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in made}


def chart(*words: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What Helm makes of the chart."""
    return rendered("helm", "template", "weighbridge", str(CHART), *words)


def images(made: dict[tuple[str, str], dict[str, Any]]) -> set[str]:
    return set(re.findall(r"'image': '([^']+)'", str(made)))


def test_the_base_renders() -> None:
    assert images(rendered("kubectl", "kustomize", str(BASE))) == {
        "registry.example/weighbridge-agent:0.1.0",
        "registry.example/weighbridge-collector:0.1.0",
    }


def test_the_chart_says_what_the_base_says_but_for_its_labels_and_the_namespace() -> None:
    base, made = rendered("kubectl", "kustomize", str(BASE)), chart("--namespace=weighbridge")
    del base["Namespace", "weighbridge"]
    for one in (*base.values(), *made.values()):
        assert one["metadata"].pop("labels")["app.kubernetes.io/part-of"] == "weighbridge"
    assert made == base


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_chart_makes_is_what_the_published_schemas_say(version: str) -> None:
    for manifest in chart().values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_release_has_its_own_images_namespace_class_and_pods() -> None:
    made = chart(
        "--namespace=leases",
        "--set=images.registry=registry.internal,images.tag=v2",
        "--set=collector.storage.storageClassName=fast,collector.service.type=LoadBalancer",
        "--set-json=agent.pod.securityContext.supplementalGroups=[101]",
    )
    assert images(made) == {
        "registry.internal/weighbridge-agent:v2",
        "registry.internal/weighbridge-collector:v2",
    }
    assert {one["metadata"]["namespace"] for one in made.values()} == {"leases"}
    collector = made["StatefulSet", "weighbridge-collector"]["spec"]
    assert "https://weighbridge-collector.leases.svc:8470" in str(collector)
    (claim,) = collector["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"] == {"requests": {"storage": "100Gi"}}
    assert made["Service", "weighbridge-collector"]["spec"]["type"] == "LoadBalancer"
    assert "type" not in made["Service", "weighbridge-collector-pods"]["spec"]
    pod = made["DaemonSet", "weighbridge-agent"]["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "supplementalGroups": [101],
    }


def test_helm_finds_nothing_amiss_and_a_value_that_is_none_is_refused() -> None:
    assert rendered("helm", "lint", "--strict", "--quiet", str(CHART)) == {}
    words = ["helm", "template", str(CHART), "--set=collector.storge.storageClassName=fast"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, "'storge' not allowed" in done.stderr) == (1, True)


def test_the_chart_is_of_this_version() -> None:
    told = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (told["version"], told["appVersion"]) == (__version__, __version__)


def test_no_secret_lies_in_the_base() -> None:
    assert "Secret" not in {one["kind"] for one in manifests()}


def test_the_agent_sees_what_it_reports_and_may_do_nothing_else() -> None:
    agent = pods()["weighbridge-agent"]
    assert agent["hostPID"]
    assert agent["hostNetwork"]
    seen = {one["hostPath"]["path"] for one in agent["volumes"] if "hostPath" in one}
    assert seen == {
        "/var/lib/weighbridge-agent",
        "/var/log/journal",
        "/run/log/journal",
        "/etc/machine-id",
    }
    (main,) = agent["containers"]
    written = {one["mountPath"] for one in main["volumeMounts"] if not one.get("readOnly")}
    assert written == {"/var/lib/weighbridge-agent", "/run/weighbridge-agent", "/tmp"}


@pytest.mark.parametrize("name", ["weighbridge-agent", "weighbridge-collector"])
def test_a_pod_is_confined_probed_and_knows_its_image(name: str) -> None:
    pod = pods()[name]
    assert (pod["enableServiceLinks"], pod["automountServiceAccountToken"]) == (False, False)
    for container in containers(pod):
        context = container["securityContext"]
        assert container["image"] == name
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
    (main,) = pod["containers"]
    assert {"startupProbe", "livenessProbe"} <= main.keys()
    user = main["securityContext"].get("runAsUser") or pod["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}\n" in CONTAINERFILE


def test_what_the_images_are_made_of_is_there() -> None:
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    locks = re.search(r"lock agent (\w+) && lock collector (\w+)", CONTAINERFILE)
    assert locks is not None
    assert all((ROOT / f"requirements/{name}.txt").exists() for name in locks.groups())
