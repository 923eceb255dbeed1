"""How results are read: shards in, frames and reports out. Imports neither Keras nor `bench`."""
