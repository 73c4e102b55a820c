from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.judge.fleet import NODE, FleetFold
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


def test_a_node_is_as_its_providers_agent_sees_it_whichever_side_comes_back_first() -> None:
    sides = {
        f"{NODE}n": NodeState("n"),
        f"{NODE}n@lessee": NodeState("n", "lessee"),
        f"{NODE}n@witness": NodeState("n", "witness"),
        f"{NODE}m@lessee": NodeState("m", "lessee"),
    }
    for order in permutations(sides):
        fold = FleetFold()
        fold.restore({name: dump(sides[name]) for name in order}, ())
        seen = {name: state.side for name, state in fold.nodes.items()}
        assert seen == {"n": "provider", "m": "lessee"}
        assert all(state is fold.observers(name)[0] for name, state in fold.nodes.items())
