"""Contracts that tests write as mappings: as YAML by libyaml; each text is loaded once, for most cases share theirs."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from weighbridge.contract import Contract, load

loaded = lru_cache(maxsize=256)(load)
"""The contract in a text. A contract cannot be changed, so that one may serve many tests."""


def written(document: Mapping[str, Any]) -> str:
    return yaml.dump(dict(document), Dumper=yaml.CSafeDumper)


def contract_of(document: Mapping[str, Any]) -> Contract:
    return loaded(written(document))
