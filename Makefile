# Short names for what contributors run. PYTHON is the environment's interpreter.
PYTHON ?= .venv/bin/python

KIND ?= csv
RUNS ?= 100000

.PHONY: test soak long fuzz lint notebooks bench honesty reach cluster figures docs ci
test:
	$(PYTHON) -m pytest
soak:  # the scoreboard with a fresh seed, about an hour, into tests/SOAK.md (pip install atheris for the fuzz row)
	OMP_NUM_THREADS=1 $(PYTHON) -m tests.soak --save
long:  # the tests with more cases each, and every figure at its own setting
	SOAK=1 $(PYTHON) -m pytest
fuzz:  # a loader under a coverage-guided fuzzer (pip install atheris): csv, csv.gz, xlsx, npz, statistics, npy, toml, trajectory, idx, idx.gz, digits
	OMP_NUM_THREADS=1 $(PYTHON) -m tests.soak.fuzz $(KIND) $(RUNS)
lint:
	$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy
notebooks:  # all of them from scratch, two at a time
	ls notebooks/*.ipynb | xargs -P 2 -n 1 env OMP_NUM_THREADS=1 $(PYTHON) -m jupyter nbconvert --to notebook --execute --inplace
bench:
	OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks
N ?= 1000
honesty:  # N random problems: is every claimed half-time within its bound?
	OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks.honesty --problems $(N)
MINUTES ?= 60
reach:  # networks as people train them beside what is predicted, into benchmarks/REACH.md; goes on where it was (pip install -c constraints.txt torch statsmodels)
	OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks.reach --measure .reach.jsonl --minutes $(MINUTES) --report .reach.jsonl --save
cluster:  # figure 6b on a Dask scheduler and two workers of this machine, one of which is killed
	OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks.cluster
figures:
	$(PYTHON) -m dynamics compare --example diabetes --seeds 5 --plot docs/compare-diabetes.png
	$(PYTHON) -m dynamics figure 3 -o docs/figure-3.png --data docs/figure-3.json
docs:  # the site, into docs/_build/html (pip install -e '.[docs]'); a warning or a dead link is an error
	rm -rf docs/_build
	OMP_NUM_THREADS=1 $(PYTHON) -m sphinx -b html -W --keep-going -n -q docs docs/_build/html
	$(PYTHON) docs/_ext/links.py docs/_build/html
ci:
	bash .ci/run
