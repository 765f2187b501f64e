# make demo | live | site | lab | notebooks | test | quick | lint | train | bench | gpu | lock | clean: each makes .venv and installs
# what it needs.
PYTHON ?= python3
PORT ?= 7860
HOST ?= 127.0.0.1
SHARE ?=
PRESET ?= fashion-28-quick
OUT ?= runs/gpu
SITE ?= site
MINUTES ?=
BIN := .venv/bin

.PHONY: demo live site lab notebooks test quick lint train bench gpu lock clean

demo: .venv/.demo
	$(BIN)/python -m demo --host $(HOST) --port $(PORT) $(if $(filter-out 0 no false,$(SHARE)),--share)

# the page without a server: a folder for any static host, or the same on this machine
site: .venv/.demo
	$(BIN)/python -m demo.live build --out $(SITE)

live: .venv/.demo
	$(BIN)/python -m demo.live serve --out $(SITE)

lab: .venv/.demo
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks

notebooks: .venv/.dev
	$(BIN)/python -m notebooks.build

# everything, as CI does: up to a quarter of an hour on two cores
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist loadfile --no-loadscope-reorder --durations 25

# while one works: no page, no notebook, no training, no grader, and nothing that takes seconds
quick: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist loadfile -m "not slow" \
	  $(addprefix --ignore tests/,demo notebooks checks gpu training ui)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

train: .venv/.demo
	$(BIN)/python -m var_mini train tokenizer --preset $(PRESET)
	$(BIN)/python -m var_mini train transformer --preset $(PRESET)

bench: .venv/.demo
	$(BIN)/python -m var_mini bench generate --json

# The versions in .venv. Newer ones: empty constraints.txt, then `make clean lock`. Triton is left to torch, whose builds for GPUs
# ask for one exact version.
lock: .venv/.dev
	{ printf '# Made by `make lock` with %s: the versions that were tested. requirements.txt holds pip to them.\n' \
	  "$$($(BIN)/python -V)"; \
	  $(BIN)/python -m pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools --exclude triton \
	  | sed 's/+.*//'; } > constraints.txt

# on a bare GPU machine: make gpu BIN=/usr/bin (or wherever its python is) takes the packages that are there
gpu: $(if $(filter .venv/bin,$(BIN)),.venv/.demo)
	$(BIN)/python -m var_mini gpu --out $(OUT) $(if $(MINUTES),--minutes $(MINUTES))

.venv/bin/python:
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "No virtual environment; on Debian: apt install python3-venv"; exit 1; }

.venv/.demo: requirements.txt constraints.txt pyproject.toml setup.py | .venv/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable .
	touch $@

.venv/.dev: requirements.txt requirements-dev.txt constraints.txt pyproject.toml setup.py | .venv/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt --editable .[peers]
	touch $@

clean:
	rm -rf .venv
