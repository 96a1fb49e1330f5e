# bitnet: ternary language models inside PostgreSQL.
#
# The extension builds with PGXS.  The core and the kernels are pure C and are
# compiled once, with flags of their own, for the module, the unit tests, the
# benchmark and the tools alike.  "make help" lists what can be made.

EXTENSION = bitnet
MODULE_big = bitnet
DATA = $(sort $(wildcard sql/bitnet--*.sql))

# Regression tests share the folder with the install scripts; init goes first.
REGRESS_FILES = $(filter-out bitnet--%,$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql))))
REGRESS = $(filter init,$(REGRESS_FILES)) $(filter-out init,$(REGRESS_FILES))
REGRESS_OPTS = --encoding=UTF8 --no-locale
ISOLATION_TESTS = $(patsubst specs/%.spec,%,$(sort $(wildcard specs/*.spec)))

BUILD = build
PG_SOURCES = $(sort $(wildcard src/pg/*.c))
CORE_SOURCES = $(sort $(wildcard src/core/*.c) $(wildcard kernels/*.c))
CORE_OBJECTS = $(CORE_SOURCES:%.c=$(BUILD)/%.o)
CORE_ARCHIVE = $(BUILD)/libbncore.a

OBJS = $(PG_SOURCES:.c=.o) $(CORE_OBJECTS)
SHLIB_LINK = -lm -lpthread
SHLIB_EXPORTS = build/exports.txt
BITNET_VERSION := $(shell sed -n "s/^default_version = .\(.*\)./\1/p" bitnet.control)
PG_CPPFLAGS = -DBITNET_VERSION=\"$(BITNET_VERSION)\"
PG_CFLAGS = -Wextra -Wno-unused-parameter -Wno-sign-compare
EXTRA_CLEAN = build tmp_check

# Just-in-time inlining has nothing to gain here, and clang would need the
# kernels' flags as well.
override with_llvm := no

# pg_config of the PATH if a server can be built against it, else the newest
# one where Debian's packages put them.  PGXS alone does not say so: it comes
# with Debian's client package, the headers do not.
PG_CONFIG_FOUND := $(shell for c in $(PG_CONFIG) pg_config $$(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -rV); do \
	h=$$($$c --includedir-server 2>/dev/null) && test -f "$$h/postgres.h" && test -f "$$($$c --pgxs)" && { echo $$c; exit; }; done)
PG_CONFIG = $(or $(PG_CONFIG_FOUND),pg_config)

ifneq ($(PG_CONFIG_FOUND),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifneq ($(PG_CONFIG),$(PG_CONFIG_FOUND))
$(error $(PG_CONFIG) is not the pg_config of a server whose headers are installed)
endif
include $(PGXS)
else
.PHONY: all install uninstall
all install uninstall:
	@echo 'PostgreSQL headers were not found: pg_config of a server 15 or newer is needed.'
	@echo 'On Debian and Ubuntu: apt-get install postgresql-server-dev-15 (or your version);'
	@echo 'or name it: make PG_CONFIG=/path/to/pg_config.'
	@echo '"make test" and "make demo" install what is missing where they may.'
	@exit 1
clean:
	rm -rf $(EXTRA_CLEAN)
endif

# Pure C: core and kernels

# Functions that are called through a pointer have the parameters of its type.
BN_WARNINGS = -Wall -Wextra -Wno-unused-parameter
BN_OPTIMIZE = -O3 -g
# A result is what its source says.  errno and exceptions are not looked at, and
# without the latter loops with a condition can be vectorised.
BN_ARITHMETIC = -ffp-contract=off -fno-math-errno -fno-trapping-math
BN_CFLAGS = -std=gnu11 -fPIC -fvisibility=hidden $(BN_ARITHMETIC) $(BN_WARNINGS) $(BN_OPTIMIZE) $(BN_EXTRA)
BN_LDFLAGS =
BN_LIBS = -lm -lpthread

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(BN_CFLAGS) -MMD -MP -c -o $@ $<

$(CORE_ARCHIVE): $(CORE_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

# Unit tests: one program for each test_*.c; other files beside them are shared.
UNIT_TESTS = $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard test/unit/test_*.c)))
UNIT_SHARED = $(patsubst %.c,$(BUILD)/%.o,$(filter-out test/unit/test_%,$(wildcard test/unit/*.c)))
FUZZ_TESTS = $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))

$(UNIT_TESTS): $(BUILD)/%: $(BUILD)/%.o $(UNIT_SHARED) $(CORE_ARCHIVE)
	$(CC) $(BN_CFLAGS) $(BN_LDFLAGS) -o $@ $^ $(BN_LIBS)

# It puts a pthread_create of its own before the real one.
$(BUILD)/test/unit/test_memory: private BN_LIBS += -Wl,--wrap=pthread_create

$(FUZZ_TESTS): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/test/fuzz/driver.o $(CORE_ARCHIVE)
	$(CC) $(BN_CFLAGS) $(BN_LDFLAGS) -o $@ $^ $(BN_LIBS)

$(BUILD)/make_model: $(BUILD)/test/make_model.o $(CORE_ARCHIVE)
	$(CC) $(BN_CFLAGS) $(BN_LDFLAGS) -o $@ $^ $(BN_LIBS)

.SECONDARY:
-include $(shell find $(BUILD) \( -path $(BUILD)/debian -o -path $(BUILD)/asan \) -prune -o -name '*.d' -print 2>/dev/null)

.PHONY: unit-programs tools
unit-programs: $(UNIT_TESTS) $(FUZZ_TESTS) $(BUILD)/make_model
tools: $(BUILD)/make_model

ifneq ($(PG_CONFIG_FOUND),)

# Only what PostgreSQL looks up by name leaves the module.
build/exports.txt: $(PG_SOURCES) Makefile
	@mkdir -p $(@D)
	@{ echo Pg_magic_func; echo _PG_init; \
	   sed -n 's/^PG_FUNCTION_INFO_V1(\([a-z0-9_]*\)).*/\1 pg_finfo_\1/p' $(PG_SOURCES) | tr ' ' '\n'; \
	   sed -n 's/^PGDLLEXPORT void \([A-Za-z0-9_]*\)(Datum.*/\1/p' $(PG_SOURCES); } | sort -u > $@

# What was built for one server is built again for another one.
build/server: always
	@mkdir -p $(@D)
	@echo '$(VERSION) $(includedir_server)' | cmp -s - $@ || echo '$(VERSION) $(includedir_server)' > $@
.PHONY: always

$(PG_SOURCES:.c=.o) $(BUILD)/out_of_memory.so: build/server
$(PG_SOURCES:.c=.o): $(wildcard src/pg/*.h src/core/*.h kernels/*.h) Makefile

# The module's files as test/lint compiles them: the headers of PostgreSQL have
# warnings of their own, for clang also those that were configured for gcc.
PG_LINT_OBJECTS = $(PG_SOURCES:%.c=$(BUILD)/%.o)
$(PG_LINT_OBJECTS) $(BUILD)/test/out_of_memory.o: BN_CFLAGS += $(PG_CFLAGS) $(PG_CPPFLAGS) -D_GNU_SOURCE -Wno-ignored-attributes \
	-isystem $(includedir_server)
.PHONY: lint-module lint-objects
lint-module: $(CORE_OBJECTS) $(PG_LINT_OBJECTS)
lint-objects: lint-module $(patsubst %.c,$(BUILD)/%.o,$(wildcard test/*.c test/*/*.c))

install: install-model
uninstall: uninstall-model
.PHONY: install-model uninstall-model
install-model: models/default.gguf
	$(MKDIR_P) '$(DESTDIR)$(datadir)/bitnet'
	$(INSTALL_DATA) models/default.gguf '$(DESTDIR)$(datadir)/bitnet/'
uninstall-model:
	rm -f '$(DESTDIR)$(datadir)/bitnet/default.gguf'

# A module of a test's own
tools: $(BUILD)/out_of_memory.so
$(BUILD)/out_of_memory.so: test/out_of_memory.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CFLAGS_SL) $(CPPFLAGS) -shared -o $@ $<

# What test/run needs to know of the server.
.PHONY: server-facts
server-facts:
	@echo 'pg_bindir=$(bindir)'
	@echo 'pg_sharedir=$(datadir)'
	@echo 'pg_libdir=$(pkglibdir)'
	@echo 'pg_testdir=$(abspath $(dir $(PGXS))../../src/test)'
	@echo 'pg_major=$(MAJORVERSION)'
	@echo 'regress_opts="$(REGRESS_OPTS)"'
	@echo 'regress_tests="$(REGRESS)"'
	@echo 'isolation_tests="$(ISOLATION_TESTS)"'
endif

.PHONY: help test coverage test-debian test-asan test-upgrade soak unit demo demo-stop bench bench-plots lint fuzz sanitize tsan valgrind arm x86

help:
	@echo 'make            build the extension'
	@echo 'make install    install it and the default model (as root where needed)'
	@echo 'make test       install what is missing, build, run all tests in a temporary server'
	@echo 'make coverage   the same, and which lines of src and kernels are run'
	@echo 'make test-debian   the same on another release of Debian (RELEASE, default trixie); as root'
	@echo 'make test-asan  the tests in a server built from source (of RELEASE, default bookworm) with assertions and address sanitizer'
	@echo 'make test-upgrade   pg_upgrade to the PostgreSQL of RELEASE (default trixie), built from source, or of NEWER=directory'
	@echo 'make soak       mixed load from many sessions (SOAK_SECONDS, default an hour)'
	@echo 'make demo       the same preparation, then a tour on a throw-away server'
	@echo 'make demo-stop  stop and remove that server'
	@echo 'make unit       only the tests of the pure C part; needs no PostgreSQL'
	@echo 'make sanitize   the same with address and undefined-behaviour sanitizers'
	@echo 'make tsan       the same with the thread sanitizer'
	@echo 'make arm        the same for 64-bit Arm, under qemu'
	@echo 'make x86        the same on processors without AVX2 and without AVX-512, under qemu'
	@echo 'make valgrind   C tests, and the SQL tests in a server, under Valgrind'
	@echo 'make lint       gcc and clang without a warning; analyzers, checkers of scripts'
	@echo 'make fuzz       fuzz the readers of untrusted input, and the kernels (clang; FUZZ_SECONDS each, default 60)'
	@echo 'make bench MODEL=file   load time, tokens per second, memory bandwidth (BENCH_OPTIONS, see test/bench/bench.c)'
	@echo 'make bench-plots MODEL=file [NOTE="the machine"]   the same over batch and context, as tables and plots'
	@echo 'make clean      remove what was built'

# What test/run takes: unit, server or all
PARTS = all
test:
	@test/setup server
	@MAKE='$(MAKE)' test/run '$(PARTS)'

# The same on a build that counts the lines that are run
coverage:
	@test/setup server
	@MAKE='$(MAKE)' test/coverage build/coverage

# The release and what is installed in it stay for the next time, until make clean.
RELEASE = trixie
MIRROR =
DEBIAN = build/debian/$(RELEASE)
test-debian:
	@MIRROR='$(MIRROR)' test/debian '$(RELEASE)' '$(DEBIAN)'

# The server stays likewise, the one of RELEASE's source.
test-asan: RELEASE = bookworm
test-asan:
	@MIRROR='$(MIRROR)' MAKE='$(MAKE)' test/asan '$(RELEASE)' '$(BUILD)/asan/$(RELEASE)'

# The newer server stays likewise, unless another one is named.
NEWER = $(BUILD)/postgres/$(RELEASE)
test-upgrade:
	@test/setup server
	@[ '$(origin NEWER)' != file ] || MIRROR='$(MIRROR)' test/postgres-source '$(RELEASE)' '$(NEWER)'
	@MAKE='$(MAKE)' test/upgrade '$(NEWER)/bin/pg_config'

SOAK_SECONDS = 3600
soak:
	@test/setup server
	@MAKE='$(MAKE)' TESTS=030_soak BITNET_SOAK_SECONDS='$(SOAK_SECONDS)' test/run all

unit:
	@test/setup compiler
	@MAKE='$(MAKE)' BUILD='$(BUILD)' test/run unit

demo:
	@test/setup server
	@MAKE='$(MAKE)' test/demo

demo-stop:
	@MAKE='$(MAKE)' test/demo stop

sanitize:
	@test/setup compiler
	@$(MAKE) --no-print-directory unit BUILD=build/sanitize \
		BN_OPTIMIZE='-O1 -g -fno-omit-frame-pointer' BN_EXTRA='-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-wrapv'

tsan:
	@test/setup compiler
	@$(MAKE) --no-print-directory unit BUILD=build/tsan \
		BN_OPTIMIZE='-O1 -g' BN_EXTRA='-fsanitize=thread'

valgrind:
	@test/setup valgrind
	@MAKE='$(MAKE)' test/valgrind

arm:
	@test/setup arm
	@RUNNER='qemu-aarch64-static' $(MAKE) --no-print-directory unit BUILD=build/arm \
		CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar BN_LDFLAGS=-static

# Without AVX2, and with it but without AVX-512
x86:
	@test/setup x86
	@for cpu in Nehalem Haswell; do \
		echo "$$cpu:"; \
		QEMU_CPU=$$cpu RUNNER=qemu-x86_64-static $(MAKE) --no-print-directory unit || exit 1; \
	done

# What the compilers, analyzers and checkers of scripts have to say
lint:
	@test/setup lint
	@MAKE='$(MAKE)' test/lint

FUZZ_SECONDS = 60
FUZZ_FLAGS = -O1 -g -fno-sanitize-recover=all -fno-wrapv
FUZZ_CHECKS = address,undefined,float-cast-overflow
fuzz:
	@test/setup fuzz
	@$(MAKE) --no-print-directory -s build/fuzz/libbncore.a BUILD=build/fuzz CC=clang \
		BN_OPTIMIZE='$(FUZZ_FLAGS)' BN_EXTRA='-fsanitize=fuzzer-no-link,$(FUZZ_CHECKS)'
	@for t in $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c)); do \
		mkdir -p build/fuzz/corpus/$$t && \
		clang -std=gnu11 $(FUZZ_FLAGS) -fsanitize=fuzzer,$(FUZZ_CHECKS) \
			-o build/fuzz/fuzz_$$t test/fuzz/fuzz_$$t.c build/fuzz/libbncore.a $(BN_LIBS) && \
		build/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 -artifact_prefix=build/fuzz/$$t- \
			build/fuzz/corpus/$$t $$(ls -d test/fuzz/corpus/$$t 2>/dev/null) || exit 1; \
	done

