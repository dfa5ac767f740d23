# streamavatar.c
#   make                  build everything for this machine (BACKEND=cpu; TYPE by CPU: scripts/number_type.sh)
#   make demo             set up, generate data, run all stages, stream, report
#   make live             talk to the demo's student on a page, after make demo  (KEYS="agent=echo": serve's keys)
#   make demo-real DATA=FOLDER   the same from a folder of real videos
#   make test             set up, build and run all tests  (GUARD=1, SANITIZE=1: instrumented builds)
#   make test-threads     the tests of several ranks and the live server under the thread sanitizer (clang, libomp and
#                         its Archer)
#   make table            the published rows of ablations with seeds and intervals (WORLD=demo: on the demo's puppets;
#                         ONLY="rapr full", KEYS="...", SEEDS=1,2; docs/ablations.md)
#   make bench            achieved rates against measured limits  (PYTHON=FILE: the training step against PyTorch's too)
#   make examples         the clients of examples/, and the bridge to WebRTC where its libraries are (docs/bridges.md)
#   make install PREFIX=/usr/local DESTDIR=   and uninstall; make dist: a tarball (docs/packaging.md)
#   make mutations        damaged files, 10,000 of a kind, through every reader and the programs (30 minutes, two cores)
#   make parity           golden tensors and exports against today's PyTorch, Diffusers, Transformers and PEFT
#   make soak             what a live server must stand for minutes and hours, after make demo  (SOAK=0.05: a 20th)
#   make fuzz TIME=600    fuzzes every reader of foreign files, so many seconds each (clang, its libFuzzer and libomp)
# BACKEND=ref|cpu|cuda|cuda-shim   TYPE=float|bf16|double (double: backend ref only)
#   cuda: CUDA_HOME=, CUDA_ARCH="80 90a 100 120"
#   cuda-shim: the kernels of cuda, run on the host for tests (tests/shim)
#   V=1: print whole commands
#
# What is built mirrors the sources: FOLDER/x.c becomes build/VARIANT/FOLDER/x.o. A source with a main becomes a program
# beside that, or in bin/ where the source lies in programs/. make/cuda.mk has what BACKEND=cuda and cuda-shim add,
# make/tests.mk the tests, make/fuzz.mk fuzzing, make/install.mk the installation.

