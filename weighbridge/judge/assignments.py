"""Which contract promises what of which node: the fold of contract and assignment entries into promises.

A version of a contract is judged from its entry's `from_us` to that of the next version or the end of the term. An
amendment never takes effect before it was added, so no interval is judged by terms that came later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from weighbridge.contract import Contract, Resource, load, loaded
from weighbridge.contract.condition import REACHABLE, asks_for
from weighbridge.judge.checks import Promise
from weighbridge.judge.slot_history import Holder, SlotHistory
from weighbridge.log.entries import Assignment, ContractAdded

MAX_SKEW_US = 2_000_000


@dataclass(frozen=True, slots=True)
class Version:
    """One version and the time in which it is judged: [from_us, until_us)."""

    contract: Contract
    text: str
    from_us: int
    until_us: int


class AssignmentError(ValueError):
    """This contract or assignment does not fit what is there. The message says why."""


WITHDRAWN_WITHIN_US = 86_400 * 1_000_000
"""After the instant from which a contract is judged: from then on it is no mistake that nobody noticed."""


@dataclass(slots=True)
class Assignments:
    """All contracts and what is assigned to them."""

    _versions: dict[str, list[Version]] = field(default_factory=dict)
    _assignments: dict[str, dict[str, Assignment]] = field(default_factory=dict)
    _nodes: dict[str, dict[str, Assignment]] = field(default_factory=dict)
    _histories: dict[str, SlotHistory] = field(default_factory=dict)
    _promises: dict[str, list[Promise]] = field(default_factory=dict)

    def check_addition(self, added: ContractAdded, now_us: int) -> Contract:
        """The contract of an entry that may be appended at `now_us`. Raises ContractError or AssignmentError."""
        contract = load(added.text)
        known = self._versions.get(contract.contract_id, [])
        if (added.contract, added.version) != (contract.contract_id, contract.version):
            raise AssignmentError("the entry and the file name different contracts or versions")
        if not known:
            if contract.supersedes is not None:
                raise AssignmentError(
                    f"version {contract.supersedes}, which it supersedes, is not here"
                )
            return contract
        newest = known[-1].contract
        if contract.version <= newest.version or contract.supersedes != newest.version:
            raise AssignmentError(
                f"{contract.contract_id} has version {newest.version}, and an amendment must supersede it: "
                f"version: {newest.version + 1}, supersedes: {newest.version}"
            )
        if contract.effective_us < now_us:
            raise AssignmentError("an amendment may not take effect before it is added")
        if [resource.id for resource in newest.resources] != [
            resource.id for resource in contract.resources
        ]:
            raise AssignmentError("an amendment keeps the resources; their terms may change")
        return contract

    def withdrawal(self, contract: str, reason: str, now_us: int) -> ContractAdded:
        """The entry that withdraws a contract which served nobody. Raises AssignmentError.

        What was promised and not delivered for a day is no mistake any more: somebody may owe for it.
        """
        versions = self._versions.get(contract)
        if not versions:
            raise AssignmentError(f"no contract {contract}")
        if contract in self._histories:
            raise AssignmentError(f"{contract} has had nodes: end it by a notice or an amendment")
        if now_us >= versions[0].from_us + WITHDRAWN_WITHIN_US:
            raise AssignmentError(
                f"{contract} has been judged for a day: end it by a notice or an amendment"
            )
        newest = versions[-1]
        return ContractAdded(
            contract=contract,
            version=newest.contract.version,
            text=newest.text,
            from_us=now_us,
            withdrawn=reason,
        )

    def add(self, added: ContractAdded) -> None:
        """Fold an entry that `check_addition` let pass, or a withdrawal."""
        self._promises.clear()
        if added.withdrawn is not None:
            self._versions.pop(added.contract, None)
            return
        contract = loaded(added.text)
        from_us = max(added.from_us, contract.effective_us, contract.term.start_us)
        versions = self._versions.setdefault(contract.contract_id, [])
        if versions:
            last = versions[-1]
            versions[-1] = Version(last.contract, last.text, last.from_us, from_us)
        versions.append(Version(contract, added.text, from_us, contract.term.end_us))

    def assign(self, assignment: Assignment, at_us: int) -> None:
        """Fold an assignment that was received at a tick; a later one of the same contract and node replaces it, or
        releases the node."""
        self._histories.setdefault(assignment.contract, SlotHistory()).assign(assignment, at_us)
        of_node = self._assignments.setdefault(assignment.node, {})
        of_contract = self._nodes.setdefault(assignment.contract, {})
        if assignment.releases:
            of_node.pop(assignment.contract, None)
            of_contract.pop(assignment.node, None)
        else:
            of_node[assignment.contract] = of_contract[assignment.node] = assignment
        self._promises.clear()

    def resource(self, contract: str, name: str | None) -> Resource:
        """The resource that an assignment names, or the only one there is. Raises AssignmentError."""
        versions = self._versions.get(contract)
        if versions is None:
            raise AssignmentError(f"no contract {contract}")
        resources = versions[-1].contract.resources
        if name is None and len(resources) == 1:
            return resources[0]
        for resource in resources:
            if resource.id == name:
                return resource
        known = ", ".join(resource.id for resource in resources)
        raise AssignmentError(f"name one of the resources of {contract}: {known}")

    def promises(self, node: str) -> Sequence[Promise]:
        """What is promised of a node, by contract and version."""
        known = self._promises.get(node)
        if known is None:
            known = self._promises[node] = self._promised(node)
        return known

    def _promised(self, node: str) -> list[Promise]:
        return [
            _promise(version, assignment)
            for contract, assignment in sorted(self._assignments.get(node, {}).items())
            for version in self._versions.get(contract, [])
        ]

    def versions(self, contract: str) -> Sequence[Version]:
        """Every version of a contract, the newest last; empty for one not known."""
        return self._versions.get(contract, [])

    def contracts(self, now_us: int) -> Mapping[str, Version]:
        """The version of every contract that is in force; its first where none is yet, its last after the term."""
        return {name: in_force(versions, now_us) for name, versions in self._versions.items()}

    def names(self) -> list[str]:
        """Those of `contracts`, without looking at any."""
        return list(self._versions)

    def nodes(self, contract: str) -> Mapping[str, Assignment]:
        """The assignments of one contract by node, in the order in which the nodes were first assigned, as they are
        whenever it is read."""
        return MappingProxyType(self._nodes.get(contract, {}))

    def leased(self, contract: str, node: str, at_us: int) -> Sequence[Resource] | None:
        """The line item that a node is assigned to, as it was agreed on at an instant; all, of one that is not; None of
        a contract that is not known.
        """
        versions = self._versions.get(contract)
        if versions is None:
            return None
        assigned = self._assignments.get(node, {}).get(contract)
        name = None if assigned is None else assigned.resource
        agreed = in_force(versions, at_us).contract.resources
        return [item for item in agreed if name in (None, item.id)]

    def holders(self, contract: str, start_us: int, end_us: int) -> list[Holder]:
        """Who held its places over [start_us, end_us)."""
        return list(self._histories.get(contract, SlotHistory()).over(start_us, end_us))


def in_force(versions: Sequence[Version], now_us: int) -> Version:
    """Of one contract, at an instant: its first where none is yet, its last after the term."""
    begun = [version for version in versions if version.from_us <= now_us]
    return begun[-1] if begun else versions[0]


def _promise(version: Version, assignment: Assignment) -> Promise:
    contract = version.contract
    resources = {resource.id: resource for resource in contract.resources}
    return Promise(
        contract=contract.contract_id,
        version=contract.version,
        resource=resources[assignment.resource] if assignment.resource else contract.resources[0],
        devices=None if assignment.devices is None else frozenset(assignment.devices),
        from_us=version.from_us,
        until_us=version.until_us,
        interval_us=contract.sampling.interval_us,
        max_gap_us=contract.sampling.max_gap_us,
        heard_within_us=contract.sampling.heard_within_us,
        max_skew_us=MAX_SKEW_US,
        least_coverage=contract.evidence.least_coverage,
        witnesses=frozenset(contract.evidence.witnesses),
        quorum=contract.evidence.witness_quorum,
        cadence_us=contract.sampling.cadence_us,
        reachable=any(asks_for(one.up_when, REACHABLE) for one in contract.availability),
    )
