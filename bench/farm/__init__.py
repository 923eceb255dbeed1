"""A run cut into pieces, which other processes or machines do: `--farm`; see docs/farm.md.

May import: contract, process, planning, inputs, coordinator, session.
"""
