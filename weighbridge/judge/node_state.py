"""Everything the fold remembers of one node. It serialises to JSON and back without loss."""

from dataclasses import dataclass, field

from weighbridge.judge.hour_series import SeriesMeter
from weighbridge.judge.latest_readings import LatestReadings
from weighbridge.judge.ledger import Finding, Row, State
from weighbridge.judge.snapshot import Key
from weighbridge.judge.usage import UseMeter


@dataclass(slots=True)
class OpenInterval:
    """A slot's state since `start_us`, not yet written as a row. `entry`: the one that it is first known from."""

    start_us: int
    state: State
    cause: str
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where and when something came: the entry of the log, and the tick before it.

    The collector's last stall lies over [asleep_us, awake_us): then nobody could be heard.
    """

    received_us: int
    entry: int
    asleep_us: int = 0
    awake_us: int = 0

    def in_time_from_us(self, within_us: int) -> int:
        """The first instant of which this tells in time, where what happens is to be heard `within_us`.

        After a stall, for as long as it lasted, whatever had been in time when it began still is.
        """
        caught_up_us = 2 * self.awake_us - self.asleep_us + within_us
        stalled = self.asleep_us < self.awake_us and self.received_us <= caught_up_us
        return (self.asleep_us if stalled else self.received_us) - within_us


@dataclass(slots=True)
class Track:
    """One promise over one chain: what fills its slots, the states they are in, and the tallies of its bounds.

    `hour` counts the samples of the UTC hour under way by bound and device, as [counted, held]; `last_hour` those of
    the hour before. `breaches` maps a check's code to the devices that breach it and what was observed, `blind` to
    those that it cannot judge and why. `meter` sums how much the devices are used, `series` what their samples show
    together. `strangers` fill slots of others.
    `late`: the segments tell of time that nobody heard of in time.
    """

    version: int
    slots: list[str]
    segments: list[OpenInterval]
    breaches: dict[str, dict[str, str]] = field(default_factory=dict)
    blind: dict[str, dict[str, str]] = field(default_factory=dict)
    hour: dict[Key, list[int]] = field(default_factory=dict)
    last_hour: dict[Key, list[int]] = field(default_factory=dict)
    meter: UseMeter = field(default_factory=UseMeter)
    strangers: list[str] = field(default_factory=list)
    late: bool = False
    series: SeriesMeter = field(default_factory=SeriesMeter)


@dataclass(slots=True)
class ChainState:
    """One unbroken sequence of reports. `last_us` is the time of its newest fast sample, `last_entry` what brought it.

    `heard_us` is when its first report came: of time before that it says nothing. `slots_before`: what filled the slots
    of each contract before this chain, or before an amendment.

    `pending` names what changed since that sample; `quiet_cause` is why the chain may fall silent now, if it said so.
    `stalled_us`: when the driver last did not answer.
    `received_us` is when its newest report came; `before_us` and `before_entry` are `last_us` and `last_entry` as they
    were before the second in which it did.
    """

    name: str
    heard_us: int = 0
    slots_before: dict[str, list[str]] = field(default_factory=dict)
    boot: str = ""
    offset_us: int = 0
    clock_rank: int = -1
    last_us: int | None = None
    last_entry: int | None = None
    quiet_cause: str = ""
    stalled_us: int = 0
    received_us: int = 0
    before_us: int | None = None
    before_entry: int | None = None
    pending: set[str] = field(default_factory=set)
    view: LatestReadings = field(default_factory=LatestReadings)
    tracks: dict[str, Track] = field(default_factory=dict)


@dataclass(slots=True)
class ChainEnd:
    """The newest report that the log holds of a chain: who signed it, its number, and the hash of its payload."""

    key_id: str
    seq: int
    payload_hash: str


@dataclass(slots=True)
class Proof:
    """What challenges last said of one GPU. Bounds and `proven_us` are of the newest one that was met; else None.

    `cause`: `schedule`, or `command` where somebody asked by hand; empty: an older record does not say.
    """

    contract: str
    verdict: str
    reason: str
    judged_us: int
    flops_per_second: int | None = None
    memory_bytes: int | None = None
    memory_bytes_per_second: int | None = None
    peer_bytes_per_second: int | None = None
    proven_us: int | None = None
    cause: str = ""


@dataclass(slots=True)
class Question:
    """A GPU was asked to attest itself. `answer`: what the log holds of one: empty where it is evidence, or why not."""

    id: str
    contract: str
    key_id: str
    nonce: str
    until_us: int
    valid_s: int
    required: bool
    answer: str


@dataclass(slots=True)
class Attestation:
    """How the newest question to a GPU ended, and, since `since_us`, the chip that answered for it.

    It counts as attested (E3) before `valid_until_us` alone.
    """

    contract: str
    verdict: str
    reason: str
    judged_us: int
    chip: str = ""
    since_us: int = 0
    valid_until_us: int = 0
    online: bool = False
    verifier: str = ""


@dataclass(slots=True)
class SeriesStart:
    """Where a series began: when, behind which end of another challenge of the node, and the newest report of the
    provider's agent and of the lessee's then; -1: none."""

    begun_us: int = 0
    free_from_us: int = 0
    before: list[int] = field(default_factory=lambda: [-1, -1])


@dataclass(slots=True)
class OpenSeries:
    """A series that has not ended: its newest attempt's commitment and outcome, as text, and which GPUs have failed."""

    begun: str
    ended: str
    failed: list[str]
    start: SeriesStart = field(default_factory=SeriesStart)


