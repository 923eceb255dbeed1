"""What both halves agree on: names, units and their ids, exit codes and shards.

Imports nothing of ours; workers, which have no msgspec, leave the schema alone.
"""
