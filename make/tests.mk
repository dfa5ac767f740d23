# tests.mk: the test programs. tests/FOLDER/test_x.c becomes build/VARIANT/tests/FOLDER/test_x.
#   unit      parts of this build, against what is known and against the oracle
#   double    gradients and whole stages, in the double build
#   golden    models against tensors of other implementations, in this build and in double
#   shim      in the build of the CUDA kernels for the host
#   cuda      what NVIDIA's libraries are told and answer; needs neither a GPU nor nvcc
#   gpu       programs that scripts/gpu_check.sh takes to a machine with a GPU (gpu-checks below)
#   programs  no tests: programs that the scripts of tests/e2e use
tests_of   = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/$(1)/$(2).c))

# The double oracle: ref/*.c once more, on one thread, every public name with ref_ in front (kernels/oracle.h).
ORACLE   := $(BUILD)/liboracle.a
$(BUILD)/gen/oracle_names.h: kernels/kernels.h kernels/oracle_names.sh
	@mkdir -p $(dir $@)
	$(Q)sh kernels/oracle_names.sh kernels/kernels.h $@ $(BUILD)/gen/oracle_names_undef.h
$(BUILD)/oracle/%.o: kernels/ref/%.c $(BUILD)/gen/oracle_names.h
	@mkdir -p $(dir $@)
	$(call say,cc)
	$(Q)$(CC) $(filter-out -DTYPE_BF16 -DGUARD=1 -fopenmp,$(CFLAGS)) -Wno-unknown-pragmas -DTYPE_DOUBLE -DORACLE \
	    -MMD -MP -c $< -o $@
