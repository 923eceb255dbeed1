"""How models are run and timed. Results are read by `reports`, through the shard files alone."""
