"""Somebody else's work on a GPU: `tenant.py UUID` multiplies until it is ended, and prints a line for each product.

It ends by itself, with an error, when anybody takes memory on its device: the engine looks.
"""

import sys

from agent.probe.worker import open_engine
from weighbridge.challenge.policy import Policy


def main(gpu: str) -> None:
    engine = open_engine("cuda", gpu)
    engine.prepare(Policy(profile="f16", size=8192, rounds=1, samples=1))
    while True:
        engine.round(bytes(32), None)
        sys.stdout.write("product\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
