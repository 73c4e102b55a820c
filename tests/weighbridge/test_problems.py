"""Problem documents: an agent reads the refusal that a collector writes, and nothing else as one."""

import json

import pytest

from weighbridge.wire.problems import PROBLEMS, Problem, read_problem


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_refusal_is_read_as_it_was_meant(code: str) -> None:
    meant = Problem(code, "because", {"expected": 7})
    read = read_problem(meant.status, json.dumps(meant.document()).encode())
    assert (read.code, read.detail, read.members["expected"]) == (code, "because", 7)
    assert (read.permanent, str(read)) == (PROBLEMS[code].permanent, f"{code}: because")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", b"null", b"[" * 100_000, b'{"type":"about:blank"}']
)
def test_an_answer_that_is_no_problem_of_ours_is_its_status(body: bytes) -> None:
    read = read_problem(502, body)
    assert (read.code, read.permanent) == ("status 502", False)


def test_a_code_of_a_newer_collector_is_kept_and_may_pass() -> None:
    read = read_problem(418, b'{"type":"urn:weighbridge:problem:teapot","detail":"short"}')
    assert (str(read), read.permanent) == ("teapot: short", False)
