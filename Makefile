# Two commands: `make up` (three regions and the console) and `make test` (everything that guards a change).
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: install up test lint check-types contracts pytest bench bench-console bench-costs bench-dns bench-ledger bench-presence peers soak drill evacuate leader stability room churn campaign truth fuzz mutants simulate simulate-mutants lock clean

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

up: install
	$(BIN)/jetrelay up

test: install lint check-types contracts pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: install
	$(BIN)/mypy

contracts: install
	$(BIN)/lint-imports

pytest: install
	$(BIN)/python -m pytest -n 4 --dist loadfile

bench: install
	$(BIN)/python -m tests.bench

# One part alone: bench-dns, bench-presence, bench-console, bench-costs, bench-ledger.
bench-console bench-costs bench-dns bench-ledger bench-presence: bench-%: install
	$(BIN)/python -m tests.bench.$*

# The same load on other servers, too: Node's packages and Centrifugo are fetched once.
peers: install
	$(BIN)/python -m tests.bench.peers

# 10,000 clients come back to one edge: what it costs, as a table, and whether that is within bounds.
soak: install
	$(BIN)/python -m tests.soak

# Every drill, in worlds of their own, with 300 clients in 30 rooms and 200 events/s, and longer cuts
# of one pair of regions; then some of them with the topology of the deployment, three nats-servers
# a region; 35 minutes or so.
drill: install
	status=0; \
	$(BIN)/jetrelay drill run all edge-hang:60s pair-partition:30s pair-partition:120s \
	  partition-wedged:30s --state .jetrelay-drill || status=$$?; \
	$(BIN)/jetrelay drill run edge-kill edge-drain region-loss --topology compose/topology.toml \
	  --clients 100 --rate 60 \
	  --state .jetrelay-drill || status=$$?; \
	exit $$status

# A region is emptied under 2,000 clients and 500 events/s, and taken back; then again, aborted in the
# middle, ordered anew, and by two operators at once; 10 minutes or so.
evacuate: install
	status=0; \
	$(BIN)/jetrelay drill run evacuate --topology tests/drills/evacuate.toml \
	  --clients 2000 --rooms 2000 --rate 500 --state .jetrelay-drill || status=$$?; \
	$(BIN)/python -m pytest -m drill -s tests/drills/test_evacuate.py || status=$$?; \
	exit $$status

# A stream's leader of three is killed 20 times, and a client resumes elsewhere half a second later.
leader: install
	$(BIN)/python -m pytest -m drill -s tests/drills/test_leader.py

# Supervisor, name server and console are killed; for ten minutes the data plane serves on alone.
stability: install
	$(BIN)/python -m pytest -m drill -s tests/system/test_static_stability.py

# 20,000 users come and go over three regions while an edge is killed, one hangs and a region is cut
# off: presence, counts and the audit against the generator's ledger; 20 minutes or so.
churn: install
	$(BIN)/python -m tests.churn

# A room of 600 in which ten come and ten go each second: frames are counted, and views compared.
room: install
	$(BIN)/python -m pytest -m drill -s tests/drills/test_presence_room.py

# Random faults for half an hour, the same ones each time.
campaign: install
	$(BIN)/jetrelay drill run campaign --seed $(or $(SEED),1) --for 30m --state .jetrelay-drill

# Consoles in all regions while every kind of fault is made: whether each one is named within 5 s, and
# none is green while a canary fails; 8 minutes or so, or as long as FOR says (seconds).
truth: install
	$(BIN)/python -m tests.truth --seed $(or $(SEED),205) --for $(or $(FOR),300)

# Mistakes planted in the edge, each under a real drill: whether the checker names it; half an hour or so.
mutants: install
	$(BIN)/python -m tests.mutants $(MUTANTS)

# Texts that hurt, through every screen of the console, in as many examples of each test.
fuzz: install
	JETRELAY_FUZZ=$(or $(EXAMPLES),200) $(BIN)/python -m pytest --timeout 0 tests/console/test_hostile.py \
	  tests/console/test_hostile_clients.py tests/console/test_hostile_news.py

# Rewrites the lock files from pyproject.toml: every package, every hash, no index address. The
# second one is of the image, with no more than runs there.
lock: install
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra local --extra audit --extra web --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --upgrade -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra audit --group build --universal --python-version 3.11 \
	  --constraint requirements.lock --generate-hashes --no-emit-index-url --no-header -o compose/requirements.lock

# A seeded simulation of the edge; 100,000 seeds take an hour or two on two cores.
simulate: install
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),100000) $(if $(RECORD),--record $(RECORD) --keep-going)

# Mistakes planted in the edge: in how many seeds the simulation finds each.
simulate-mutants: install
	$(BIN)/python -m tests.simulation.mutants

clean:
	rm -rf $(VENV) .jetrelay .jetrelay-drill .mypy_cache .ruff_cache .pytest_cache
