"""What a run shows, in four wings, each on those before it: ``results``, ``figures``, ``claims``, ``pages``.

They read the files that earlier stages wrote, and import no torch. ``publish`` copies a run's numbers into the
repository.
"""
