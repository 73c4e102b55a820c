"""What is leased: cards, nodes, how they are joined, what they must reach and who may use them."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from weighbridge.catalogue.readings import READING
from weighbridge.catalogue.tables import Sku, skus
from weighbridge.challenge.policy import Policy
from weighbridge.contract.attestation import AttestationTerms
from weighbridge.contract.challenge import ChallengeTerms
from weighbridge.contract.scalars import (
    Amount,
    Count,
    Day,
    Integer,
    Maybe,
    Name,
    Ratio,
    Share,
    Switch,
    Text,
    Whole,
)
from weighbridge.contract.terms import Reader, Terms, checks, clause, describes, key, part
from weighbridge.contract.versions import version_of

MOST_GPUS = 1_000_000
"""Of one line item: each of its slots is judged by itself."""


class Accelerator(Terms):
    """`sku` is a key of the SKU table; what is `none` is not promised beyond what the SKU's row says."""

    sku: Text = clause(
        "The card, by its key in the SKU table.",
        reader=checks("sku_mismatch", "memory_short", "memory_partitioned"),
    )
    form_factor: Maybe[Literal["SXM", "PCIe", "NVL", "superchip"]] = clause(
        "Form factor; `superchip`: on one board with a CPU, as in GB200.",
        reader=checks("sku_mismatch"),
        default=None,
    )
    memory_bytes: Maybe[Count] = clause(
        "Memory of one card, in bytes.",
        reader=checks("memory_short", "memory_partitioned"),
        default=None,
    )
    vendor: Text = clause("Maker of the card.", reader=checks("sku_mismatch"), default="NVIDIA")
    compute_capability: Maybe[Text] = clause(
        "CUDA compute capability, such as 9.0.", reader=checks("sku_mismatch"), default=None
    )


class Interconnect(Terms):
    """How the cards and nodes are joined; `none` is no promise."""

    nvlink_version: Maybe[Count] = clause(
        "Least generation of NVLink.", reader=checks("nvlink_old"), default=None
    )
    nvlink_links: Maybe[Count] = clause(
        "NVLink links that are up, per GPU.", reader=checks("nvlink_down"), default=None
    )
    nvlink_domain: Maybe[Count] = clause(
        "GPUs in one NVLink domain; judged as far as its own node shows them.",
        reader=checks("nvlink_apart"),
        default=None,
    )
    fabric: Maybe[Literal["infiniband", "roce", "ethernet"]] = clause(
        "Network between nodes.", reader=checks("fabric_ports_down"), default=None
    )
    ports: Maybe[Count] = clause(
        "Fabric ports per node that are up.", reader=checks("fabric_ports_down"), default=None
    )
    port_gigabits: Maybe[Count] = clause(
        "Least rate of a port, in Gbit/s.", reader=checks("fabric_ports_down"), default=None
    )
    rails: Maybe[Count] = clause(
        "Number of rails of the fabric.",
        reader=describes("which switch a port leads to its node does not show"),
        default=None,
    )


class Host(Terms):
    """What the cards sit in; `none` is no promise."""

    cpu: Maybe[Text] = clause(
        "Model of the processor: each of these words must be one of its name.",
        reader=checks("cpu_mismatch"),
        default=None,
    )
    memory_bytes: Maybe[Count] = clause(
        "Main memory of a node, in bytes, of which firmware and kernel may keep 3 % and 2 GiB.",
        reader=checks("host_memory_short"),
        default=None,
    )
    nvme_bytes: Maybe[Count] = clause(
        "Local NVMe storage of a node, in bytes: its namespaces.",
        reader=checks("nvme_short"),
        default=None,
    )
    driver_at_least: Maybe[Text] = clause(
        "Oldest driver allowed, such as 580.95.", reader=checks("driver_not_allowed"), default=None
    )
    driver_below: Maybe[Text] = clause(
        "First driver not allowed.", reader=checks("driver_not_allowed"), default=None
    )

    def unclear(self) -> Iterator[str]:
        """Drivers that nobody can compare, or that no driver can be."""
        least, below = self.driver_at_least, self.driver_below
        low, high = (None if one is None else version_of(one) for one in (least, below))
        for name, text, version in (("at_least", least, low), ("below", below, high)):
            if text is not None and version is None:
                yield f"driver_{name} `{text}` is no version and will be judged unknown"
        if low is not None and high is not None and low >= high:
            yield "driver_below is not above driver_at_least: no driver keeps both"


