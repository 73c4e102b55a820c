"""A contract asks for cosignatures of both parties: statements say up to which entry they reach, as it was known."""

import pytest

from tests.weighbridge.test_notice_book import CONTRACT, entry
from weighbridge.contract import ContractError, load
from weighbridge.log.checkpoint import Head, log_key, sign_head
from weighbridge.log.cosignature import Cosigner
from weighbridge.log.entries import ContractAdded, CosignedHead, EntryKind
from weighbridge.log.note import KeyKind, read_note
from weighbridge.notices.book import NoticeBook
from weighbridge.wire.signing import Signer

LOG = Signer(bytes(32))
ML_DSA = KeyKind.COSIGNER_ML_DSA_44
PROVIDER, LESSEE = (Cosigner(f"{n}.example/w", ML_DSA, bytes([n]) * 32) for n in (1, 2))
POLICY = f"""\
log {log_key("log", LOG.public_key)}
witness provider {PROVIDER.key}
witness lessee {LESSEE.key}
group both all provider lessee
quorum both
"""


def asking(policy: str) -> str:
    lines = "".join(f"    {line}\n" for line in policy.splitlines())
    return f"{CONTRACT}evidence:\n  cosigned_by: |\n{lines}"


def cosigned(size: int, *by: Cosigner, log: Signer = LOG) -> CosignedHead:
    head: Head = sign_head("log", size, b"r" * 32, log)
    note = read_note(head.note).signed_by([one.line(head, 1) for one in by])
    return CosignedHead(note=str(note))


def told(book: NoticeBook, as_of_us: int) -> list[object]:
    known = book.record("K", as_of_us)
    assert known is not None
    return [(one.code, dict(one.arguments)) for one in known.notes()]


def book_of(text: str, *heads: tuple[int, CosignedHead]) -> NoticeBook:
    book = NoticeBook()
    book.fold(
        entry(0, EntryKind.CONTRACT, ContractAdded(contract="K", version=1, text=text, from_us=0)),
        10,
    )
    for index, (received_us, head) in enumerate(heads, 1):
        book.fold(entry(index, EntryKind.COSIGNED, head), received_us)
    return book


def test_a_statement_says_up_to_which_entry_both_parties_cosigned_as_it_was_known() -> None:
    book = book_of(
        asking(POLICY),
        (20_000_000, cosigned(7, PROVIDER, LESSEE)),
        (30_000_000, cosigned(8, LESSEE)),
        (40_000_000, cosigned(9, PROVIDER, LESSEE, log=Signer(b"k" * 32))),
        (50_000_000, cosigned(11, LESSEE, PROVIDER)),
    )
    assert told(book, 19_999_999) == [("not_cosigned", {})]
    first = ("cosigned", {"entries": 7, "received": "1970-01-01T00:00:20Z"})
    assert told(book, 20_000_000) == [first]
    assert told(book, 49_999_999) == [first]
    last = ("cosigned", {"entries": 11, "received": "1970-01-01T00:00:50Z"})
    assert told(book, 50_000_000) == [last]


def test_nothing_is_said_where_nothing_was_agreed() -> None:
    assert told(book_of(CONTRACT, (20, cosigned(7, PROVIDER, LESSEE))), 100) == []


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("quorum none\n", "names no log"),
        (POLICY.replace("quorum both", "quorum all"), "no witness and no group"),
        (POLICY + "\n\n", ""),
    ],
)
def test_a_policy_that_cannot_be_applied_is_no_term(policy: str, why: str) -> None:
    if not why:
        assert load(asking(policy)).evidence.cosigned_by is not None
        return
    with pytest.raises(ContractError) as error:
        load(asking(policy))
    assert [why in problem.reason for problem in error.value.problems] == [True]
