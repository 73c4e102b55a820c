"""A refusal is told in the reader's language, and loses nothing of what it names."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import collector
from collector.web.notice_forms import said_wrong
from collector.web.page_words_refusals import REFUSALS, SENTENCES
from collector.web.refusals import reason_in
from tests.collector.view.test_web import BROWSER, Client
from weighbridge.notices.rules import NoticeError
from weighbridge.wire.problems import PROBLEMS

ROOT = Path(collector.__file__).parent
REFUSING = {
    "Problem": 1,
    "StatementError": 0,
    "RefusedLoginError": 0,
    "HandoverError": 0,
    "SettlingError": 0,
}
"""What is raised, and which of its arguments says why."""

BESIDE_PAGES = (
    "api/access.py",
    "api/bodies.py",
    "api/forms.py",
    "api/openid.py",
    "api/patience.py",
    "api/routes.py",
    "api/sessions.py",
    "documents/handover.py",
    "documents/handover_process.py",
    "judging/preview.py",
    "judging/settler.py",
    "judging/statements.py",
)
"""Modules that refuse in a page's stead."""

FRAME = "原因（采集端英文原文）："


def sentences() -> Iterator[tuple[str, list[str]]]:
    """Every reason that stands in these modules, with something in each of its places; and what that is."""
    for file in (*sorted((ROOT / "web").glob("*.py")), *(ROOT / one for one in BESIDE_PAGES)):
        module = ast.parse(file.read_text())
        texts = dict(assigned(module))
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                at = REFUSING.get(node.func.id)
                if at is not None and len(node.args) > at:
                    yield from spelled(node.args[at], texts)


def assigned(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """What has a name there, and its name."""
    for node in ast.walk(module):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case _:
                pass


def spelled(reason: ast.expr, texts: Mapping[str, ast.expr]) -> Iterator[tuple[str, list[str]]]:
    """Of text that stands there, or has a name in its module; what is put together elsewhere is in SAID."""
    match reason:
        case ast.Name(id=name) if name in texts:
            yield from spelled(texts[name], {})
        case ast.Constant(value=str(text)):
            yield text, []
        case ast.JoinedStr(values=parts):
            named = [
                f"N{at}x" for at, one in enumerate(parts) if isinstance(one, ast.FormattedValue)
            ]
            filled = iter(named)
            yield (
                "".join(
                    str(one.value) if isinstance(one, ast.Constant) else next(filled)
                    for one in parts
                ),
                named,
            )
        case _:
            pass


SAID = [
    ("'2026-x' is no period such as 2026-10, 2026-Q4, 2026 or 2026-10-05", ["'2026-x'"]),
    ("no month of this contract starts on '2026-10-06'", ["'2026-10-06'"]),
    ("2026-10 is incomplete, and part of 2026-11", ["2026-10", "2026-11"]),
    (
        "as of 2026-10-01T00:00:00Z there was no contract lease yet: ask as of a later instant",
        ["lease"],
    ),
    ("'now' is not an instant such as 2026-11-08T00:00:00Z", ["'now'"]),
    ("from and until are needed: instants of the window", []),
    ("period is missing: a month such as 2026-10", []),
    ("nothing can be stored: disk full: no such contract", ["disk full: no such contract"]),
]
"""Reasons that are put together elsewhere."""


@pytest.mark.parametrize(("detail", "named"), [*sentences(), *SAID])
def test_what_pages_refuse_is_told_in_chinese_with_every_name(
    detail: str, named: list[str]
) -> None:
    told = reason_in(detail, "zh")
    assert FRAME not in told, "add the sentence to SENTENCES"
    assert [one for one in named if one not in told] == []
    assert reason_in(detail, "en") == detail


def test_any_other_reason_stands_word_for_word_in_a_chinese_frame() -> None:
    assert reason_in("shelf 7 {of} n1 is on fire", "zh") == f"{FRAME}shelf 7 {{of}} n1 is on fire"


def test_every_kind_of_refusal_has_a_title_and_every_sentence_all_its_places() -> None:
    assert {f"refused.{code}" for code in PROBLEMS} <= set(REFUSALS)
    assert [word for word in SENTENCES if word.en.count("{}") != word.zh.count("{}")] == []


async def test_a_chinese_page_refuses_in_chinese(client: Client) -> None:
    for path, said in (
        ("/contracts/none?lang=zh", "没有合同 none"),
        ("/nowhere?lang=zh", "没有该页面"),
        ("/?sort=moon&lang=zh", "sort 须为以下之一"),
        ("/contracts/alpha?lang=zh&limit=x", "limit 须为 1 至 1000 的整数"),
    ):
        async with client.get(path, headers=BROWSER) as response:
            text = await response.text()
        assert f"<p>{said}" in text, path


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            NoticeError("not_for_role", role="lessee", may="owner or provider"),
            "承租方.*所有权人 / 出租方",
        ),
        (NoticeError("missing", event="e", missing="reason and amount"), "理由 / 金额：必填"),
        (
            NoticeError("no_period", why="no year of this contract starts on '2026'"),
            "没有自 '2026' 起",
        ),
        (NoticeError("no_cause", named="moon", known="fire"), "moon；可选：fire"),
    ],
)
def test_what_is_wrong_with_a_form_is_chinese_to_the_last_word(
    error: NoticeError, said: str
) -> None:
    assert re.search(said, said_wrong(error, "zh"))
