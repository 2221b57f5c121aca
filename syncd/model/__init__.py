"""The vocabulary: pure values without I/O; this package imports nothing else of syncd."""
