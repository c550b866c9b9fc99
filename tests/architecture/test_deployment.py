"""What `deploy/` ships: least privilege, and no path that is not there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from dibmg_node.config import load_settings
from dibmg_node.wiring.exposure import check_exposure
from dibmg_node.wiring.role_choice import Role, check_roles
from tests.programs import find_program

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "dibmg.service"
KUBERNETES = ROOT / "deploy" / "kubernetes" / "dibmg.yaml"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
MACHINES: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.machines.yaml").read_text())
BOTH = pytest.mark.parametrize("compose", [COMPOSE, MACHINES], ids=["one machine", "many machines"])


def analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """systemd-analyze on the unit, its program put where there is one here."""
    copied = folder / UNIT.name
    copied.write_text(UNIT.read_text().replace("/opt/dibmg/bin/dibmg", sys.executable))
    command = [find_program("systemd-analyze"), *arguments, str(copied)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def instructions() -> list[tuple[str, str]]:
    """Instruction and arguments of the Dockerfile, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return [(name, rest.strip()) for name, _, rest in pairs]


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    found = analyze(tmp_path, "verify", "--man=no")

    assert (found.returncode, found.stderr) == (0, "")


def test_the_unit_is_exposed_less_than_most_services(tmp_path: Path) -> None:
    # in tenths of systemd's scale, where 10 is unsafe; what is left: network, users of the machine, JIT code
    found = analyze(tmp_path, "security", "--offline=true", "--threshold=15")

    assert found.returncode == 0, found.stdout


def test_the_unit_lets_the_processes_that_touch_pixels_shut_themselves_in(tmp_path: Path) -> None:
    allowed = re.search(r"^SystemCallFilter=(@system-service.*)$", UNIT.read_text(), re.MULTILINE)

    assert allowed is not None
    assert "seccomp" in allowed.group(1).split()


def test_the_image_runs_as_nobody_in_particular() -> None:
    users = [rest for name, rest in instructions() if name == "USER"]

    assert users == ["10001:10001"]
    assert instructions()[-1] == ("CMD", '["up", "--config", "/etc/dibmg/config.toml"]')


def test_what_the_image_copies_is_there_and_reaches_the_builder() -> None:
    copied = [
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    let_through = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()

    assert [one for one in copied if not (ROOT / one).exists()] == []
    assert [one for one in copied if f"!{one}" not in let_through] == []


def test_the_image_installs_by_hash_alone() -> None:
    installs = [
        rest
        for name, line in instructions()
        if name == "RUN"
        for rest in re.findall("pip install ([^&]*)", line)
    ]

    assert installs
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)


def test_the_container_may_write_nowhere_but_where_it_must_and_has_no_privilege() -> None:
    node = COMPOSE["services"]["node"]

    assert node["read_only"] is True
    assert node["cap_drop"] == ["ALL"]
    assert node["security_opt"] == ["no-new-privileges:true"]
    assert node["user"] == "10001:10001"
    assert [one.partition(":")[0] for one in node["tmpfs"]] == ["/tmp"]
    assert [one for one in node["volumes"] if not one.endswith(":ro")] == ["data:/var/lib/dibmg"]


@BOTH
def test_the_containers_ports_are_open_on_this_machine_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert [one for one in ports if not one.startswith("127.0.0.1:")] == []
    assert len(ports) == len(set(ports))


@BOTH
def test_what_compose_names_is_declared_and_what_it_mounts_is_shipped_or_made(
    compose: dict[str, Any],
) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            made = source.startswith("../build/ohif-")
            there = (
                (ROOT / "deploy" / source).exists()
                if source.startswith(".")
                else source in compose["volumes"]
            )
            assert made or there, f"{name}: {volume}"
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert service.get("security_opt") == ["no-new-privileges:true"], name


@BOTH
def test_the_files_of_compose_secrets_are_in_no_repository(compose: dict[str, Any]) -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()

    named = [f"deploy/{one['file'].removeprefix('./')}" for one in compose["secrets"].values()]

    assert [one for one in named if not any(fnmatch(one, pattern) for pattern in ignored)] == []


def check_every_role(nodes: list[list[str]]) -> None:
    """Every role is somebody's; a shadow model is for who wants to compare."""
    roles = [role for one in nodes for role in one]
    assert set(roles) == set(Role) - {Role.SHADOW}
    # what watches a host's own disk and certificates may be everywhere
    assert [role for role in roles if roles.count(role) > 1 and role != Role.SWEEP] == []
    assert all(Role.SWEEP in one for one in nodes if Role.ANALYSIS in one)


def test_the_containers_of_many_machines_have_every_role_and_no_privilege() -> None:
    nodes = {name: one for name, one in MACHINES["services"].items() if "build" in one}

    check_every_role([nodes[name]["command"][-1].split(",") for name in ("front", "worker")])
    assert nodes["worker-gpu"]["command"] == nodes["worker"]["command"]
    for node in nodes.values():
        assert node["read_only"] is True
        assert node["cap_drop"] == ["ALL"]
        assert node["user"] == "10001:10001"
        assert "archive:/archive" in node["volumes"]


