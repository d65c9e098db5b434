# Each target sets up what it needs: a virtual environment in .venv, by plain pip.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test lint campaign kills crashes faults events overhead status-speed visual-speed \
	checkerboard step-speed input-speed checkpoint-speed samples-speed submit-speed startup-speed \
	resume-speed scaling gpu-speed clean

demo: $(READY)  ## train, sample, measure, draw and report, on the digits inside scikit-learn
	$(BIN)/ganymede run demo

test: $(READY)  ## all tests
	$(BIN)/python -m pytest --numprocesses auto --quiet --ignore tests/cluster
	$(BIN)/python -m pytest --quiet tests/cluster  # one after the other: each keeps all cores busy

lint: $(READY)  ## format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

campaign: kills crashes faults events  ## the long forms of "nothing is lost": 300 kills, every crash and fault

kills: $(READY)  ## runs of one rank, two ranks and a pipeline, killed 300 times
	$(BIN)/python -m benchmarks.kills

overhead: $(READY)  ## what the suite adds to a bare update
	$(BIN)/python -m benchmarks.overhead

input-speed: $(READY)  ## images per second into the update, against torchvision's transforms
	$(BIN)/python -m benchmarks.input

checkpoint-speed: $(READY)  ## how long a save keeps training waiting
	$(BIN)/python -m benchmarks.checkpoint

samples-speed: $(READY)  ## what it costs to store, pack, generate and read back samples
	$(BIN)/python -m benchmarks.samples

submit-speed: $(READY)  ## how long a run, a pipeline and a sweep of 1,000 take to be submitted
	$(BIN)/python -m benchmarks.submit

scaling: $(READY)  ## what an update costs, and what more ranks would add to it
	$(BIN)/python -m benchmarks.scaling

startup-speed: $(READY)  ## from the start of a process to its first step, and what commands load
	$(BIN)/python -m benchmarks.startup

resume-speed: $(READY)  ## from the signal to the save, and from the start to the first new step
	$(BIN)/python -m benchmarks.resume

status-speed: $(READY)  ## how long status takes over 1,000 runs, and how often it asks squeue
	$(BIN)/python -m benchmarks.status

crashes: $(READY)  ## a run's folder after a kill or a power loss at every file operation
	$(BIN)/python -m benchmarks.crashes

visual-speed: $(READY)  ## how long it takes to look into one network of S0's size
	$(BIN)/python -m benchmarks.visual

faults: $(READY)  ## a run whose disk fails at every write, once and for good
	$(BIN)/python -m benchmarks.faults

events: $(READY)  ## 5,000 orders of what a scheduler may do to a run, other ones each time
	GANYMEDE_EVENTS=5000 $(BIN)/python -m pytest --quiet tests/test_jobs_events.py -k no_order

checkerboard: $(READY)  ## what three ways of doubling a picture leave in it
	$(BIN)/python -m benchmarks.checkerboard

step-speed: $(READY)  ## the update of every system against the plainest loop, and where its time goes
	$(BIN)/python -m benchmarks.train_step --recipe all --width 32 --batch-size 32 --update-only --channels-last
	$(BIN)/python -m benchmarks.roofline

gpu-speed: $(READY)  ## what docs/performance.md has no figures of yet: S0 at its own size, on a GPU
	$(BIN)/python -m benchmarks.train_step --recipe acgan,classifier --width 196 --batch-size 128 --update-only --channels-last
	$(BIN)/python -m benchmarks.roofline --recipe acgan,classifier --width 196 --batch-size 128 --channels-last
	$(BIN)/python -m benchmarks.one_graph --width 196 --batch-size 128 --channels-last
	$(BIN)/python -m benchmarks.input --batch 128

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

clean:  ## remove what the targets made, runs excepted
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
