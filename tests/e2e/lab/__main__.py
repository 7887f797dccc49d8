"""`python -m tests.e2e.lab 26 28`: fetch these engines, if they are not there, and say what each is."""

from __future__ import annotations

import sys

from tests.e2e.lab.releases import release

for chosen in sys.argv[1:] or [""]:
    print(release(chosen), flush=True)
