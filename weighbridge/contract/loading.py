"""A contract from its file, and back."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from weighbridge.contract.coherence import incoherences, unfit_calendars, unfit_challenges
from weighbridge.contract.document import ContractDocument, joined, read
from weighbridge.contract.model import Contract
from weighbridge.contract.money import KIND
from weighbridge.contract.problems import ContractError, ContractProblem
from weighbridge.contract.slips import slips

REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not a known key",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of keys to values",
    "union_tag_not_found": "needs a `kind`",
}


@lru_cache(maxsize=64)
def load(text: str) -> Contract:
    """The contract in this YAML text. Raises ContractError with everything that is wrong with it.

    This is for whoever would agree on it: `loaded` is for what the log holds.
    """
    contract = loaded(text)
    found = (
        *unfit_challenges(contract),
        *unfit_calendars(contract),
        *slips(contract),
    )
    problems = list(_placed(read(text), "", found))
    if problems:
        raise ContractError(problems)
    return contract


@lru_cache(maxsize=64)
def loaded(text: str) -> Contract:
    """The contract of an entry of the log. Raises ContractError.

    Whether its challenges fit the table of cards, what its working days are, and what nobody can have meant, was asked
    when it was entered: a later table, calendar or version of this program undoes no contract.
    Whoever folds the entry loads its text; the text is parsed once for all of them.
    """
    document = read(text)
    problems = list(document.problems)
    contract = None
    try:
        contract = Contract.model_validate(document.tree)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            problems += _problems(document, details)
    else:
        problems += _placed(document, "", incoherences(contract))
    if contract is None or problems:
        raise ContractError(problems)
    return contract


def expanded(contract: Contract) -> dict[str, Any]:
    """The contract as a tree of mappings, lists and text, with every default."""
    tree: dict[str, Any] = spelled(contract.model_dump(by_alias=True))
    return tree


def explain(contract: Contract) -> str:
    """The contract as YAML with every default expanded; loads to an equal contract."""
    return yaml.safe_dump(expanded(contract), sort_keys=False, allow_unicode=True, width=100)


def spelled(part: Any) -> Any:
    """The same tree, with `none` for what is absent and lists for tuples."""
    if isinstance(part, dict):
        return {name: spelled(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [spelled(value) for value in part]
    return "none" if part is None else part


def _problems(document: ContractDocument, details: ErrorDetails) -> Iterator[ContractProblem]:
    path = _path(details["loc"])
    if details["type"] == "default_factory_not_called":
        return
    if details["type"] == "terms":
        yield from _placed(document, path, details["ctx"]["found"])
        return
    yield ContractProblem(document.line(path), path, _reason(details))


def _placed(
    document: ContractDocument, path: str, found: Iterable[tuple[str, str]]
) -> Iterator[ContractProblem]:
    """What a part says is wrong below it, each with its line."""
    for below, reason in found:
        inner = ".".join(step for step in (path, below) if step)
        yield ContractProblem(document.line(inner), inner, reason)


def _reason(details: ErrorDetails) -> str:
    kind = details["type"]
    if kind == "literal_error":
        return f"must be one of {details['ctx']['expected']}"
    if kind == "union_tag_invalid":
        return f"must be one of {details['ctx']['expected_tags'].replace(KIND, '')}"
    return REASONS.get(kind) or details["msg"].removeprefix("Value error, ")


def _path(location: tuple[int | str, ...]) -> str:
    """The validator's location as a path of the file: tags of unions and marks on keys are not in the file."""
    path = ""
    for step in location:
        if isinstance(step, int) or not (step.startswith(KIND) or step == "[key]"):
            path = joined(path, step)
    return path