class Capacity(Terms):
    """What a GPU is worth in P, so that a count of GPUs becomes a capacity. P means nothing without a precision."""

    unit: Literal["P"] = clause(
        "Unit of capacity: PFLOPS.", reader=describes("there is no other unit"), default="P"
    )
    precision: Literal["fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8"] = clause(
        "Arithmetic that the P are counted in: what is paid by the P names it.",
    )
    sparsity: Literal["dense", "sparse"] = clause(
        "Dense or sparse P; sparse figures are twice the dense.",
        default="dense",
    )
    basis: Literal["nameplate", "measured"] = clause(
        "Whether P are those of the datasheet or measured.",
        reader=describes("names what P are counted in; challenges prove arithmetic"),
        default="nameplate",
    )
    per_gpu: Ratio = clause(
        "P of one GPU; left out, the nameplate FP16, BF16 or INT8 of the card in the SKU table, twice if sparse."
    )
    contracted: Maybe[Ratio] = clause(
        "P promised; none: that of all contracted GPUs.", default=None
    )


class Floors(Terms):
    """Lowest acceptable values; `none` is no promise."""

    power_limit_milliwatts: Maybe[Count] = clause(
        "Least power limit of a card.", reader=checks("power_capped"), default=None
    )
    sm_clock_max_megahertz: Maybe[Count] = clause(
        "Least maximum SM clock.", reader=checks("clock_capped"), default=None
    )
    memory_clock_max_megahertz: Maybe[Count] = clause(
        "Least maximum memory clock.", reader=checks("memory_clock_capped"), default=None
    )
    pcie_generation: Maybe[Count] = clause(
        "Least PCIe generation of the link under load.", reader=checks("pcie_slow"), default=None
    )
    pcie_width: Maybe[Count] = clause(
        "Least number of PCIe lanes under load.", reader=checks("pcie_narrow"), default=None
    )
    ecc: Maybe[Literal["on"]] = clause(
        "`on`: ECC must be on.", reader=checks("ecc_off"), default=None
    )
    mig: Maybe[Literal["off"]] = clause("`off`: MIG is off.", reader=checks("mig_on"), default=None)
    throttling_share_max: Maybe[Share] = clause(
        "Largest share of an hour below full clocks for want of power or cooling. A power cap counts while the limit in"
        " force is below power_limit_milliwatts, or else below the card's default.",
        reader=checks("throttled"),
        default=None,
    )