@dataclass(slots=True)
class AwaitedTelemetry:
    """An exchange whose telemetry is awaited: the log indexes of the node's reports since before it, and its outcome,
    as text, once it has one. `heard_bytes`: of those reports that came since it began.

    `start` is that of its series, `free_until_us` when the next challenge of the node began. `opened` are the findings
    that it opened and that telemetry may close again, `displaced` those in whose place they came. `row`: how many of
    the contract's `proof` were not assessed in a row before it; -1: one was judged since, so that it counts no more.
    """

    reports: list[int]
    outcome: str = ""
    heard_bytes: int = 0
    start: SeriesStart = field(default_factory=SeriesStart)
    free_until_us: int = 0
    opened: list[Finding] = field(default_factory=list)
    displaced: list[Finding] = field(default_factory=list)
    row: int = -1
    contract: str = ""
    proof: str = ""


@dataclass(slots=True)
class Quarantine:
    """Why a node is not judged: `judge` failed with `error` at the log's `entry`. What is known of it ends at
    `from_us`, and `begun_us` is the tick at which it began.

    Rows tell up to `known_us` that it is not judged; `places` are the devices in its slots then, by contract.
    """

    from_us: int
    known_us: int
    entry: int
    error: str
    judge: str
    begun_us: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Cut:
    """What a quorum of witnesses says of a node's silence (`cause`), up to `until_us`, as known from `entry` on.

    Rows tell of it up to `laid_us`; `slots` are the devices in its slots.
    """

    cause: str
    laid_us: int
    until_us: int
    entry: int
    slots: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Voice:
    """A chain as it was last heard: by which key, when it began, and its stream.

    `turn`: of two, who began, or spoke after the other, later has the higher one. `over`: after which chain it spoke
    last, and `times`: how often the two have done so in turn.
    """

    key_id: str
    turn: int
    began_us: int
    stream: str
    over: str = ""
    times: int = 0


@dataclass(slots=True)
class SharedKey:
    """Two chains go on side by side, under these keys, since the second began. `laid_us`: up to when that is laid."""

    keys: list[str]
    since_us: int
    laid_us: int


