"""`python -m tests.e2e.lab 26 28`: fetch these engines, and etcds, if they are not there, and say what each is."""

from __future__ import annotations

import sys

from tests.e2e.lab.etcds import ETCDS, program
from tests.e2e.lab.releases import release

for chosen in sys.argv[1:] or [""]:
    print(release(chosen), flush=True)
for suite in ETCDS:
    print(f"etcd of {suite}: {program(suite)}", flush=True)
