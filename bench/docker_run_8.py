"""docker-run-8: the same as docker-run, eight containers at a time."""

from __future__ import annotations

from bench.docker_run import main

if __name__ == "__main__":
    main("docker-run-8", 8, 10)
