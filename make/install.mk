# install.mk: what `make install` puts where, and `make uninstall` takes away again; `make dist`. See docs/packaging.md.
#   PREFIX=/usr/local   DESTDIR=
# In PREFIX: bin/streamavatar; libexec/streamavatar, the programs; share/streamavatar, configs and scripts;
# share/doc/streamavatar; share/man/man1, a page a command; bash completion. The command finds all of it from its own
# place, so the tree may be moved.
PREFIX   ?= /usr/local
DESTDIR  ?=
INSTALL  ?= install
AT       := $(DESTDIR)$(PREFIX)
LIBEXEC  := $(AT)/libexec/streamavatar
SHARE    := $(AT)/share/streamavatar
DOC      := $(AT)/share/doc/streamavatar
MAN      := $(AT)/share/man/man1
COMPLETE := $(AT)/share/bash-completion/completions
# The scripts that are commands say so themselves; they read stages.sh.
COMMAND_SCRIPTS := $(shell grep -l '^\# usage: streamavatar' scripts/*.sh)
NAME     := streamavatar-$(shell cat VERSION)

.PHONY: install uninstall dist man
man: programs
	@rm -rf $(BUILD)/man
	@sh scripts/manual.sh $(BIN) $(BUILD)/man
install: man
	$(INSTALL) -d $(AT)/bin $(LIBEXEC) $(SHARE)/scripts $(SHARE)/configs/slurm $(DOC)/docs $(MAN) $(COMPLETE)
	$(INSTALL) -m 755 $(BIN)/streamavatar $(AT)/bin
	$(INSTALL) -m 755 $(filter-out %/streamavatar,$(PROGRAMS)) $(LIBEXEC)
	$(INSTALL) -m 755 $(COMMAND_SCRIPTS) $(SHARE)/scripts
	$(INSTALL) -m 644 scripts/stages.sh $(SHARE)/scripts
	$(INSTALL) -m 644 $(wildcard configs/*.*) $(SHARE)/configs
	$(INSTALL) -m 644 $(wildcard configs/slurm/*) $(SHARE)/configs/slurm
	$(INSTALL) -m 644 README.md CHANGELOG.md LICENSE $(DOC)
	$(INSTALL) -m 644 $(wildcard docs/*.*) $(DOC)/docs
	$(INSTALL) -m 644 $(BUILD)/man/*.1 $(MAN)
	$(INSTALL) -m 644 scripts/completion.bash $(COMPLETE)/streamavatar
uninstall:
	rm -rf $(AT)/bin/streamavatar $(LIBEXEC) $(SHARE) $(DOC)
	rm -f $(MAN)/streamavatar.1 $(MAN)/streamavatar-*.1 $(COMPLETE)/streamavatar

# A tree without git knows its commit from the file COMMIT.
dist:
	@mkdir -p $(BUILD)/dist
	@git rev-parse --short=12 HEAD >$(BUILD)/dist/COMMIT
	git archive --prefix=$(NAME)/ --add-file=$(BUILD)/dist/COMMIT HEAD | gzip -n9 >build/$(NAME).tar.gz
