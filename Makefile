# streamavatar.c
#   make                  build everything for this machine (BACKEND=cpu; TYPE by CPU: tools/number_type.sh)
#   make demo             set up, generate data, run all stages, stream, report
#   make demo-real DATA=FOLDER   the same from a folder of real videos
#   make test             set up, build and run all tests  (GUARD=1, SANITIZE=1: instrumented builds)
#   make test-threads     the tests of several ranks under the thread sanitizer (clang, libomp and its Archer)
#   make bench            achieved rates against measured limits
#   make fuzz TIME=600    fuzzes every reader of foreign files, so many seconds each (clang, its libFuzzer and libomp)
# BACKEND=ref|cpu|cuda|cuda-shim   TYPE=float|bf16|double (double: backend ref only)
#   cuda: CUDA_HOME=, CUDA_ARCH="80 90a 100 120"; cuda-shim: the kernels of cuda, run on the host (tests/shim), for tests
#   V=1: print whole commands

.DEFAULT_GOAL := all
Q        := $(if $(V),,@)
say       = $(if $(V),,@printf '  %-4s %s\n' $(1) $@)
JOBS     ?= $(shell nproc)
ifeq ($(MAKELEVEL)$(findstring j,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(JOBS)
endif
BACKEND  ?= cpu
TYPE     ?= $(if $(filter cuda%,$(BACKEND)),bf16,$(shell sh tools/number_type.sh))
GUARD    ?= 0
SANITIZE ?= 0
FUZZ     ?= 0
CC       ?= gcc
ifeq ($(origin CC),default)
CC       := gcc
endif

# Threads wait for each other some tens of microseconds awake, then asleep: libgomp's own default of milliseconds makes
# programs that share the machine several times slower.
GOMP_SPINCOUNT ?= 10000
export GOMP_SPINCOUNT

VARIANT  := $(BACKEND)-$(TYPE)$(if $(filter 1,$(GUARD)),-guard)$(if $(filter 1,$(SANITIZE)),-sanitize)$(if $(filter thread,$(SANITIZE)),-threads)$(if $(filter 1,$(FUZZ)),-fuzz)
BUILD    := build/$(VARIANT)
BIN      := $(if $(filter cpu-$(TYPE),$(VARIANT)),bin,$(BUILD)/bin)

PACKAGES := hdf5-serial libavformat libavcodec libavutil libswscale libswresample libpng cairo yaml-0.1 libcjson
CFLAGS   := -std=c11 -O2 -g -fopenmp -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror \
            -fno-math-errno -ffp-contract=on -D_GNU_SOURCE -DH5_USE_110_API -DBACKEND_NAME='"$(BACKEND)"' -I. -I$(BUILD)/gen
CFLAGS   += $(if $(filter bf16,$(TYPE)),-DTYPE_BF16)$(if $(filter double,$(TYPE)),-DTYPE_DOUBLE)
CFLAGS   += $(if $(filter 1,$(GUARD)),-DGUARD=1)
CFLAGS   += $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null | sed 's/-I/-isystem /g')
LDFLAGS  := -fopenmp
ifeq ($(SANITIZE),1)
CFLAGS   += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=address,undefined
endif
ifeq ($(SANITIZE),thread) # by clang; its OpenMP tells the sanitizer what it orders (tools/thread_sanitizer.sh)
CFLAGS   := $(filter-out -Werror,$(CFLAGS)) -w -fsanitize=thread -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=thread
endif
ifeq ($(FUZZ),1) # by clang, whose warnings are not ours
FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS   := $(filter-out -Werror,$(CFLAGS)) -w $(FUZZ_FLAGS)
LDFLAGS  += -fsanitize=fuzzer,address,undefined
endif
LIBS_LEAN := $(shell pkg-config --libs libavformat libavcodec libavutil libswscale libswresample libpng yaml-0.1 libcjson 2>/dev/null) -lm -lz -lpthread
LIBS_FULL := $(shell pkg-config --libs hdf5-serial cairo 2>/dev/null) -lflite_cmu_us_kal16 -lflite_cmu_us_slt -lflite_cmu_us_rms -lflite_cmu_us_awb -lflite_cmulex -lflite_usenglish -lflite
ifeq ($(BACKEND),cpu)
LIBS_LEAN += -ldnnl
endif
NCCL     ?= $(if $(filter cuda,$(BACKEND)),1,0)
ifeq ($(NCCL),1)
$(BUILD)/kernels/comm/nccl.o: CFLAGS += -DHAVE_NCCL
LIBS_FULL += -lnccl
endif
# MPI: 1 where pkg-config finds Open MPI or MPICH; the streaming program never links it.
MPI_PACKAGE := $(firstword $(foreach p,ompi-c mpich,$(if $(shell pkg-config --exists $(p) 2>/dev/null && echo 1),$(p))))
MPI      ?= $(if $(MPI_PACKAGE),1,0)
ifeq ($(MPI),1)
$(BUILD)/kernels/comm/mpi.o: CFLAGS += -DHAVE_MPI $(shell pkg-config --cflags $(MPI_PACKAGE) | sed 's/-I/-isystem /g')
LIBS_FULL += -Wl,--as-needed $(shell pkg-config --libs $(MPI_PACKAGE)) -Wl,--no-as-needed
endif
ifneq ($(filter cuda%,$(BACKEND)),)
ifeq ($(GUARD),1)
$(error GUARD=1 is for backends whose device memory the host can see: ref, cpu)
endif
LIBS_LEAN += -lstdc++
endif
CUDA_HOME ?= /usr/local/cuda
CUDA_ARCH ?= 80 90a 100 120
NVCC      ?= $(CUDA_HOME)/bin/nvcc
ifeq ($(BACKEND),cuda)
CFLAGS    += -isystem $(CUDA_HOME)/include
# Never -lcuda: the libraries load the driver themselves, so that a program starts without one and can say so.
LIBS_LEAN += -L$(CUDA_HOME)/lib64 -Xlinker -rpath -Xlinker $(CUDA_HOME)/lib64 -lcublasLt -lcudnn -lcudart
endif

# Programs: one .c with main each; all other sources go to the library of their floor.
PROGRAMS := $(filter $(wildcard train/*.c infer/*.c tools/*.c),\
            train/teacher.c train/ode_init.c train/distill.c train/refine.c train/light_decoder.c infer/stream.c tools/prepare.c tools/puppet.c \
            tools/export.c tools/forward.c tools/evaluate.c tools/inspect.c tools/bench.c tools/bench_dit.c tools/evaluate_real.c tools/text_embed.c tools/codec.c \
            tools/audio_features.c)
# Those that need no HDF5, cairo or speech: what runs beside a model, not beside a data set.
LEAN     := infer/% tools/forward.c tools/codec.c tools/audio_features.c tools/bench_dit.c
# The tokenizer is C++ where libsentencepiece is there; without it the build is C alone and text_embed takes token numbers.
CXX      ?= g++
SENTENCEPIECE := $(shell pkg-config --libs sentencepiece 2>/dev/null)
TOKENIZER := $(if $(SENTENCEPIECE),checkpoints/tokenizer.cc,checkpoints/tokenizer_none.c)
ifneq ($(SENTENCEPIECE),)
LIBS_FULL += $(filter-out -lsentencepiece_train,$(SENTENCEPIECE)) -lstdc++
endif
BACKEND_SRC := $(wildcard kernels/$(BACKEND)/*.c kernels/$(BACKEND)/*.cu)
ifeq ($(BACKEND),cuda-shim) # the own kernels alone: NVIDIA's libraries are not there
BACKEND_SRC := $(filter-out kernels/cuda/gemm_lt.c kernels/cuda/gemm_plan.c kernels/cuda/cudnn_% %_cudnn.c,$(wildcard kernels/cuda/*.c kernels/cuda/*.cu)) \
               tests/shim/libraries.c tests/shim/shim.cpp
endif
# A backend on the host takes from ref what it has no file for; on a device nothing can come from there.
override_ref = $(filter-out $(notdir $(BACKEND_SRC)),$(notdir $(wildcard kernels/ref/*.c)))
KERNELS  := $(wildcard kernels/*.c kernels/comm/*.c) $(BACKEND_SRC) $(if $(filter cuda%,$(BACKEND)),,$(wildcard kernels/host/*.c))
ifneq ($(filter-out ref cuda%,$(BACKEND)),)
KERNELS  += $(addprefix kernels/ref/,$(override_ref))
endif
FLOORS   := base kernels model data checkpoints train infer tools
base_SRC := $(wildcard base/*.c)
kernels_SRC := $(KERNELS)
model_SRC := $(wildcard model/*.c)
data_SRC := $(filter-out $(PROGRAMS),$(wildcard data/*.c))
checkpoints_SRC := $(filter-out checkpoints/tokenizer%,$(wildcard checkpoints/*.c)) $(TOKENIZER)
train_SRC := $(filter-out $(PROGRAMS),$(wildcard train/*.c))
infer_SRC := $(filter-out $(PROGRAMS),$(wildcard infer/*.c))
tools_SRC := $(filter-out $(PROGRAMS),$(wildcard tools/*.c))
define floor_library
$(1)_OBJ := $$(patsubst %,$(BUILD)/%.o,$$(basename $$($(1)_SRC)))
$(BUILD)/lib$(1).a: $$($(1)_OBJ)
	@mkdir -p $$(dir $$@)
	@rm -f $$@
	$$(call say,ar)
	$$(Q)ar rcs $$@ $$^
endef
$(foreach f,$(FLOORS),$(eval $(call floor_library,$(f))))
# linking order: from the upper floors down
LIBRARIES := $(foreach f,tools infer train checkpoints data model kernels base,$(BUILD)/lib$(f).a)
NAMES    := $(basename $(notdir $(PROGRAMS)))

.PHONY: all programs gpu-checks test-threads fuzz fuzz-targets test unit-tests kernel-tests double-tests bench demo demo-real clean format check-format setup plan
.SECONDARY:
all: programs
programs: $(addprefix $(BIN)/,$(NAMES))

# The cpu backend is built for the machine it is built on (CPU_FLAGS= to change that); the rest is plain.
CPU_FLAGS ?= -O3 -march=native -ffp-contract=fast -fno-trapping-math
$(BUILD)/kernels/cpu/%.o: CFLAGS += $(CPU_FLAGS)
$(BUILD)/%.o: %.c | $(BUILD)/gen/oracle_names.h
	@mkdir -p $(dir $@)
	$(call say,cc)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

CXXFLAGS := -std=c++17 $(filter-out -std=% -Wstrict-prototypes -Wmissing-prototypes,$(CFLAGS)) $(shell pkg-config --cflags sentencepiece 2>/dev/null)
$(BUILD)/%.o: %.cc
	@mkdir -p $(dir $@)
	$(call say,c++)
	$(Q)$(CXX) $(CXXFLAGS) -MMD -MP -c $< -o $@

# CUDA C: by nvcc, whose report of registers must show no spills, or, with BACKEND=cuda-shim, by g++ (tests/shim).
CUDA_TYPE := $(if $(filter bf16,$(TYPE)),-DTYPE_BF16)
NVCCFLAGS := -std=c++17 -O3 -lineinfo -ftz=true $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$(a),code=sm_$(a)) -Xptxas -v \
             -Xcompiler -Wall,-Wno-unknown-pragmas -I. $(CUDA_TYPE)
SHIMFLAGS := -std=c++17 -O2 -g -Wall -Werror -Wno-unknown-pragmas -ffp-contract=on -Itests/shim -I. $(CUDA_TYPE) \
             $(filter -fsanitize% -fno-%,$(CFLAGS))
ifeq ($(BACKEND),cuda)
$(BUILD)/%.o: %.cu tools/ptxas_gate.sh
	@mkdir -p $(dir $@)
	$(call say,nvcc)
	$(Q)$(NVCC) $(NVCCFLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@ 2>$@.log || { cat $@.log >&2; rm -f $@; exit 1; }
	$(Q)sh tools/ptxas_gate.sh $@.log || { rm -f $@; exit 1; }
else
$(BUILD)/%.o: %.cu
	@mkdir -p $(dir $@)
	$(call say,c++)
	$(Q)$(CXX) $(SHIMFLAGS) -MMD -MP -x c++ -c $< -o $@
$(BUILD)/%.o: %.cpp
	@mkdir -p $(dir $@)
	$(call say,c++)
	$(Q)$(CXX) $(SHIMFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/kernels/cuda/%.o $(BUILD)/tests/shim/%.o: CFLAGS += -Itests/shim
endif

# The double oracle: ref/*.c once more, on one thread, every public name with ref_ in front (kernels/oracle.h).
ORACLE_SRC := $(wildcard kernels/ref/*.c)
$(BUILD)/gen/oracle_names.h: kernels/kernels.h kernels/oracle_names.sh
	@mkdir -p $(dir $@)
	$(Q)sh kernels/oracle_names.sh kernels/kernels.h $@ $(BUILD)/gen/oracle_names_undef.h
$(BUILD)/oracle/%.o: kernels/ref/%.c $(BUILD)/gen/oracle_names.h
	@mkdir -p $(dir $@)
	$(call say,cc)
	$(Q)$(CC) $(filter-out -DTYPE_BF16 -DGUARD=1 -fopenmp,$(CFLAGS)) -Wno-unknown-pragmas -DTYPE_DOUBLE -DORACLE -MMD -MP -c $< -o $@
$(BUILD)/liboracle.a: $(ORACLE_SRC:kernels/ref/%.c=$(BUILD)/oracle/%.o)
	@rm -f $@
	$(call say,ar)
	$(Q)ar rcs $@ $^

define program
$(BIN)/$(basename $(notdir $(1))): $(BUILD)/$(1:.c=.o) $(LIBRARIES)
	@mkdir -p $$(dir $$@)
	$$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $$(if $$(filter $(LEAN),$(1)),$(LIBS_LEAN),$(LIBS_FULL) $(LIBS_LEAN))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# Tests: tests/unit against this backend and the oracle, tests/double in the double build, tests/golden (against tensors
# of other implementations) in both, tests/e2e scripts.
GOLDEN   := $(wildcard tests/golden/test_*.c)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c)) $(GOLDEN:tests/golden/%.c=$(BUILD)/golden/%)
ifeq ($(BACKEND),cuda) # what NVIDIA's libraries are told; needs no GPU
UNIT_TESTS += $(patsubst tests/cuda/%.c,$(BUILD)/tests/%,$(wildcard tests/cuda/test_*.c))
$(BUILD)/tests/%: $(BUILD)/tests/cuda/%.o $(LIBRARIES)
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_FULL) $(LIBS_LEAN) -lcmocka
endif
# Tests of the device and its kernels need nothing of the upper floors, so the shim's build of them is small.
KERNEL_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_kernels_*.c) tests/unit/test_device.c)
NETWORK_TESTS := $(addprefix $(BUILD)/tests/,test_recordings test_batch_feed)# of streams; those need networks besides
kernel-tests: $(KERNEL_TESTS) $(NETWORK_TESTS)
$(NETWORK_TESTS): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/train/batch_feed.o $(BUILD)/libmodel.a $(BUILD)/libkernels.a $(BUILD)/libbase.a $(BUILD)/liboracle.a
$(KERNEL_TESTS): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/libkernels.a $(BUILD)/libbase.a $(BUILD)/liboracle.a
$(KERNEL_TESTS) $(NETWORK_TESTS):
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_FULL) $(LIBS_LEAN) -lcmocka
$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(LIBRARIES) $(BUILD)/liboracle.a
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_FULL) $(LIBS_LEAN) -lcmocka
unit-tests: $(UNIT_TESTS) $(BUILD)/tests/tiny_dataset $(BUILD)/tests/tiny_wav2vec2 $(BUILD)/tests/forward_input $(BUILD)/tests/tiny_text_encoder $(BUILD)/tests/tiny_vae # what tests/e2e use
$(BUILD)/golden/%: $(BUILD)/tests/golden/%.o $(LIBRARIES)
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_FULL) $(LIBS_LEAN) -lcmocka
DOUBLE_TESTS := $(patsubst tests/double/%.c,$(BUILD)/double/%,$(wildcard tests/double/test_*.c)) $(GOLDEN:tests/golden/%.c=$(BUILD)/golden/%)
$(BUILD)/double/%: $(BUILD)/tests/double/%.o $(LIBRARIES)
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_FULL) $(LIBS_LEAN) -lcmocka
ifeq ($(TYPE),double)
double-tests: $(DOUBLE_TESTS)
else
double-tests:
	+$(MAKE) BACKEND=ref TYPE=double double-tests
endif

# What tools/gpu_check.sh carries to a machine that has CUDA's libraries alone: linked with what they use and no more.
GPU_KERNELS := $(patsubst tests/unit/%.c,$(BUILD)/gpu/%,$(wildcard tests/unit/test_kernels_*.c) tests/unit/test_device.c)
GPU_STREAMS := $(addprefix $(BUILD)/gpu/,test_recordings test_session test_batch_feed)
gpu-checks: $(GPU_KERNELS) $(GPU_STREAMS) $(BUILD)/gpu/stage_trace $(BUILD)/gpu/bench_dit
$(GPU_STREAMS): $(BUILD)/gpu/%: $(BUILD)/tests/unit/%.o $(LIBRARIES) $(BUILD)/liboracle.a
$(GPU_KERNELS): $(BUILD)/gpu/%: $(BUILD)/tests/unit/%.o $(BUILD)/libkernels.a $(BUILD)/libbase.a $(BUILD)/liboracle.a
$(BUILD)/gpu/stage_trace: $(BUILD)/tests/gpu/stage_trace.o $(LIBRARIES)
$(BUILD)/gpu/bench_dit: $(BUILD)/tools/bench_dit.o $(LIBRARIES)
$(GPU_KERNELS) $(GPU_STREAMS) $(BUILD)/gpu/stage_trace $(BUILD)/gpu/bench_dit:
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter-out %.h,$^) -Wl,-rpath,'$$ORIGIN' -Wl,--as-needed $(filter-out -Wl%,$(LIBS_FULL) $(LIBS_LEAN)) -lcmocka

# Fuzzing (tests/fuzz/fuzz.h). The corpus is replayed by test_fuzz_corpus, which needs no clang.
FUZZ_NAMES := $(shell sed -n 's/^ *X(\([a-z_]*\)).*/\1/p' tests/fuzz/fuzz.h)
FUZZ_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/fuzz_*.c))
TIME     ?= 600
$(BUILD)/tests/test_fuzz_corpus: $(BUILD)/tests/unit/test_fuzz_corpus.o $(FUZZ_OBJ) $(LIBRARIES)
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_FULL) $(LIBS_LEAN) -lcmocka
$(BUILD)/fuzz/%: tests/fuzz/target.c $(FUZZ_OBJ) $(LIBRARIES)
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(CFLAGS) -DFUZZ_TARGET=fuzz_$* $(LDFLAGS) -o $@ $^ $(LIBS_FULL) $(LIBS_LEAN)
fuzz-targets: $(FUZZ_NAMES:%=$(BUILD)/fuzz/%)
fuzz:
	+@$(MAKE) --no-print-directory FUZZ=1 CC=clang CXX=clang++ BACKEND=ref TYPE=float fuzz-targets
	@sh tests/fuzz/run.sh $(TIME) build/ref-float-fuzz/fuzz $(or $(ONLY),$(FUZZ_NAMES))

