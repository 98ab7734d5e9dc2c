"""The engine against strong baselines: `python -m benchmarks.versus`, or `tox -e versus`.

Every row says what is trained, against whom, how both sides evaluate, and what ratio is asked for. The runner times
both sides in turn, pair by pair, and writes `performance.json` and `performance.md`.
"""
