"""GPUs on machines without one, for tests, benchmarks and estimates; no job imports this.

``pretended_gpu`` checks devices and records where the host would wait for a GPU. ``peak_memory`` counts memory.
"""
