"""A contract from its file, and back."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from weighbridge.contract.coherence import (
    cautions,
    incoherences,
    unfit_calendars,
    unfit_challenges,
)
from weighbridge.contract.document import ContractDocument, Tree, joined, read
from weighbridge.contract.model import Contract
from weighbridge.contract.money import KIND
from weighbridge.contract.problems import ContractError, ContractProblem
from weighbridge.contract.resources import nearest
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


@dataclass(frozen=True, slots=True)
class Examined:
    """A file as somebody who would agree on it must see it: all that is wrong, and what to beware of, at once.

    `contract` is None where its parts could not be read: what they must keep among each other was not asked then.
    """

    contract: Contract | None
    problems: tuple[ContractProblem, ...]
    warnings: tuple[str, ...]


@lru_cache(maxsize=64)
def load(text: str) -> Contract:
    """The contract in this YAML text. Raises ContractError with everything that is wrong with it.

    This is for whoever would agree on it: `loaded` is for what the log holds.
    """
    found = examined(text)
    if found.contract is None or found.problems:
        raise ContractError(found.problems)
    return found.contract


def examined(text: str) -> Examined:
    """Everything about this text. A key that is not known hides nothing of the rest. Raises ContractError: no YAML."""
    document = read(text)
    contract, wrong = _validated(document, document.tree)
    problems = [*document.problems, *wrong]
    if contract is None:
        return Examined(None, tuple(problems), ())
    for found in (incoherences, unfit_challenges, unfit_calendars, slips):
        problems += _placed(document, "", found(contract))
    return Examined(contract, tuple(problems), tuple(cautions(contract)))


def _validated(
    document: ContractDocument, tree: Tree
) -> tuple[Contract | None, list[ContractProblem]]:
    """What is wrong with the parts, and the contract if that is unknown keys alone."""
    try:
        return Contract.model_validate(tree), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = [problem for one in details for problem in _problems(document, one)]
    places: dict[str, set[object]] = {}
    for one in details:
        if one["type"] == "extra_forbidden":
            places.setdefault(_path(one["loc"][:-1]), set()).add(one["loc"][-1])
    if not places:
        return None, problems
    contract, more = _validated(document, _without(tree, "", places))
    return contract, [*problems, *more]


def _without(tree: Tree, path: str, places: Mapping[str, set[object]]) -> Tree:
    """The tree but for these keys of these places."""
    if isinstance(tree, tuple):
        return tuple(_without(one, joined(path, place), places) for place, one in enumerate(tree))
    if isinstance(tree, str):
        return tree
    gone = places.get(path, set())
    return {
        key: _without(one, joined(path, key), places)
        for key, one in tree.items()
        if key not in gone
    }


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
    kind, given = details["type"], str(details["input"])
    if kind == "literal_error":
        return _one_of(details["ctx"]["expected"], given)
    if kind == "union_tag_invalid":
        tags = details["ctx"]["expected_tags"].replace(KIND, "")
        return _one_of(tags, str(details["ctx"]["tag"]).replace(KIND, ""))
    if kind == "extra_forbidden":
        return REASONS[kind] + nearest(str(details["loc"][-1]), _known_keys(details["loc"]))
    return REASONS.get(kind) or details["msg"].removeprefix("Value error, ")


def _one_of(expected: str, given: str) -> str:
    hint = nearest(given, re.findall("'([^']*)'", expected))
    return f"must be one of {expected}{hint}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the part in which an unknown one stands, in each of its kinds."""
    models: list[type[BaseModel]] = [Contract]
    for step in location[:-1]:
        if not (isinstance(step, int) or step.startswith(KIND)):
            fields = [field for model in models for field in _named(model, str(step))]
            models = [model for field in fields for model in _models(field.annotation)]
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _named(model: type[BaseModel], key: str) -> list[FieldInfo]:
    fields = model.model_fields.items()
    return [field for name, field in fields if key == (field.alias or name)]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model in an annotation, in whatever list, union or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _path(location: tuple[int | str, ...]) -> str:
    """The validator's location as a path of the file: tags of unions and marks on keys are not in the file."""
    path = ""
    for step in location:
        if isinstance(step, int) or not (step.startswith(KIND) or step == "[key]"):
            path = joined(path, step)
    return path
