from hypothesis import given
from hypothesis import strategies as st

from weighbridge.judge.node_state import NodeState
from weighbridge.judge.registry import Registry
from weighbridge.judge.snapshot import Key, dump, restore

NAMES = st.text(alphabet='a|:@/"', max_size=3)
PLACES = st.builds(lambda *parts: Key(parts), NAMES, NAMES, st.integers())


@given(st.dictionaries(PLACES, st.integers()))
def test_keys_of_several_parts_come_back_whatever_the_names_hold(counts: dict[Key, int]) -> None:
    state, registry = NodeState("n", attempts=counts), Registry(proven=counts)
    assert restore(dump(state), NodeState) == state
    assert restore(dump(registry), Registry) == registry
