"""The command line: arguments in, exit code out. It talks to the daemon through the API socket only.

Rule: a module of this package imports click and nothing heavy at its top, so that `mooring --help` and completion are
quick; what a command needs, it imports when it runs.
"""
