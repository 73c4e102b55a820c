"""What is said about a file that is no contract."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ContractProblem:
    """One thing wrong with a contract file: line (from 1), path (`resources[0].per_node`) and reason."""

    line: int
    path: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"line {self.line}: {where}{self.reason}"


class ContractError(ValueError):
    """The file is no contract. `problems` lists every reason, in the order of the lines."""

    problems: tuple[ContractProblem, ...]

    def __init__(self, problems: Iterable[ContractProblem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
