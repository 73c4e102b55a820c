"""What a contract says of challenges: how often the cards are asked to prove themselves, by which numbers."""

from dataclasses import replace
from fractions import Fraction
from typing import ClassVar, Literal

from weighbridge.catalogue.tables import Sku
from weighbridge.challenge.ceiling import ceiling_flops_per_second
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.sizes import require_deliverable
from weighbridge.challenge.work import (
    LEAST_DEADLINE_MS,
    is_seen,
    longest,
    patient,
    require_work,
    rounds_of,
)
from weighbridge.contract.scalars import Count, Maybe, Share, Switch, Text, Whole
from weighbridge.contract.terms import Reader, Terms, clause, part


class ChallengeTerms(Terms):
    """Proof of compute at times that nobody can foresee. A GPU in use is left alone, and that is no failure."""

    READ_BY: ClassVar[Reader] = part("challenges")

    profile: Literal["f16", "i8"] = clause("Type of the operands of the products.", default="f16")
    size: Count = clause("Rows and columns of each matrix.", default=16384)
    rounds: Maybe[Count] = clause(
        "Products that are computed one after the other; none: as many as take work_s at the rate asked for, or at the"
        " ceiling where none is.",
        default=None,
    )
    work_s: Count = clause("Seconds that the products take at that rate: 10 at least.", default=20)
    allowance_share: Share = clause(
        "By how much of work_s both sides' times may differ before a failure of time is void: a third at most.",
        default=Fraction(1, 20),
    )
    samples: Count = clause("Rows of each GPU that are recomputed.", default=128)
    links: Whole = clause(
        "Windows of each row that take bytes of the product before, so that cards that share a round must exchange"
        " them: 2, 4 or 8; 0: none.",
        default=4,
    )
    check: Literal["recompute", "freivalds"] = clause("How a row is checked.", default="recompute")
    doubt_parts_per_billion: Count = clause(
        "Chance, in parts of 10^9, that a bound is not earned.", default=1_000_000
    )
    deadline_s: Maybe[Count] = clause(
        "Longest time of each step of the exchange; none: 60 s at least, and three times the longest run at the rate"
        " asked for, or six times that at the ceiling.",
        default=None,
    )
    attempts: Count = clause("Most attempts of a series; a failure is repeated.", default=3)
    mean_interval_s: Maybe[Count] = clause(
        "Mean time between two challenges of a node, at random; none: only by hand.", default=86400
    )
    unassessed_in_a_row: Count = clause(
        "So many series of this proof in a row that are not assessed have a consequence, and are found, from the last"
        " of them on.",
        default=5,
    )
    unassessed: Literal["missing", "failed"] = clause(
        "`missing`: each is a probe without an answer, as those before; `failed`: each proved nothing, which is 0.",
        default="missing",
    )
    group: Count = clause(
        "Nodes that are challenged at the same second: the others are drawn from all nodes of the provider that this"
        " collector challenges.",
        default=1,
    )
    subsets: Switch = clause(
        "Whether now one GPU of a node is asked, now some, and now all.", default=True
    )
    longest_times: Count = clause(
        "How often as long as the rounds a challenge may last, drawn each time.", default=2
    )
    at_least_flops_per_second: Whole = clause(
        "Verified rate that each GPU must reach; 0: none is asked for.", default=0
    )
    tiles: Whole = clause("Products that are kept, to show memory.", default=0)
    memory_passes: Whole = clause("Times that all kept products are read back.", default=0)
    memory_samples: Whole = clause("Blocks of each GPU that are recomputed.", default=0)
    ceiling_flops_per_second: Maybe[Count] = clause(
        "Rate of exact products that a card of this class cannot exceed on its fastest exact path; none: from the data"
        " sheet in the SKU table. Less than that is refused when the contract is added; needed with tiles.",
        default=None,
    )
    helper_cards: Maybe[Whole] = clause(
        "Cards that could help to make anew what is not kept; none: the other GPUs of the node.",
        default=None,
    )
    peer_tiles: Whole = clause("Kept products of another GPU that a peer pass reads.", default=0)
    peer_passes: Whole = clause("Times that each GPU reads another one's memory.", default=0)
    peer_samples: Whole = clause("Blocks of those that are recomputed, per GPU.", default=0)
    device_memory_bytes: Whole = clause(
        "What a card of this class cannot hold more than; needed with peer passes.", default=0
    )
    program: Maybe[Text] = clause(
        "SHA-256 of the program that the numbers were measured with, from calibration; none: whichever.",
        default=None,
    )
    at_least_memory_bytes: Whole = clause("Memory that each GPU must show; 0: none.", default=0)
    at_least_memory_bytes_per_second: Whole = clause("Memory bandwidth; 0: none.", default=0)
    at_least_peer_bytes_per_second: Whole = clause(
        "Bandwidth between GPUs, as NVLink has; 0: none.", default=0
    )

    def policy(self, card: Sku | None, gpus: int) -> Policy:
        """The numbers of an exchange with a node of so many of these cards; None: no row knows them.

        What the contract names holds, whatever the table says of the card. Raises PolicyError.
        """
        policy = self._at(self.ceiling_flops_per_second or self._known(card), gpus)
        policy.require_fit(gpus)
        require_deliverable(longest(policy, self.longest_times), gpus)
        require_work(policy)
        require_work(longest(policy, self.longest_times))
        return policy

    def asks(self, asked: Policy, gpus: int) -> bool:
        """Whether a challenge by these numbers was asked as these terms say, for as long as may be drawn.

        Where they name no ceiling, theirs came from the table of cards as it was then, and with it whatever follows
        from a ceiling: the rounds where neither they nor a rate are named, and the deadline where no rate is.
        """
        try:
            own = self._at(self.ceiling_flops_per_second or asked.ceiling_flops_per_second, gpus)
        except PolicyError:
            return False
        within = own.rounds <= asked.rounds <= own.rounds * self.longest_times
        return within and replace(asked, rounds=own.rounds) == own

    def _known(self, card: Sku | None) -> int:
        """The ceiling in the table of cards; 0: it has none."""
        return 0 if card is None else ceiling_flops_per_second(card, self.profile) or 0

    def _at(self, ceiling: int, gpus: int) -> Policy:
        """The numbers under a ceiling. Raises PolicyError."""
        rounds = self.rounds or rounds_of(
            self.size, self.at_least_flops_per_second or ceiling, self.work_s
        )
        policy = Policy(
            profile=self.profile,
            size=self.size,
            rounds=rounds,
            samples=self.samples,
            check=self.check,
            doubt_parts_per_billion=self.doubt_parts_per_billion,
            deadline_ms=LEAST_DEADLINE_MS if self.deadline_s is None else self.deadline_s * 1000,
            stall_allowance_ms=int(self.allowance_share * self.work_s * 1000),
            attempts_allowed=self.attempts,
            tiles=self.tiles,
            memory_passes=self.memory_passes,
            memory_samples=self.memory_samples,
            peer_tiles=self.peer_tiles,
            peer_passes=self.peer_passes,
            peer_samples=self.peer_samples,
            ceiling_flops_per_second=ceiling,
            helper_cards=gpus - 1 if self.helper_cards is None else self.helper_cards,
            device_memory_bytes=self.device_memory_bytes,
            required_flops_per_second=self.at_least_flops_per_second,
            required_memory_bytes=self.at_least_memory_bytes,
            required_memory_bytes_per_second=self.at_least_memory_bytes_per_second,
            required_peer_bytes_per_second=self.at_least_peer_bytes_per_second,
            program=self.program or "",
            links=self.links,
        )
        return patient(policy, self.longest_times) if self.deadline_s is None else policy

    def unfit(self, card: Sku | None, gpus: int) -> str | None:
        """Why a node of so many of these cards could not be challenged by these numbers; None: it can."""
        named, known = self.ceiling_flops_per_second, self._known(card)
        if named is not None and named < known:
            return f"ceiling_flops_per_second {named}: the card can reach {known}"
        try:
            self.policy(card, gpus)
        except PolicyError as error:
            return str(error)
        return None

    def is_seen(self, card: Sku | None, gpus: int, interval_us: int) -> bool:
        """Whether a sample each interval shows the run of these numbers, if there is one."""
        return self.unfit(card, gpus) is not None or is_seen(self.policy(card, gpus), interval_us)