@dataclass(slots=True)
class Compared:
    """How far a lessee's agent was compared with the provider's: up to `from_us`, but for what may still go on.

    `rows` of both sides that end later; `told` is by contract and slot the end of the last contradiction that was told;
    `differ` by contract and device of the provider's since when the lessee's agent shows another, and up to when that
    is laid.
    """

    from_us: int = 0
    rows: list[Row] = field(default_factory=list)
    told: dict[Key, int] = field(default_factory=dict)
    differ: dict[Key, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class NodeState:
    """`chains` by name, the newest last; `open` findings by contract, code and device, and `held` the newest of each
    proof of compute that holds one open, by its name too.

    `ends` are by chain, the one that spoke last at the end; `ends_forgotten`: there were more than are kept.

    `exchanges` are the commitments of challenges under way, by name; `proofs` by device; `attempts` counts those that
    have ended by contract, verdict and reason, and `exchange_ns` is the length of the last one, by phase, in order.
    `unassessed` counts the challenges in a row that were not assessed, and `voided` those that were void, by contract
    and proof.
    `unended` are the series of which another attempt is due, by name.
    `unlinked` are those whose telemetry is awaited, and `newest_report` is the log index of the newest report, or -1.
    `challenged_us`: when its newest challenge ended.

    `own` are by contract the devices that first filled its slots, `announced` those that a party said may fill them.
    `filled` is how many of a contract's slots, from the first on, a lessee's agent ever saw a device in.
    `cuts` are what witnesses say while it is silent, by contract.
    `quarantine` is set from the entry on that this judge could not judge.
    `voices` are by chain, the one that spoke last at the end, and `turns` counts how often one began or spoke over
    another; `shared` while two agents speak with one key. `revoked`: when each key that spoke for it ceased to.
    `compared`, of a lessee's, with what the provider's tells.

    `lags_us` are wall clock less receipt of its latest reports. `last_received_us` and `last_sample_us` are None until
    it has spoken, and it is silent when it was not heard for `patience_us`.
    """

    node: str
    side: str = "provider"
    agent_version: str = ""
    last_received_us: int | None = None
    last_sample_us: int | None = None
    patience_us: int = 0
    silent: bool = False
    lags_us: list[int] = field(default_factory=list)
    chains: dict[str, ChainState] = field(default_factory=dict)
    open: dict[Key, Finding] = field(default_factory=dict)
    held: dict[Key, Finding] = field(default_factory=dict)
    exchanges: dict[str, str] = field(default_factory=dict)
    proofs: dict[str, Proof] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)
    attested: dict[str, Attestation] = field(default_factory=dict)
    attempts: dict[Key, int] = field(default_factory=dict)
    exchange_ns: list[int] = field(default_factory=list)
    unlinked: dict[str, AwaitedTelemetry] = field(default_factory=dict)
    newest_report: int = -1
    challenged_us: int = 0
    unassessed: dict[Key, int] = field(default_factory=dict)
    voided: dict[Key, int] = field(default_factory=dict)
    unended: dict[str, OpenSeries] = field(default_factory=dict)
    ends: dict[str, ChainEnd] = field(default_factory=dict)
    ends_forgotten: bool = False
    own: dict[str, list[str]] = field(default_factory=dict)
    announced: dict[str, list[str]] = field(default_factory=dict)
    quarantine: Quarantine | None = None
    cuts: dict[str, Cut] = field(default_factory=dict)
    voices: dict[str, Voice] = field(default_factory=dict)
    turns: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    shared: SharedKey | None = None
    revoked: dict[str, int] = field(default_factory=dict)
    compared: Compared = field(default_factory=Compared)

    @property
    def newest(self) -> ChainState | None:
        """The chain that began last."""
        return next(reversed(self.chains.values()), None)

    @property
    def view(self) -> LatestReadings:
        """What the newest chain last showed."""
        newest = self.newest
        return LatestReadings() if newest is None else newest.view

    @property
    def clock_skew_us(self) -> int | None:
        """How far the node's clock is ahead of the collector's, by its least delayed report; None before any."""
        return max(self.lags_us, default=None)
