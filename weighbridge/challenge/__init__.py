"""The compute challenge: protocol and verifier, pure. Importing this needs no numpy; recomputing samples does.

`policy`, `messages`, `transcript`, `verdict`: the words. `challenger`, `prover`: the two sides. `judgement`: from the
bytes of a transcript to its result. `arithmetic`, `verifier`, `rowhash`: the exact integers. The argument is in
docs/challenge.md.
"""
