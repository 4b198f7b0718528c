"""One module a figure or table: reads results (CSV, JSON), writes PDF, PNG and the CSV of exactly what it draws.

Nothing here imports torch or another part of the package but ``provenance``. Every module has ``drawn(...)``, the table
of what is drawn, ``figure(table)``, the picture of that table alone, and ``draw(...)``, which reads, draws and writes:
``figure(pandas.read_csv(csv))`` gives the picture back from its CSV, colours and sampled images included.
"""
