# cuda.mk: what BACKEND=cuda (NVIDIA's compiler and libraries) and BACKEND=cuda-shim (the same kernels on the host, for
# tests) add.
#   CUDA_HOME=/usr/local/cuda   CUDA_ARCH="80 90a 100 120"   NCCL=0: without it
# A device takes nothing from kernels/ref: a function of kernels.h that it lacks is a link error.
ifeq ($(GUARD),1)
$(error GUARD=1 is for backends whose device memory the host can see: ref, cpu)
endif
LIBS_LEAN += -lstdc++
CUDA_SRC  := $(foreach e,c cu,$(wildcard kernels/cuda/*.$(e) kernels/cuda/*/*.$(e)))
CUDA_TYPE := $(if $(filter bf16,$(TYPE)),-DTYPE_BF16)

ifeq ($(BACKEND),cuda)
CUDA_HOME ?= /usr/local/cuda
CUDA_ARCH ?= 80 90a 100 120
NVCC      ?= $(CUDA_HOME)/bin/nvcc
NCCL      ?= 1
BACKEND_SRC := $(CUDA_SRC)
CFLAGS    += -isystem $(CUDA_HOME)/include
# Never -lcuda: the libraries load the driver themselves, so that a program starts without one and can say so.
LIBS_LEAN += -L$(CUDA_HOME)/lib64 -Xlinker -rpath -Xlinker $(CUDA_HOME)/lib64 -lcublasLt -lcudnn -lcudart
ifeq ($(NCCL),1)
$(BUILD)/comm/nccl.o: CFLAGS += -DHAVE_NCCL
LIBS_FULL += -lnccl
endif
# nvcc's report of registers must show no spills.
NVCCFLAGS := -std=c++17 -O3 -lineinfo -ftz=true \
             $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$(a),code=sm_$(a)) -Xptxas -v \
             -Xcompiler -Wall,-Wno-unknown-pragmas -I. $(CUDA_TYPE)
$(BUILD)/%.o: %.cu scripts/ptxas_gate.sh
	@mkdir -p $(dir $@)
	$(call say,nvcc)
	$(Q)$(NVCC) $(NVCCFLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@ 2>$@.log || { cat $@.log >&2; rm -f $@; exit 1; }
	$(Q)sh scripts/ptxas_gate.sh $@.log || { rm -f $@; exit 1; }
else
# Our own kernels alone, built by g++, without the sources that call NVIDIA's libraries. In tests/shim, libraries.c
# stands in place of cuBLASLt and cuDNN, and nccl.cpp in place of NCCL.
THEIRS    := %/gemm_lt.c %/gemm_plan.c %/gemm_timed.c kernels/cuda/cudnn/% %_cudnn.c %_library.c
BACKEND_SRC := $(filter-out $(THEIRS),$(CUDA_SRC)) tests/shim/libraries.c $(wildcard tests/shim/*.cpp)
SHIMFLAGS := -std=c++17 -O2 -g -Wall -Werror -Wno-unknown-pragmas -ffp-contract=on -Itests/shim -I. $(CUDA_TYPE) \
             $(filter -fsanitize% -fno-%,$(CFLAGS))
$(BUILD)/%.o: %.cu
	@mkdir -p $(dir $@)
	$(call say,c++)
	$(Q)$(CXX) $(SHIMFLAGS) -MMD -MP -x c++ -c $< -o $@
$(BUILD)/%.o: %.cpp
	@mkdir -p $(dir $@)
	$(call say,c++)
	$(Q)$(CXX) $(SHIMFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/kernels/cuda/%.o $(BUILD)/tests/shim/%.o $(BUILD)/comm/nccl.o: CFLAGS += -Itests/shim
$(BUILD)/comm/nccl.o: CFLAGS += -DHAVE_NCCL
endif
