"""One rank reads a file of weights for all of a run, and every rank refuses another file."""

import json
from pathlib import Path

from making import start

RANKS = """
import hashlib, json, sys
from pathlib import Path

from stages.common import ranks, stage
from stages.foreign.published import Card

WEIGHTS = Path("weights")
READS = []
sys.addaudithook(lambda event, args: event == "open" and str(args[0]) == "weights" and READS.append(args[1]))

def taken(content):
    try:
        Card(colour="rgb", mean=0, std=1, sha256=hashlib.sha256(content).hexdigest()).verify(WEIGHTS)
    except ValueError:
        return False
    return True

def main():
    verified = [taken(b"original"), taken(b"another.")]
    ranks.barrier()
    first = len(READS)
    if ranks.rank() == 0:
        WEIGHTS.write_bytes(b"another.")  # as many bytes
    ranks.barrier()
    READS.clear()
    verified += [taken(b"original"), taken(b"another.")]
    Path(f"{ranks.rank()}.json").write_text(json.dumps([verified, first, len(READS)]))
    return "verified"

stage.run(main)
"""


def test_two_ranks_read_weights_once_and_each_refuses_others(tmp_path: Path):
    (tmp_path / "verified.py").write_text(RANKS)
    (tmp_path / "weights").write_bytes(b"original")
    started = start(tmp_path, "stages.common.launch", "verified")
    errors = started.communicate(timeout=60)[1]
    assert started.returncode == 0, errors
    verified, first, second = zip(
        *(json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)), strict=True
    )
    assert verified == ([True, False, False, True],) * 2
    assert sum(first) == sum(second) == 1
