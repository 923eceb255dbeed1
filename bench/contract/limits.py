"""How much one run may hold: what is planned is held to it, and what is read as well.

Standard library only.
"""

MOST_CELLS, MOST_WORKLOADS, MOST_SUBJECTS = 9_000, 1_000, 500

MOST_EPOCHS = 10_000
"""Of a training, whose shard then has 4 MB."""

MOST_EPOCHS_IN_ALL = 500_000
"""Of all trainings of a run: an epoch takes 400 bytes of its shard."""

MAX_JSON_BYTES = 16 << 20
"""Of a shard."""

MAX_SHARDS = 10_000
"""Of a run; one of ten seeds and forty launches has a few hundred."""

MAX_SHARDS_BYTES = 256 << 20
"""JSON of a run; those few hundred take 10 MiB."""

BYTES_A_NUMBER = 8
"""Of arrays in memory, where most become float64."""

MAX_ARRAYS_BYTES = 2 << 30
"""Arrays of a run: a file of 2 MiB can hold as many zeros."""

MAX_PREDICTIONS_BYTES = MAX_ARRAYS_BYTES // 2
"""Of its trainings; the rest is for images and the parity ladder."""

MAX_ARRAYS = 20_000
"""In one file; the list of a zip file's members is in memory before it can be counted."""

MAX_RUN_ARRAYS = 200_000
"""Of a run: each takes 0.2 ms, however empty it is."""

MOST_LANES = 12
"""That are measured in turn, twins among them."""