.DEFAULT_GOAL := all
Q        := $(if $(V),,@)
say       = $(if $(V),,@printf '  %-4s %s\n' $(1) $@)
JOBS     ?= $(shell nproc)
ifeq ($(MAKELEVEL)$(findstring j,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(JOBS)
endif
BACKEND  ?= cpu
TYPE     ?= $(if $(filter cuda%,$(BACKEND)),bf16,$(shell sh scripts/number_type.sh))
GUARD    ?= 0
SANITIZE ?= 0
FUZZ     ?= 0
CC       ?= gcc
ifeq ($(origin CC),default)
CC       := gcc
endif

CHECKED  := $(if $(filter 1,$(GUARD)),-guard)$(if $(filter 1,$(SANITIZE)),-sanitize)
CLANGS   := $(if $(filter thread,$(SANITIZE)),-threads)$(if $(filter 1,$(FUZZ)),-fuzz)
VARIANT  := $(BACKEND)-$(TYPE)$(CHECKED)$(CLANGS)
BUILD    := build/$(VARIANT)
BIN      := $(if $(filter cpu-$(TYPE),$(VARIANT)),bin,$(BUILD)/bin)

PACKAGES_LEAN := libavformat libavcodec libavutil libswscale libswresample libpng yaml-0.1 libcjson
PACKAGES_FULL := hdf5-serial cairo libavfilter
PACKAGES      := $(PACKAGES_FULL) $(PACKAGES_LEAN)
CFLAGS   := -std=c11 -O2 -g -fopenmp -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror \
            -fno-math-errno -ffp-contract=on -D_GNU_SOURCE -DH5_USE_110_API -DBACKEND_NAME='"$(BACKEND)"' \
            -I. -I$(BUILD)/gen
CFLAGS   += $(if $(filter bf16,$(TYPE)),-DTYPE_BF16)$(if $(filter double,$(TYPE)),-DTYPE_DOUBLE)
CFLAGS   += $(if $(filter 1,$(GUARD)),-DGUARD=1)
CFLAGS   += $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null | sed 's/-I/-isystem /g')
LDFLAGS  := -fopenmp
ifeq ($(SANITIZE),1)
CFLAGS   += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=address,undefined
endif
ifeq ($(SANITIZE),thread) # needs clang, whose OpenMP tells the sanitizer what it orders (scripts/thread_sanitizer.sh)
CFLAGS   := $(filter-out -Werror,$(CFLAGS)) -w -fsanitize=thread -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=thread
endif
ifeq ($(FUZZ),1) # needs clang, whose warnings we do not follow
FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS   := $(filter-out -Werror,$(CFLAGS)) -w $(FUZZ_FLAGS)
LDFLAGS  += -fsanitize=fuzzer,address,undefined
endif
LIBS_LEAN := $(shell pkg-config --libs $(PACKAGES_LEAN) 2>/dev/null) -lm -lz -lpthread
LIBS_FLITE := -lflite_cmu_us_kal16 -lflite_cmu_us_slt -lflite_cmu_us_rms -lflite_cmu_us_awb \
              -lflite_cmulex -lflite_usenglish -lflite
LIBS_FULL := $(shell pkg-config --libs $(PACKAGES_FULL) 2>/dev/null) $(LIBS_FLITE)
ifeq ($(BACKEND),cpu)
LIBS_LEAN += -ldnnl
endif
# MPI: 1 where pkg-config finds Open MPI or MPICH; the streaming program never links it.
MPI_PACKAGE := $(firstword $(foreach p,ompi-c mpich,$(if $(shell pkg-config --exists $(p) 2>/dev/null && echo 1),$(p))))
MPI      ?= $(if $(MPI_PACKAGE),1,0)
ifeq ($(MPI),1)
$(BUILD)/comm/host/mpi.o: CFLAGS += -DHAVE_MPI $(shell pkg-config --cflags $(MPI_PACKAGE) | sed 's/-I/-isystem /g')
LIBS_FULL += -Wl,--as-needed $(shell pkg-config --libs $(MPI_PACKAGE)) -Wl,--no-as-needed
endif
# The tokenizer is C++ where libsentencepiece is installed. Without it the build is C alone, and text_embed takes token
# numbers.
CXX      ?= g++
SENTENCEPIECE := $(shell pkg-config --libs sentencepiece 2>/dev/null)
TOKENIZER := $(if $(SENTENCEPIECE),checkpoints/tokenizer.cc,checkpoints/tokenizer_none.c)
ifneq ($(SENTENCEPIECE),)
LIBS_FULL += $(filter-out -lsentencepiece_train,$(SENTENCEPIECE)) -lstdc++
endif
ifneq ($(filter cuda%,$(BACKEND)),)
include make/cuda.mk
endif

# Floors, from the ground up: every source of a floor goes to its library, but those with a main. A backend on the host
# takes from ref what it has no file for; on a device nothing can come from there.
FLOORS   := base kernels comm model data checkpoints train infer tools
rooms     = $(foreach e,c cu,$(wildcard $(1)/*.$(e) $(1)/*/*.$(e)))
$(foreach f,$(filter-out kernels checkpoints,$(FLOORS)),$(eval $(f)_SRC := $(call rooms,$(f))))
base_SRC := $(filter-out base/version.c,$(base_SRC))
checkpoints_SRC := $(filter-out checkpoints/tokenizer%,$(call rooms,checkpoints)) $(TOKENIZER)
BACKEND_SRC ?= $(call rooms,kernels/$(BACKEND)) $(wildcard kernels/host/*.c)
kernels_SRC := $(wildcard kernels/*.c) $(BACKEND_SRC)
ifeq ($(BACKEND),cpu)
kernels_SRC += $(addprefix kernels/ref/,$(filter-out $(notdir $(BACKEND_SRC)),$(notdir $(wildcard kernels/ref/*.c))))
endif
define floor_library
$(1)_OBJ := $$(patsubst %,$(BUILD)/%.o,$$(basename $$($(1)_SRC)))
$(BUILD)/lib$(1).a: $$($(1)_OBJ)
	$$(archive)
endef
define archive
	@mkdir -p $(dir $@)
	@rm -f $@
	$(call say,ar)
	$(Q)ar qcs $@ $^
endef
define link # LIBRARIES OF OTHERS
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter-out $(VERSION_OBJ),$(filter %.c %.o,$^)) \
	    $(VERSION_OBJ) $(filter %.a,$^) $(1)
endef
$(foreach f,$(FLOORS),$(eval $(call floor_library,$(f))))
# The version names the commit: only the programs are linked again for a new one, so it is in no library.
VERSION_OBJ := $(BUILD)/base/version.o
$(BUILD)/libbase.a: | $(VERSION_OBJ)
$(VERSION_OBJ): $(BUILD)/gen/version_text.h
$(BUILD)/gen/version_text.h: always
	@mkdir -p $(dir $@)
	@CC="$(CC)" CFLAGS="$(filter -isystem% /%,$(CFLAGS))" sh scripts/version.sh $(BACKEND) $(TYPE) \
	    $(PACKAGES) $(if $(filter 1,$(MPI)),$(MPI_PACKAGE)) $(if $(SENTENCEPIECE),sentencepiece) >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
# linking order: from the upper floors down
libraries = $(foreach f,$(1),$(BUILD)/lib$(f).a)
LIBRARIES := $(call libraries,tools infer train checkpoints data model comm kernels base)

.PHONY: all always programs test bench table demo live demo-real soak clean format check-format setup
.SECONDARY:
all: programs

# Programs: one .c with a main each. Those in programs/lean run beside a model, not a data set: no HDF5, MPI or cairo.
PROGRAMS := $(patsubst %.c,$(BIN)/%,$(notdir $(wildcard programs/*.c programs/lean/*.c)))
programs: $(PROGRAMS)
$(BIN)/%: $(BUILD)/programs/%.o $(LIBRARIES) $(VERSION_OBJ)
	$(call link,$(LIBS_FULL) $(LIBS_LEAN))
$(BIN)/%: $(BUILD)/programs/lean/%.o $(LIBRARIES) $(VERSION_OBJ)
	$(call link,$(LIBS_LEAN))

# The server and what drives it speak HTTP and WebSocket; openh264 is taken where it is.
OPENH264 := $(shell pkg-config --libs openh264 2>/dev/null)
LIBS_SERVE := -lwebsockets $(OPENH264)
$(BIN)/serve: $(BUILD)/programs/lean/serve.o $(LIBRARIES) $(VERSION_OBJ)
	$(call link,$(LIBS_LEAN) $(LIBS_SERVE))
$(BIN)/load: $(BUILD)/programs/lean/load.o $(LIBRARIES) $(VERSION_OBJ)
	$(call link,$(LIBS_LEAN) -lwebsockets)
# What speaks for a session is started with it: it links little.
$(BIN)/agent: $(BUILD)/programs/lean/agent.o $(LIBRARIES) $(VERSION_OBJ)
	$(call link,$(LIBS_FLITE) $(shell pkg-config --libs yaml-0.1 libcjson 2>/dev/null) -lz -lm -lpthread)
# Examples stand alone: they use the protocol, nothing of ours.
programs: $(BUILD)/examples/client $(BUILD)/examples/broadcast
$(BUILD)/examples/client: $(BUILD)/examples/client.o
	$(call link,-lwebsockets)
$(BUILD)/examples/broadcast: $(BUILD)/examples/broadcast.o
	$(call link,-lwebsockets $(shell pkg-config --libs libavformat libavcodec libavutil))
# The bridge to WebRTC is built where its libraries are (docs/bridges.md): make examples.
WEBRTC := gstreamer-webrtc-1.0 gstreamer-sdp-1.0 gstreamer-app-1.0 libsoup-3.0 libcjson
.PHONY: examples
examples: $(BUILD)/examples/client $(BUILD)/examples/broadcast
ifeq ($(shell pkg-config --exists $(WEBRTC) && echo 1),1)
examples: $(BUILD)/examples/webrtc/bridge $(BUILD)/tests/bridge/test_player
$(BUILD)/examples/webrtc/%.o $(BUILD)/tests/bridge/%.o: \
    CFLAGS += $(shell pkg-config --cflags $(WEBRTC) | sed 's/-I/-isystem /g')
$(BUILD)/examples/webrtc/bridge.o: examples/webrtc/page.html
$(BUILD)/examples/webrtc/bridge: $(addprefix $(BUILD)/examples/webrtc/,bridge.o peer.o player.o)
	$(call link,$(shell pkg-config --libs $(WEBRTC)))
$(BUILD)/tests/bridge/test_player: $(addprefix $(BUILD)/,tests/bridge/test_player.o examples/webrtc/player.o)
	$(call link,$(shell pkg-config --libs $(WEBRTC)) -lcmocka)
else
examples:
	@echo "examples: without the bridge to WebRTC; it needs $(WEBRTC)"
endif
$(BUILD)/infer/serve/openh264.o: CFLAGS += $(if $(OPENH264),-DHAVE_OPENH264)
$(BUILD)/infer/serve/page.o: infer/serve/page.html

# The cpu backend is built for the machine it is built on (CPU_FLAGS= to change that); the rest is plain.
CPU_FLAGS ?= -O3 -march=native -ffp-contract=fast -fno-trapping-math
# Vectors never cross a function call there (kernels/cpu/simd.h), so their calling convention does not matter.
$(BUILD)/kernels/cpu/%.o: CFLAGS += $(CPU_FLAGS) -Wno-psabi
ifeq ($(BACKEND),cpu)
$(BUILD)/kernels/host/instructions_built.o $(BUILD)/kernels/host/peak.o: CFLAGS += $(CPU_FLAGS)
endif
$(BUILD)/%.o: %.c | $(BUILD)/gen/oracle_names.h
	@mkdir -p $(dir $@)
	$(call say,cc)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

CXXFLAGS := -std=c++17 $(filter-out -std=% -Wstrict-prototypes -Wmissing-prototypes,$(CFLAGS)) \
            $(shell pkg-config --cflags sentencepiece 2>/dev/null)
$(BUILD)/%.o: %.cc
	@mkdir -p $(dir $@)
	$(call say,c++)
	$(Q)$(CXX) $(CXXFLAGS) -MMD -MP -c $< -o $@

include make/tests.mk
include make/fuzz.mk
include make/install.mk

setup:
	@sh scripts/setup.sh
bench: setup
	+@$(MAKE) --no-print-directory programs
	$(BIN)/bench
	$(if $(PYTHON),PYTHON="$(PYTHON)" BIN=$(BIN) sh scripts/bench_step.sh)
demo: setup
	+@$(MAKE) --no-print-directory programs
	BIN=$(BIN) sh scripts/demo.sh configs/demo.yaml configs/demo_data.yaml runs/demo
live: setup
	+@$(MAKE) --no-print-directory programs
	@BIN=$(BIN) sh scripts/live.sh $(or $(STUDENT),runs/demo/export/refine) $(KEYS)
demo-real: setup
	+@$(MAKE) --no-print-directory programs
	BIN=$(BIN) sh scripts/demo_real.sh configs/real.yaml configs/real_data.yaml runs/real "$(DATA)"
# The table of ablations, whose rows' files are kept with the sources. A world is configs/WORLD.yaml, WORLD_data.yaml
# and, where the teacher's data are others, WORLD_teacher_data.yaml.
WORLD ?= $(if $(wildcard configs/hard.yaml),hard,demo)
PUBLISHED := self_forcing reference_sink rapr ordinary_gan full
table: setup
	+@$(MAKE) --no-print-directory programs
	BIN=$(BIN) RESULTS=docs/results/$(WORLD) TEACHER_DATA=$(wildcard configs/$(WORLD)_teacher_data.yaml) \
	    sh scripts/ablations.sh configs/$(WORLD).yaml configs/$(WORLD)_data.yaml runs/$(WORLD) \
	    $(or $(ONLY),$(PUBLISHED)) $(KEYS)
# What a server must stand for minutes and hours. SOAK=0.05 shortens the times to that fraction (scripts/soak.sh lists
# the parts and their keys).
soak: setup
	+@$(MAKE) --no-print-directory programs unit-tests
	+@$(MAKE) --no-print-directory SANITIZE=1 $(BUILD)-sanitize/bin/serve
	BIN=$(BIN) BUILD=$(BUILD) SOAK=$(or $(SOAK),1) \
	    sh scripts/soak.sh $(or $(STUDENT),runs/demo/export/refine) $(ONLY)
clean:
	rm -rf build bin
format:
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cu')
check-format:
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h' '*.cu')

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