class Exclusivity(Terms):
    """`owners`: salted hashes that may hold memory; empty: whoever comes, but `max_owners` at a time. Where the mode is
    `shared`, a `max_owners` of 1 is no limit."""

    mode: Literal["exclusive", "shared"] = clause(
        "Whether processes of others may use the cards.",
        reader=checks("foreign_process"),
        default="exclusive",
    )
    max_owners: Count = clause(
        "Most owners of processes on a card at a time.", reader=checks("foreign_process"), default=1
    )
    owners: tuple[Text, ...] = clause(
        "Salted hashes of the owners allowed.", reader=checks("foreign_process"), default=()
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.mode == "exclusive" and self.max_owners != 1:
            yield "max_owners", "exclusive means one owner at a time"
        if len(self.owners) > self.max_owners and self.mode == "exclusive":
            yield "owners", "exclusive means one owner"


class Bound(Terms):
    """A bound on an existing reading: data, not a new check."""

    reading: Name = clause(
        "Name of the reading in the catalogue; its unit is in the name.",
        reader=checks("bound_broken"),
    )
    at_least: Maybe[Integer] = clause(
        "Smallest value allowed.", reader=checks("bound_broken"), default=None
    )
    at_most: Maybe[Integer] = clause(
        "Largest value allowed.", reader=checks("bound_broken"), default=None
    )
    while_: Literal["always", "busy"] = key(
        "while", "When it must hold.", reader=checks("bound_broken"), default="always"
    )
    for_share: Share = clause(
        "Share of those samples that must hold it.",
        reader=checks("bound_broken"),
        default=Fraction(1),
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.reading not in READING:
            yield (
                "reading",
                f"`{self.reading}` is no reading of the catalogue{nearest(self.reading, READING)}",
            )
        if self.at_least is None and self.at_most is None:
            yield "", "give at_least, at_most or both"
        elif (
            self.at_least is not None and self.at_most is not None and self.at_least > self.at_most
        ):
            yield "at_most", "is below at_least: nothing can meet both"


class FilledSlot(Terms):
    """A place that a GPU fills. The obligation stays with it when the GPU is replaced."""

    READ_BY: ClassVar[Reader] = part("handover")

    id: Name = clause("Name of the slot, `node.slot`.")
    uuid: Maybe[Text] = clause("UUID of the GPU at the start.", default=None)
    serial: Maybe[Text] = clause("Serial number of the GPU.", default=None)
    host_serial: Maybe[Text] = clause(
        "Serial number of the host.",
        reader=describes("delivery notes show it as it was contracted"),
        default=None,
    )


class Location(Terms):
    """Where the nodes stand."""

    READ_BY: ClassVar[Reader] = describes(
        "where a machine stands, and that it was moved, it does not show"
    )

    site: Text = clause("Name of the site.")
    country: Maybe[Text] = clause("Country of the site.", default=None)
    racks: tuple[Text, ...] = clause("Names of the racks.", default=())
    relocation_allowed: Switch = clause("Whether the nodes may be moved.", default=False)


class Batch(Terms):
    """A part of the delivery."""

    id: Name = clause("Name of the batch.")
    nodes: Count = clause("Nodes in it.")
    due: Day = clause("Last day in time, in the zone of the contract.")
    value: Amount = clause("Its value in money, of which damages for delay are a share.")


def _nameplate(key: str, precision: str, told: Mapping[str, Any]) -> Fraction | None:
    """P of a card by the table; None: it has none of that arithmetic."""
    card = skus().get(key)
    if card is None or told.get("basis", "nameplate") != "nameplate":
        return None
    dense = {
        "fp16": card.dense_f16_teraops,
        "bf16": card.dense_f16_teraops,
        "int8": card.dense_i8_teraops,
    }.get(precision)
    times = 2 if told.get("sparsity") == "sparse" else 1
    return None if dense is None else Fraction(dense * times, 1000)


class Resource(Terms):
    """A line item: equal nodes of equal cards."""

    id: Name = clause("Name of the line item.")
    accelerator: Accelerator = clause("The card and its properties.")
    nodes: Count = clause("Nodes contracted.")
    per_node: Count = clause("GPUs in each node.")
    spare_nodes: Whole = clause("Nodes that stand by beside those contracted.", default=0)
    spares_on_same_spine: Switch = clause(
        "Whether spares share the fabric.",
        reader=describes("where a node hangs in a network it does not show"),
        default=True,
    )
    identity: Literal["slot", "uuid"] = clause(
        "What carries the obligation.",
        reader=describes(
            "an obligation is its slot's; another device in it is found: device_exchanged"
        ),
        default="slot",
    )
    slots: tuple[FilledSlot, ...] = clause(
        "The slots and what fills them at the start.", default=()
    )
    interconnect: Interconnect = clause("How cards and nodes are joined.", default=Interconnect())
    host: Host = clause("What the cards sit in.", default=Host())
    capacity: Maybe[Capacity] = clause("Worth of a GPU in P; none: not counted in P.", default=None)
    floors: Floors = clause("Lowest acceptable values.", default=Floors())
    exclusivity: Exclusivity = clause("Who may use the cards.", default=Exclusivity())
    virtualization: Maybe[Literal["bare_metal", "vm_passthrough", "vgpu", "mig", "container"]] = (
        clause(
            "The form in which the lessee gets the cards; none: not promised, and not judged.",
            reader=checks("virtualization_mismatch"),
            default=None,
        )
    )
    bounds: tuple[Bound, ...] = clause("Bounds on readings.", default=())
    challenges: tuple[ChallengeTerms, ...] = clause(
        "Proofs of compute, each in its own series: two profiles tell classes apart that one does not. Empty: only by"
        " hand, with the numbers of whoever asks.",
        reader=part("challenges"),
        default=(),
    )
    attestation: Maybe[AttestationTerms] = clause(
        "Attestation of the chips (E3); none: only by hand.",
        reader=part("attestation"),
        default=None,
    )
    location: Maybe[Location] = clause(
        "Where the nodes stand.", reader=describes("see there"), default=None
    )
    delivery: tuple[Batch, ...] = clause("Delivery in parts; empty: at the start.", default=())

    @model_validator(mode="before")
    @classmethod
    def _capacity_of_the_card(cls, given: Any) -> Any:
        """What the capacity leaves out is the card's own."""
        if not isinstance(given, dict):
            return given
        card, told = given.get("accelerator"), given.get("capacity")
        if not isinstance(card, dict) or not isinstance(told, dict) or "per_gpu" in told:
            return given
        worth = _nameplate(str(card.get("sku")), str(told.get("precision")), told)
        return given if worth is None else given | {"capacity": told | {"per_gpu": worth}}

    @property
    def places(self) -> int:
        """Nodes that may be assigned: those contracted, and the spares."""
        return self.nodes + self.spare_nodes

    @property
    def card(self) -> Sku | None:
        """The row of the SKU table; None: no row has it."""
        return skus().get(self.accelerator.sku)

    def challenge_policies(self) -> tuple[Policy, ...]:
        """The numbers of each proof of compute. Raises PolicyError, but not where the contract was just agreed on: a
        later table of cards may make it.
        """
        return tuple(terms.policy(self.card, self.per_node) for terms in self.challenges)

    def proof(self, asked: Policy) -> int | None:
        """Which of the proofs of compute a challenge by these numbers is; None: none of them."""
        places = range(len(self.challenges))
        return next((n for n in places if self.challenges[n].asks(asked, self.per_node)), None)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.places * self.per_node > MOST_GPUS:
            yield "nodes", f"more than {MOST_GPUS} GPUs in one line item"
        if self.virtualization == "mig" and self.floors.mig == "off":
            yield "floors.mig", "MIG must be off, and MIG slices are what is leased"
        if self.virtualization in ("vgpu", "mig") and self.capacity is not None:
            yield "capacity", "P is counted for whole GPUs, and slices are what is leased"
        if self.delivery and sum(batch.nodes for batch in self.delivery) != self.nodes:
            yield "delivery", "the batches do not add up to the nodes contracted"
        domain = self.interconnect.nvlink_domain
        if domain is not None and domain > self.nodes * self.per_node:
            yield "interconnect.nvlink_domain", "larger than all GPUs together"
        yield from repeated("slots", [slot.id for slot in self.slots])


def unknown_cards(resources: Iterable[Resource]) -> Iterator[str]:
    """A warning for each card that the SKU table does not have: nobody can say whether it was delivered."""
    for resource in resources:
        card = resource.accelerator.sku
        if card not in skus():
            yield (
                f"resources.{resource.id}: accelerator.sku `{card}` is not in the SKU table and will be judged "
                f"unknown{nearest(card, skus())}"
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing where no known name is near."""
    spelled = {one.casefold(): one for one in known}
    found = get_close_matches(name.casefold(), spelled, n=1)
    return f"; did you mean {spelled[found[0]]}?" if found else ""


def repeated(path: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """One problem for each name that was used before."""
    for position, name in enumerate(names):
        if name in names[:position]:
            yield f"{path}[{position}].id", f"`{name}` is used twice"
