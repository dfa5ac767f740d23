# fuzz.mk: fuzzing every reader of foreign files (tests/fuzz/fuzz.h). The corpus is replayed by test_fuzz_corpus, which
# needs no clang.
FUZZ_NAMES := $(shell sed -n 's/^ *X(\([a-z_]*\)).*/\1/p' tests/fuzz/fuzz.h)
FUZZ_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/fuzz_*.c))
TIME     ?= 600

.PHONY: fuzz fuzz-targets
$(BUILD)/tests/unit/test_fuzz_corpus: $(FUZZ_OBJ)
$(BUILD)/fuzz/%: tests/fuzz/target.c $(FUZZ_OBJ) $(LIBRARIES)
	$(call link,$(CFLAGS) -DFUZZ_TARGET=fuzz_$* $(LIBS_FULL) $(LIBS_LEAN))
fuzz-targets: $(FUZZ_NAMES:%=$(BUILD)/fuzz/%)
fuzz:
	+@$(MAKE) --no-print-directory FUZZ=1 CC=clang CXX=clang++ BACKEND=ref TYPE=float fuzz-targets
	@sh tests/fuzz/run.sh $(TIME) build/ref-float-fuzz/fuzz $(or $(ONLY),$(FUZZ_NAMES))
