"""`docs/contract.md`, made from the model: python -m weighbridge.contract.reference > docs/contract.md"""

import sys
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import PlainSerializer
from pydantic.fields import FieldInfo

from weighbridge.contract import scalars
from weighbridge.contract.condition import Condition
from weighbridge.contract.loading import spelled
from weighbridge.contract.model import Contract
from weighbridge.contract.money import NO_CAP, CapOrNone
from weighbridge.contract.terms import Terms, reader_of

HEAD = """\
# The contract file

Made from the model by `python -m weighbridge.contract.reference`; edit the model, not this page.

A contract is YAML in which every scalar is text: `12.50` keeps its digits, and `on` is a word. Duplicate keys, anchors,
aliases, tags and unknown keys are errors. All errors are reported at once, each with its line. `none` is the absence of
an optional value. Money is a decimal number in the contract's currency, a share lies between 0 and 1, a percentage
(`pct`) is out of 100, durations ending in `_s` are seconds, instants are UTC (`2026-05-05T16:00:00Z`). Every key that
has a default may be left out; `weighbridge contract show` prints the contract with all of them.

The last column says who acts by a term: checks that judge it, by the codes of their findings; or a part of the program:
`settlement`, `handover` (delivery note and certificate), `judge` (the fold of reports), `challenges`, `attestation`,
`collector`, or `loading`, where a term is refused or warned of. What it says `describes only` of is kept and shown, and
nobody judges it.

Some terms follow events that the parties tell of:

- `acceptance_signed` (by the lessee), `delivered`, `first_used`: service starts, by `acceptance.billing_starts`.
  Where it starts with acceptance, `deemed_acceptance_days` local days (or working days, by `deemed_acceptance_count`)
  after the day of a delivery accept it at their end, unless the lessee says `acceptance_refused` before.
  Each may name a batch or a node, and starts the service of that alone; `batch_accepted` does so too. Nodes fill the
  batches of their line item, those due first, in the order in which they were assigned. Where units are judged
  together, what is not in service yet counts as up, and, where they are pooled, not at all.
- `test_result`, of a node or a slot, with `probe`, `value` and `version` in its details: a test of `acceptance.tests`.
- `batch_accepted` (by the lessee), `not_delivered`, of a batch: damages for late delivery, and for none. That nothing
  was delivered is open until the side that pays says so too. Damages that accrue (`accrues`) need no event.
- `cancelled`, of a batch or of everything, with `party`, which is who says it, in its details and its notice as
  `since`: damages, and the fee of `early_exit`.
- the `event` of a credit for anomalies or lost work, with its beginning as `since`: open until the provider says so
  too.
- `fault_detected`, `fault_reported` (by the lessee), `fault_confirmed` and `fault_identified` (by the provider,
  operator or owner), of a unit, with `severity` in the details: the clocks of `response` and `repair` start.
- `answered` (by the provider, operator or owner): the clock of a response ends.
- `gpu_replaced`, by either side, with `new`, the UUID, in its details: the service of that device is the slot's own.
  Until somebody says so it is unknown time, with the cause `device_exchanged`.
- `claim_accepted`, `claim_refused` with a `reason`, `credit_paid` and `credit_set_off` with an `amount` (by the
  provider, operator or owner), of a `period`, and of a unit or of all: they stand beside what is owed, and change none
  of it. An accepted claim may name an `amount`: it was accepted in part.
- `fee_paid` of a `period`, `deposit_paid` and `deposit_returned` (by either side), `deposit_taken` with a `reason` (by
  the provider, operator or owner), each with an `amount`, at the instant of the payment: they stand beside what is
  owed. The word of who received it is sure, and that of the other side alone open. What both tell of is one payment: by
  its `reference`, or else by its local day and its amount. Of a `reference` that one side tells of with several days or
  amounts each is a payment, and the first, the second and so on are those of the other side.
- `period_agreed`, by both sides, with the `period` and the `digest` of an issued statement of it: the period is closed
  as that statement has it, and nothing that comes later changes it.
- `statement_objected`, by either side, with the `period`, a `reason` and, where it is against one statement alone, its
  `digest`: silence does not confirm what was issued before it (`confirmation`). Agreement by both sides still does.
- `maintenance_withdrawn` (by the provider, operator or owner), with the `id` of the maintenance: it excludes nothing
  from the receipt of that word on, and where it had not begun by then, it never was.
- `gpu_replaced`, and by the provider, operator or owner `hardware_replaced`, `burn_in_passed`, `restored`,
  `spare_swapped`: the clock of a repair ends.
"""

