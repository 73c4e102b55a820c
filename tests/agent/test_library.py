"""The loaded library is named by what is mapped, not by what a path promises."""

import hashlib
import os
from pathlib import Path

import pytest

from agent.nvml.library import build_id, kernel_module_version, library_facts
from tests.agent.fake_nvml.fixture import FakeDriver
from weighbridge.wire.report import Reason

PID = 42


def root_with(tmp_path: Path, mapped: Path | str, inode: int) -> Path:
    """A root whose procfs says that the process has mapped a file."""
    maps = tmp_path / f"proc/{PID}/maps"
    maps.parent.mkdir(parents=True)
    lines = ["55d0-55d1 r-xp 00000000 00:00 0", f"7f00-7f01 r-xp 00000000 08:01 {inode} {mapped}"]
    maps.write_text("\n".join([*lines, "7f02-7f03 rw-p 00000000 00:00 0 [stack]"]))
    return tmp_path


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "libnvidia-ml.so.580.95.05"
    path.write_bytes(b"not much of a library")
    return path


def test_the_mapped_file_is_measured(tmp_path: Path, library: Path) -> None:
    facts = library_facts(PID, root_with(tmp_path, library, library.stat().st_ino), {})
    assert facts["nvml_library_path"] == str(library)
    assert facts["nvml_library_bytes"] == 21
    assert facts["nvml_library_sha256"] == hashlib.sha256(b"not much of a library").hexdigest()
    assert facts["nvml_library_build_id"] is Reason.NOT_FOUND


def test_a_file_put_in_the_place_of_the_mapped_one_is_not_measured_for_it(
    tmp_path: Path, library: Path
) -> None:
    facts = library_facts(PID, root_with(tmp_path, library, library.stat().st_ino + 1), {})
    assert facts["nvml_library_sha256"] is Reason.CORRUPTED
    assert facts["nvml_library_bytes"] is Reason.CORRUPTED


def test_a_mapped_file_that_was_deleted_is_named_and_not_found(tmp_path: Path) -> None:
    gone = tmp_path / "libnvidia-ml.so.1"
    facts = library_facts(PID, root_with(tmp_path, f"{gone} (deleted)", 7), {})
    assert facts["nvml_library_path"] == str(gone)
    assert facts["nvml_library_sha256"] is Reason.NOT_FOUND


def test_no_library_and_no_process_are_not_found(tmp_path: Path) -> None:
    assert library_facts(PID, tmp_path, {})["nvml_library_path"] is Reason.NOT_FOUND


@pytest.mark.parametrize(
    ("environment", "preload", "expected"),
    [
        ({}, "", 0),
        ({"LD_PRELOAD": "/x.so"}, "", 1),
        ({}, "/x.so\n", 1),
        ({"LD_PRELOAD": ""}, " \n", 0),
    ],
)
def test_a_preloaded_library_is_told_however_it_is_asked_for(
    tmp_path: Path, environment: dict[str, str], preload: str, expected: int
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.preload").write_text(preload)
    assert library_facts(PID, tmp_path, environment)["ld_preload_code"] == expected


def test_what_could_bend_the_sight_of_nvml_is_named_and_never_its_value(tmp_path: Path) -> None:
    bending = {"NVML_MPS_DEVICE_ENUMERATION": "1", "CUDA_VISIBLE_DEVICES": "", "LD_AUDIT": "/x.so"}
    around = {"LD_LIBRARY_PATH": "/lib", "PATH": "/bin", "NVIDIA_VISIBLE_DEVICES": "all"}
    facts = library_facts(PID, tmp_path, bending | around)
    assert (
        facts["nvml_environment_names"]
        == "CUDA_VISIBLE_DEVICES LD_AUDIT NVML_MPS_DEVICE_ENUMERATION"
    )
    assert library_facts(PID, tmp_path, around)["nvml_environment_names"] == "none"


def test_the_kernel_module_tells_its_version(tmp_path: Path) -> None:
    version = tmp_path / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\nGCC version: gcc 12.2.0\n"
    )
    assert kernel_module_version(tmp_path) == "580.95.05"


def test_a_build_id_is_read_from_an_elf_file_and_from_nothing_else(driver: FakeDriver) -> None:
    content = (driver.directory / "libnvidia-ml.so.1").read_bytes()
    found = build_id(content)
    assert found is not None
    assert bytes.fromhex(found) in content
    assert build_id(b"#!/bin/sh\n") is None


def test_the_facts_of_this_very_process_can_be_read() -> None:
    assert library_facts(os.getpid(), Path("/"), {})["nvml_binding_version"] is not Reason.NOT_FOUND
