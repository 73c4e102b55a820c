"""What a bundle says of itself, as its first member, and the names of the others."""

from typing import Annotated, Literal

from pydantic import Field

from weighbridge.wire.report import Count, Hash, Model, Name, Text

FORMAT: Literal["weighbridge-bundle/1"] = "weighbridge-bundle/1"
DESCRIPTION = "bundle.json"
STATEMENT = "statement.json"
CONTESTED = "contested.json"
LOG = "log/"
CHECKPOINTS = "checkpoints/"
PROOFS = "proofs/"
TIMESTAMPS = "timestamps/"


Standing = Literal["draft", "issued", "issued_otherwise"]


class StatementTold(Model):
    """`standing`: `draft` where none was issued; else of the newest that was, made again as of its instant.

    `issued_otherwise`: the same evidence gives other bytes by now. `entry`: where its digest stands in the log.
    """

    standing: Standing
    digest: Hash
    issued_digest: Hash | None
    entry: Count | None


def standing_of(digest: str, issued_digest: str | None) -> Standing:
    """Of a statement, by the digest of the one that was issued; None: none was."""
    if issued_digest is None:
        return "draft"
    return "issued" if issued_digest == digest else "issued_otherwise"


class Withheld(Model):
    """Reports of a node that are not in the bundle, because the contract did not hold the node then.

    Received in [from_us, until_us).
    """

    node: Name
    from_us: Count
    until_us: Count


class Description(Model):
    """`log_key` is a verifier key as notes name it, `size` that of the head under which all entries are proven.

    `sizes`: of the heads that are in the bundle, rising; `since_us` and `instants`: from when on rows matter to the
    statement, and as of which instants.
    """

    format: Literal["weighbridge-bundle/1"] = FORMAT
    contract: Name
    period: Name
    as_of: Text
    statement: StatementTold
    origin: Text
    log_key: Text
    size: Count
    sizes: list[Count]
    nodes: list[Name]
    withheld: list[Withheld]
    since_us: Annotated[int, Field(strict=True)]
    instants: list[Count]


def log_name(first: int) -> str:
    """Of the piece of the log that begins with this entry."""
    return f"{LOG}{first:012d}.zst"


def checkpoint_name(size: int) -> str:
    """Of the head of this size."""
    return f"{CHECKPOINTS}{size:012d}.txt"


def timestamp_names(size: int) -> tuple[str, str]:
    """Of the text of the head of this size that has a timestamp, and of that: the DER of an RFC 3161 TimeStampResp."""
    return f"{TIMESTAMPS}{size:012d}.txt", f"{TIMESTAMPS}{size:012d}.tsr"


def proof_name(index: int) -> str:
    """Of the proof of this entry."""
    return f"{PROOFS}{index:012d}.tlog-proof"
