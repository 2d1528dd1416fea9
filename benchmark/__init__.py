"""How near the scripts come to the speed that the services allow, measured against the sandbox.

`python -m benchmark` runs all of it and prints one table. Nothing here is part of a run, and no
test depends on a time.
"""
