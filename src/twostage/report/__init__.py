"""The report of a run, in four parts: ``results``, ``figures``, ``claims``, ``pages``. Each uses those before it.

They read the files of earlier stages, and import no torch. ``publish`` copies a run's numbers into the repository.
"""