$(ORACLE): $(patsubst kernels/ref/%.c,$(BUILD)/oracle/%.o,$(wildcard kernels/ref/*.c))
	$(archive)

# The shim's tests need nothing of the uppermost floors.
SHIM_LIBRARIES := $(call libraries,train checkpoints data model comm kernels base)
TEST_LIBRARIES := $(if $(filter cuda-shim,$(BACKEND)),$(SHIM_LIBRARIES),$(LIBRARIES)) $(ORACLE)
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_LIBRARIES)
	$(call link,$(LIBS_FULL) $(LIBS_LEAN) -lcmocka)
# A session's own thread opens its encoder.
$(BUILD)/tests/unit/test_live_session: LIBS_LEAN += $(OPENH264)

# The dry run counts kernels' calls in place of making them, and bench times them: in these programs the linker leads
# the calls to the recorder first.
DRY_WRAP := $(shell sh tools/record/names.sh tools/record/record.c)
RECORDED := $(BIN)/bench $(BIN)/bench_dit $(BUILD)/gpu/bench_dit \
            $(addprefix $(BUILD)/tests/unit/,test_dry_run test_timed)
$(RECORDED): LDFLAGS += $(DRY_WRAP)

# What NVIDIA's libraries are asked for, by the C compiler alone and in bf16, whatever is built around it: the backend's
# descriptions of graphs and products, and a driver that does nothing. In builds for the host, whose device.h they use.
# Where cuDNN is not installed each test says so and is skipped.
CUDA_HOME ?= /usr/local/cuda
ASKED     := $(BUILD)/cuda-asked
ASKED_SRC := $(addprefix kernels/cuda/,workspace.c $(addprefix cudnn/,graph.c descriptors.c engines.c) \
             attention/attention_cudnn.c convolution/conv_cudnn.c products/gemm_plan.c) \
             $(addprefix tests/cuda/,evaluate.c devices.c)
ASKED_OBJ := $(ASKED_SRC:%.c=$(ASKED)/%.o)
ASKED_TESTS := $(addprefix $(BUILD)/tests/cuda/test_cuda_,engines graphs descriptors plans timed attention)
$(ASKED)/%.o: %.c | $(BUILD)/gen/oracle_names.h
	@mkdir -p $(dir $@)
	$(call say,cc)
	$(Q)$(CC) $(filter-out -DTYPE_% -DGUARD=1,$(CFLAGS)) -DTYPE_BF16 -isystem $(CUDA_HOME)/include \
	    -MMD -MP -c $< -o $@
$(BUILD)/tests/cuda/driver/libcuda.so.1: tests/cuda/driver.c
	@mkdir -p $(dir $@)
	$(call say,ld)
	$(Q)$(CC) $(filter-out -fsanitize% -fopenmp,$(CFLAGS)) -fPIC -shared -Wl,-soname,libcuda.so.1 $< -o $@
ifneq ($(wildcard $(CUDA_HOME)/include/cudnn.h),)
# Our networks with kernels that compute nothing but note what they are asked for (tests/cuda/shapes.h): in this build's
# own type.
$(ASKED)/quiet_kernels.c: kernels/kernels.h tests/cuda/quiet_kernels.sh
	@mkdir -p $(dir $@)
	$(Q)sh tests/cuda/quiet_kernels.sh $< >$@
$(ASKED)/quiet_kernels.o: $(ASKED)/quiet_kernels.c
	$(Q)$(CC) -c $< -o $@
$(BUILD)/tests/cuda/test_cuda_engines: $(BUILD)/tests/cuda/shapes.o $(ASKED)/quiet_kernels.o \
                                       $(BUILD)/libmodel.a $(BUILD)/libcomm.a
$(BUILD)/tests/cuda/test_cuda_engines: LDFLAGS += -Wl,--wrap=mem_zero,--wrap=mem_copy \
                                                  -Wl,--wrap=mem_upload,--wrap=mem_copy_rows
# The table of plans over a stand-in for the library.
$(ASKED)/tests/gpu/standin.o: CFLAGS += -DSTANDIN_CUDNN
$(BUILD)/tests/cuda/test_cuda_plans: $(ASKED)/tests/gpu/standin.o $(ASKED)/kernels/cuda/cudnn/plan.o
$(BUILD)/tests/cuda/test_cuda_plans: LDFLAGS += -Wl,--wrap=workspace_push,--wrap=workspace_pop
# Attention's backward over a stand-in that evaluates the library's graphs.
$(BUILD)/tests/cuda/test_cuda_attention: $(ASKED)/kernels/cuda/attention/attention_library.o
$(BUILD)/tests/cuda/test_cuda_attention: LDFLAGS += -Wl,--wrap=workspace_push,--wrap=workspace_pop
# Products timed over a stand-in for the library and its clock.
$(BUILD)/tests/cuda/test_cuda_timed: $(addprefix $(ASKED)/kernels/cuda/products/,gemm_lt.o gemm_timed.o)
$(BUILD)/tests/cuda/test_cuda_timed: LDFLAGS += -Wl,--wrap=workspace_push,--wrap=workspace_pop
$(ASKED_TESTS): $(BUILD)/tests/cuda/%: $(ASKED)/tests/cuda/%.o $(ASKED_OBJ) $(ORACLE) $(BUILD)/libkernels.a \
                $(BUILD)/libbase.a $(BUILD)/tests/cuda/driver/libcuda.so.1
	$(call link,$(BUILD)/libbase.a -Wl$(comma)--no-as-needed $(BUILD)/tests/cuda/driver/libcuda.so.1 \
	    -Wl$(comma)-rpath$(comma)'$$ORIGIN/driver' -L$(CUDA_HOME)/lib64 \
	    -Wl$(comma)-rpath$(comma)$(CUDA_HOME)/lib64 -lcudnn -lcublasLt $(LIBS_LEAN) -lcmocka)
else
$(ASKED_TESTS): $(BUILD)/tests/cuda/%: $(BUILD)/tests/cuda/absent.o | $(VERSION_OBJ)
	$(call link,)
endif

.PHONY: unit-tests kernel-tests double-tests gpu-checks test-threads
# What only backends on the host have
HOST_TESTS := $(BUILD)/tests/unit/test_instructions
UNIT_TESTS := $(call tests_of,unit,test_*) $(call tests_of,golden,test_*)
ifneq ($(filter cuda%,$(BACKEND)),)
UNIT_TESTS := $(filter-out $(HOST_TESTS),$(UNIT_TESTS)) $(filter-out $(ASKED_TESTS),$(call tests_of,cuda,test_*))
else
UNIT_TESTS += $(ASKED_TESTS)
endif
KERNEL_TESTS := $(call tests_of,unit,test_kernels_*) $(BUILD)/tests/unit/test_device
unit-tests: $(UNIT_TESTS) $(call tests_of,programs,*) $(BUILD)/tests/programs/mutations
kernel-tests: $(KERNEL_TESTS) $(addprefix $(BUILD)/tests/unit/,test_recordings test_batch_feed)
# What the build of the CUDA kernels for the host is for: those, the collectives over a fake of NCCL, and weights that
# are copied from pinned host memory beside the device's work.
SHIM_TESTS := $(addprefix $(BUILD)/tests/unit/,test_comm test_sequence test_ranks test_streamed test_network_weights) \
              $(call tests_of,shim,test_*)
.PHONY: shim-tests
shim-tests: kernel-tests $(SHIM_TESTS)
ifeq ($(TYPE),double)
double-tests: $(call tests_of,double,test_*) $(call tests_of,golden,test_*)
else
double-tests:
	+$(MAKE) BACKEND=ref TYPE=double double-tests
endif

# What scripts/gpu_check.sh carries to a machine that has CUDA's libraries alone: linked with what they use and no more.
GPU_CHECKS := $(KERNEL_TESTS:$(BUILD)/tests/unit/%=$(BUILD)/gpu/%) \
              $(addprefix $(BUILD)/gpu/,test_recordings test_session test_batch_feed) \
              $(addprefix $(BUILD)/gpu/,stage_trace bench_dit gpu_smoke nccl_one_rank)
gpu-checks: $(GPU_CHECKS)
$(BUILD)/gpu/%: $(BUILD)/tests/unit/%.o $(LIBRARIES) $(ORACLE)
	$(link_bare)
$(BUILD)/gpu/%: $(BUILD)/tests/gpu/%.o $(LIBRARIES) $(ORACLE)
	$(link_bare)
$(BUILD)/gpu/%: $(BUILD)/programs/lean/%.o $(LIBRARIES)
	$(link_bare)
# NCCL is bound to the one program that is about it.
$(BUILD)/gpu/nccl_one_rank: LIBS_FULL += -lnccl
$(BUILD)/gpu/nccl_one_rank: $(BUILD)/tests/gpu/nccl_one_rank.o $(BUILD)/tests/gpu/nccl.o $(LIBRARIES)
	$(link_bare)
$(BUILD)/tests/gpu/nccl.o: comm/nccl.c
	@mkdir -p $(dir $@)
	$(call say,cc)
	$(Q)$(CC) $(CFLAGS) -DHAVE_NCCL -MMD -MP -c $< -o $@
define link_bare
	$(call link,-Wl$(comma)-rpath$(comma)'$$ORIGIN' -Wl$(comma)--as-needed \
	    $(filter-out -Wl%,$(LIBS_FULL) $(LIBS_LEAN)) -lcmocka)
endef
comma := ,

DOUBLE   := $(if $(filter double,$(TYPE)),$(BUILD),build/ref-double$(CHECKED))
SHIM     := build/cuda-shim-bf16$(if $(filter 1,$(SANITIZE)),-sanitize)
test: setup
	+@$(MAKE) --no-print-directory programs examples unit-tests double-tests
	+@$(if $(filter cuda%,$(BACKEND)),:,$(MAKE) --no-print-directory BACKEND=cuda-shim TYPE=bf16 GUARD=0 shim-tests)
	@SHIM=$(SHIM) BIN=$(BIN) BUILD=$(BUILD) DOUBLE=$(DOUBLE) sh tests/run.sh

THREADS  := build/ref-float-threads
# Those that run no kernel: the sanitizer does not follow the shim's fibers.
THREAD_SHIM_TESTS := $(addprefix build/cuda-shim-float-threads/tests/,shim/test_nccl unit/test_comm)
THREAD_TESTS := test_comm test_comm_faults test_comm_launch test_train_state test_sequence test_session test_live
test-threads: setup
	+@$(MAKE) --no-print-directory SANITIZE=thread CC=clang CXX=clang++ BACKEND=ref TYPE=float \
	    $(THREAD_TESTS:%=$(THREADS)/tests/unit/%) \
	    $(addprefix $(THREADS)/bin/,$(shell . scripts/stages.sh; echo $$stages) export stream serve) \
	    $(addprefix $(THREADS)/tests/programs/,tiny_dataset voices live_client)
	+@$(MAKE) --no-print-directory SANITIZE=thread CC=clang CXX=clang++ BACKEND=cuda-shim TYPE=float \
	    $(THREAD_SHIM_TESTS)
	@sh scripts/thread_sanitizer.sh $(THREADS) $(THREAD_SHIM_TESTS) $(THREAD_TESTS)

# Damaged files through every reader and the programs (scripts/mutations.sh): COUNT of each kind of damage, 30 minutes
# on two cores.
.PHONY: mutations mutation-programs
MUTATION_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/mutations/*.c))
$(BUILD)/tests/programs/mutations: $(MUTATION_OBJ) $(LIBRARIES)
	$(call link,$(LIBS_FULL) $(LIBS_LEAN))
mutation-programs: $(call tests_of,programs,*) $(BUILD)/tests/programs/mutations
mutations: setup
	+@$(MAKE) --no-print-directory programs mutation-programs
	BIN=$(BIN) BUILD=$(BUILD) sh scripts/mutations.sh

# Against PyTorch, Diffusers, Transformers and PEFT of today (SET=2024: those that the golden files were made with).
.PHONY: parity
parity: setup
	+@$(MAKE) --no-print-directory programs mutation-programs
	BIN=$(BIN) BUILD=$(BUILD) sh scripts/parity.sh $(or $(SET),today)
