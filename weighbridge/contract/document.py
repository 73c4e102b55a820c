"""YAML text to a tree of mappings, lists and text, with the line of every part.

Every scalar stays text. Duplicate keys, anchors, aliases, tags and directives are refused: two readers must never read
one contract two ways. The parser's events are read instead of its nodes, which hide aliases and duplicates.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from weighbridge.contract.problems import ContractError, ContractProblem

LONGEST_TEXT = 1_000_000
DEEPEST = 16

Tree = dict[str, "Tree"] | tuple["Tree", ...] | str


def joined(path: str, step: str | int) -> str:
    """`resources` and 0 give `resources[0]`; then `per_node` gives `resources[0].per_node`."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step


@dataclass
class ContractDocument:
    """The tree of a file, the line of each path in it, and what was wrong with its spelling."""

    tree: Tree = ""
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[ContractProblem] = field(default_factory=list)

    def line(self, path: str) -> int:
        """The line of this path, or of the nearest part around it that is in the file."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 1)


def read(text: str) -> ContractDocument:
    """Raises ContractError where the text is not YAML at all; other problems are collected in the document."""
    if len(text) > LONGEST_TEXT:
        raise ContractError([ContractProblem(1, "", f"longer than {LONGEST_TEXT} characters")])
    try:
        return _Reader(text).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise ContractError([ContractProblem(line, "", f"not YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise ContractError([ContractProblem(1, "", f"not YAML: {error}")]) from None


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return 1 if mark is None else mark.line + 1


class _Reader:
    """Folds the parser's events into a document."""

    def __init__(self, text: str) -> None:
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.document = ContractDocument()

    def read(self) -> ContractDocument:
        next(self.events)
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            raise ContractError([ContractProblem(1, "", "the file is empty")])
        self._refuse_directives(start)
        self.document.tree = self._part(next(self.events), "")
        next(self.events)
        if not isinstance(after := next(self.events), yaml.StreamEndEvent):
            self._refuse(after, "", "a second document; a file holds one contract")
        return self.document

    def _refuse_directives(self, start: yaml.Event) -> None:
        if isinstance(start, yaml.DocumentStartEvent) and (start.version or start.tags):
            self._refuse(start, "", "YAML directives are not allowed")

    def _refuse(self, event: yaml.Event, path: str, reason: str) -> None:
        self.document.problems.append(ContractProblem(_line(event), path, reason))

    def _part(self, event: yaml.Event, path: str) -> Tree:
        self.document.lines.setdefault(path, _line(event))
        if path.count(".") + path.count("[") > DEEPEST:
            raise ContractError([ContractProblem(_line(event), path, "nested too deeply")])
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, path, f"alias *{event.anchor}; write the value out")
            return ""
        self._refuse_marks(event, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return str(event.value) if isinstance(event, yaml.ScalarEvent) else ""

    def _refuse_marks(self, event: yaml.Event, path: str) -> None:
        if getattr(event, "anchor", None) is not None:
            self._refuse(event, path, "anchors are not allowed")
        if getattr(event, "tag", None) is not None:
            self._refuse(event, path, "tags are not allowed")

    def _sequence(self, path: str) -> Tree:
        items: list[Tree] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._part(event, joined(path, len(items))))
        return tuple(items)

    def _mapping(self, path: str) -> Tree:
        entries: dict[str, Tree] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event, path)
            inner = joined(path, key)
            if key in entries:
                self._refuse(event, inner, f"`{key}` is given twice")
            self.document.lines[inner] = _line(event)
            entries[key] = self._part(next(self.events), inner)
        return entries

    def _key(self, event: yaml.Event, path: str) -> str:
        self._refuse_marks(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        raise ContractError([ContractProblem(_line(event), path, "a key must be plain text")])
