# Everyday commands; the build itself is meson's.  make help
BUILD ?= build
ISO ?=
RUN_ARGS ?=

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

help:
	@echo "make run [ISO=file.iso]  boot a real guest in a window, or on the terminal without a display"
	@echo "make check               build and test (under 25 minutes)"
	@echo "make check-full          that, the sanitizer build and the long guests"
	@echo "make fuzz-images         damaged disk images, without end"
	@echo "make fuzz-cpu            the host processor as oracle for x86, without end [SEED=n MODE=64|32|16]"
	@echo "make fuzz-cpu-long       the same in parts that add up in a log [LOG=file PARTS=n]"
	@echo "make bench               speed against Debian's qemu-system"
	@echo "make install, make clean"

$(BUILD)/build.ninja:
	./configure --install-deps --build=$(BUILD)

run: all
	scripts/run-demo $(BUILD) "$(ISO)" $(RUN_ARGS)

check: all
	scripts/check $(BUILD)

check-full: all
	scripts/check $(BUILD) --full

fuzz-images: all
	ninja -C $(BUILD) fuzz-images

SEED ?= $(shell date +%s)
MODE ?= all
fuzz-cpu: $(BUILD)/build.ninja
	ninja -C $(BUILD) tests/fuzz-cpu
	$(BUILD)/tests/fuzz-cpu --keep-going --seed $(SEED) --mode $(MODE)

LOG ?=
PARTS ?= 0
fuzz-cpu-long: $(BUILD)/build.ninja
	ninja -C $(BUILD) tests/fuzz-cpu
	python3 tests/insn/oracle/long.py $(BUILD)/tests/fuzz-cpu $(if $(LOG),--log $(LOG)) --parts $(PARTS) --mode $(MODE)

bench: all
	scripts/bench $(BUILD)

install: all
	meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-sanitize

.PHONY: all help run check check-full fuzz-images fuzz-cpu fuzz-cpu-long bench install clean