def test_the_worker_on_a_gpu_installs_its_own_lock_and_asks_for_one_gpu() -> None:
    worker = MACHINES["services"]["worker-gpu"]

    lock = (ROOT / "requirements" / worker["build"]["args"]["LOCK"]).read_text()
    assert worker["profiles"] == ["gpu"]
    assert re.search(r"^tensorflow==", lock, re.MULTILINE)
    assert re.search(r"^nvidia-cudnn-cu12==", lock, re.MULTILINE)
    assert re.search(r"^psycopg==", lock, re.MULTILINE)
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_the_configuration_of_many_containers_is_valid_and_fits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MACHINES["services"]["front"]["environment"]:
        monkeypatch.setenv(name.removesuffix("_FILE"), "a secret of some length")

    settings = load_settings(ROOT / "deploy" / "container" / "machines.toml")

    check_exposure(settings)
    assert settings.web is not None
    assert {f"127.0.0.1:{port}:{port}" for port in (settings.intake.port, settings.web.port)} == set(
        MACHINES["services"]["front"]["ports"]
    )
    assert urlsplit(settings.broker_url).hostname in MACHINES["services"]
    assert urlsplit(settings.ledger_url).hostname in MACHINES["services"]


def test_the_images_of_others_are_pinned_and_come_with_a_profile_alone() -> None:
    others = {name: one for name, one in COMPOSE["services"].items() if "build" not in one}

    assert [name for name, one in others.items() if not re.search(r":v?\d+\.\d+", one["image"])] == []
    assert {name: one["profiles"] for name, one in others.items()} == {
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
        "orthanc": ["viewer"],
        "ohif": ["viewer"],
    }


def test_the_viewer_of_compose_is_the_one_that_is_tested_and_finds_its_pacs() -> None:
    viewer = (ROOT / "deploy" / "ohif" / "nginx.conf").read_text()
    orthanc = json.loads((ROOT / "deploy" / "orthanc" / "orthanc.json").read_text())
    version = re.search(r"^OHIF_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert version is not None
    assert f"../build/ohif-{version[1]}:/usr/share/nginx/html:ro" in COMPOSE["services"]["ohif"]["volumes"]
    assert "http://orthanc:8042" in viewer
    assert orthanc["DicomModalities"]["node"]["AET"] == "DIBMG"
    assert orthanc["DicomAet"] == "ORTHANC"


def test_the_containers_configuration_is_valid_and_fits_its_volumes() -> None:
    settings = load_settings(ROOT / "deploy" / "container" / "config.toml")

    assert settings.data_dir == Path("/var/lib/dibmg")
    assert settings.web is not None
    assert {f"127.0.0.1:{port}:{port}" for port in (settings.intake.port, settings.web.port)} == set(
        COMPOSE["services"]["node"]["ports"]
    )


def test_the_container_comes_up_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIBMG_STOW_TOKEN", "secret")

    check_exposure(load_settings(ROOT / "deploy" / "container" / "config.toml"))


def test_kubernetes_takes_the_example_as_it_stands() -> None:
    manifests = list(yaml.safe_load_all(KUBERNETES.read_text()))

    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.31", strict=True)

    assert len(manifests) == 8


def test_the_example_for_kubernetes_has_every_role_and_a_valid_configuration(tmp_path: Path) -> None:
    manifests = list(yaml.safe_load_all(KUBERNETES.read_text()))
    path = tmp_path / "config.toml"
    path.write_text(next(one for one in manifests if one["kind"] == "ConfigMap")["data"]["config.toml"])
    nodes = [one for one in manifests if one["kind"] == "StatefulSet"]
    containers = [one["spec"]["template"]["spec"]["containers"][0] for one in nodes]
    roles = [container["args"][2].split(",") for container in containers]

    for some in roles:
        check_roles(load_settings(path).with_roles(some))

    check_every_role(roles)
    assert all(one["securityContext"]["readOnlyRootFilesystem"] for one in containers)


def test_systemd_finds_nothing_wrong_with_the_unit_of_a_worker(tmp_path: Path) -> None:
    dropin = UNIT.parent / "dibmg.service.d" / "worker.conf"
    (tmp_path / "dibmg.service.d").mkdir()
    (tmp_path / "dibmg.service.d" / "worker.conf").write_text(
        dropin.read_text().replace("/opt/dibmg/bin/dibmg", sys.executable)
    )

    found = analyze(tmp_path, "verify", "--man=no")

    assert (found.returncode, found.stderr) == (0, "")


def test_the_worked_example_of_many_machines_is_a_valid_configuration(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "many-machines.md").read_text()
    path = tmp_path / "config.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])

    settings = load_settings(path)

    check_roles(settings)
    check_roles(settings.with_roles(["analysis"]))
