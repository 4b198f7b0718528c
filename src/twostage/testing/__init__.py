"""GPUs on machines without one, for tests, benchmarks and estimates; no job imports this.

``pretended_gpu``: what a GPU would do to devices and to the host's waiting. ``peak_memory``: what it would hold.
"""