BENCH_OBJECTS = $(patsubst %.c,$(BUILD)/%.o,$(wildcard test/bench/*.c))
$(BUILD)/bench: $(BENCH_OBJECTS) $(CORE_ARCHIVE)
	$(CC) $(BN_CFLAGS) $(BN_LDFLAGS) -o $@ $^ $(BN_LIBS)

bench:
	@test -n '$(MODEL)' || { echo 'make bench needs MODEL=file.gguf'; exit 1; }
	@test/setup compiler
	@$(MAKE) --no-print-directory -s $(BUILD)/bench
	$(BUILD)/bench $(BENCH_OPTIONS) '$(MODEL)'

# The figures come first into the build folder: a run that is interrupted leaves
# those that stand.
BENCH_OPTIONS =
NOTE =
PLOTS = test/bench/plots
bench-plots:
	@test -n '$(MODEL)' || { echo 'make bench-plots needs MODEL=file.gguf'; exit 1; }
	@command -v python3 > /dev/null || { echo 'make bench-plots needs python3'; exit 1; }
	@test/setup compiler
	@$(MAKE) --no-print-directory -s $(BUILD)/bench
	$(BUILD)/bench --series --csv $(BUILD)/bench.csv $(BENCH_OPTIONS) '$(MODEL)'
	@mkdir -p $(PLOTS)
	@mv $(BUILD)/bench.csv $(PLOTS)/bench.csv
	test/bench/plot.py $(PLOTS)/bench.csv $(PLOTS) '$(NOTE)'
