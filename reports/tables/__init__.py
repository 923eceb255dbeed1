"""One module for each table: shards in, frames out.

May import: read, statistics, contract.
"""
