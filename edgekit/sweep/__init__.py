"""Many exports from one file: models x methods x ratios x input sizes x targets x devices, and the front of them.

plan.py     a TOML file -> cells
cell.py     one cell -> its result, whatever happens
store.py    cells and results in one SQLite file
run.py      all that is left to do, here or in worker processes
cluster.py  the same on a Dask cluster
front.py    which cells no other one beats
page.py     the table and the plot
"""
