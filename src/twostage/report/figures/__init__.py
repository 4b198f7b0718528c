"""One module per figure or table; each draws from ``results`` and writes PDF, PNG and the CSV of exactly what it draws.

Every module has ``drawn(...)``, the table of what is drawn; ``figure(table)``, the picture of that table alone; and
``draw(...)``, which reads, draws and writes. ``figure(pandas.read_csv(csv))`` makes the same picture again from its
CSV, including colours and sampled images.
"""