setup:
	@sh tools/setup.sh
test: setup
	+@$(MAKE) --no-print-directory programs unit-tests double-tests
	+@$(if $(filter cuda%,$(BACKEND)),:,$(MAKE) --no-print-directory BACKEND=cuda-shim TYPE=bf16 GUARD=0 kernel-tests)
	@SHIM=build/cuda-shim-bf16$(if $(filter 1,$(SANITIZE)),-sanitize) BIN=$(BIN) BUILD=$(BUILD) DOUBLE=$(if $(filter double,$(TYPE)),$(BUILD),build/ref-double$(if $(filter 1,$(GUARD)),-guard)$(if $(filter 1,$(SANITIZE)),-sanitize)) sh tests/run.sh
THREAD_TESTS := test_comm test_comm_faults test_comm_launch test_train_state test_sequence test_session
test-threads: setup
	+@$(MAKE) --no-print-directory SANITIZE=thread CC=clang CXX=clang++ BACKEND=ref TYPE=float \
	    $(addprefix build/ref-float-threads/tests/,$(THREAD_TESTS)) $(addprefix build/ref-float-threads/bin/,teacher ode_init distill refine) \
	    build/ref-float-threads/tests/tiny_dataset
	@sh tools/thread_sanitizer.sh build/ref-float-threads $(THREAD_TESTS)
bench: setup
	+@$(MAKE) --no-print-directory programs
	$(BIN)/bench
demo: setup
	+@$(MAKE) --no-print-directory programs
	BIN=$(BIN) sh tools/demo.sh configs/demo.yaml configs/demo_data.yaml runs/demo
demo-real: setup
	+@$(MAKE) --no-print-directory programs
	BIN=$(BIN) sh tools/demo_real.sh configs/real.yaml configs/real_data.yaml runs/real "$(DATA)"
clean:
	rm -rf build bin
format:
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cu')
check-format:
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h' '*.cu')

-include $(shell find build -name '*.d' 2>/dev/null)
