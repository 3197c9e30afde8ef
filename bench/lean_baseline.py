"""The baseline with the forwarder's own HTTP transport: `bench.baseline` tells how it is run."""

from __future__ import annotations

from functools import partial

from bench.baseline import main, run
from bench.carriers import OwnCarrier

if __name__ == "__main__":
    main(partial(run, carrier=OwnCarrier))