SCALARS: Mapping[Any, str] = {
    scalars.Text: "text",
    scalars.Name: "name",
    scalars.Integer: "whole number",
    scalars.Whole: "whole number from 0",
    scalars.Count: "whole number from 1",
    scalars.Switch: "`true` or `false`",
    scalars.Ratio: "exact number",
    scalars.Share: "share",
    scalars.Target: "share above 0",
    scalars.Amount: "amount",
    scalars.Micros: "seconds",
    scalars.Instant: "instant",
    scalars.Day: "date",
    scalars.Zone: "time zone",
    scalars.Calendar: "calendar",
    scalars.Currency: "currency",
    scalars.Digest: "SHA-256",
    CapOrNone: "[Cap](#cap) or `none`",
    Condition: "condition of states",
}


def reference() -> str:
    """The page, with one table for each part of the model."""
    return "\n".join([HEAD, *(line for part in parts() for line in _section(part))])


def parts() -> Iterator[type[Terms]]:
    """Every part of the model once, the contract first."""
    return _parts(Contract, set())


def _parts(model: type[Terms], seen: set[type[Terms]]) -> Iterator[type[Terms]]:
    """The model and what it refers to, each once, in the order of the fields."""
    seen.add(model)
    yield model
    for hint in get_type_hints(model, include_extras=True).values():
        for inner in _models(hint):
            if inner not in seen:
                yield from _parts(inner, seen)


def _models(hint: Any) -> Iterator[type[Terms]]:
    if isinstance(hint, type) and issubclass(hint, Terms):
        yield hint
    for argument in get_args(hint):
        yield from _models(argument)


def _section(model: type[Terms]) -> Iterator[str]:
    summary = " ".join((model.__doc__ or "").split())
    yield from (
        f"## {model.__name__}",
        "",
        summary,
        "",
        "| key | what it is | value | default | read by |",
        "|---|---|---|---|---|",
    )
    hints = get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        value = _kind(hints[name]).replace("|", "\\|")
        told = (field.description or "", value, _default(field, hints[name]), _reader(model, name))
        yield f"| `{field.alias or name}` | {' | '.join(told)} |"
    yield ""


def _reader(model: type[Terms], name: str) -> str:
    reader = reader_of(model, name)
    match reader.kind:
        case "check":
            return ", ".join(f"`{code}`" for code in reader.words)
        case "describes":
            return f"describes only: {reader.words[0]}"
        case "part":
            return reader.words[0]


def _kind(hint: Any) -> str:
    if hint in SCALARS:
        return SCALARS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    if origin in (Union, UnionType):
        return " or ".join(_kind(argument) for argument in arguments)
    if origin is not None:
        return f"{_kind(arguments[0])} to {_kind(arguments[1])}"
    if hint is type(None):
        return "`none`"
    return f"[{hint.__name__}](#{hint.__name__.lower()})"


def _default(field: FieldInfo, hint: Any) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "see there"
    default = field.default
    if default == NO_CAP:
        return "`none`"
    if isinstance(default, Terms):
        return "its defaults"
    if default in ((), {}):
        return "empty"
    return ", ".join(f"`{word}`" for word in _words(default, hint))


def _words(default: Any, hint: Any) -> tuple[str, ...]:
    """The default as the file spells it."""
    if isinstance(default, tuple):
        return default
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, PlainSerializer):
            write: Callable[[Any], str] = mark.func  # type: ignore[assignment]
            return (write(default),)
    return (spelled(default),)


if __name__ == "__main__":
    sys.stdout.write(reference())
