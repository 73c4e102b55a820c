"""What a contract says of attestation: whether its chips must show who they are, and how long that counts."""

from typing import ClassVar

from weighbridge.contract.scalars import Count, Switch
from weighbridge.contract.terms import Reader, Terms, clause, part


class AttestationTerms(Terms):
    """Evidence of the chips' own keys (level E3): who they are, not what they do."""

    READ_BY: ClassVar[Reader] = part("attestation")

    required: Switch = clause(
        "Whether every GPU must be attested; where one is not, findings and statements say so.",
        default=True,
    )
    valid_s: Count = clause(
        "How long an attestation counts; the GPU is asked again before that is over.",
        default=604_800,
    )
