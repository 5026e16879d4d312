/*
 * Direct start of a kernel on a Macintosh: an ELF program, laid out in memory where OpenBIOS is told to find it.
 *
 * The firmware starts it at its first byte, as Linux's is its entry. Memory from 16 MiB up: kernel, a gap for what it
 * has beyond its file, initial RAM disk, command line.
 */
#include "hw/boards/elf.h"
#include "hw/boards/kernel-internal.h"
#include "hw/boards/mac.h"
#include "target/ppc/cpu.h"
#include "util/bits.h"
#include "util/error.h"

#include <elf.h>
#include <string.h>

enum { LOAD_ADDR = 0x01000000, ADDRESS_BITS = 0x0fffffff, GAP = 0x100000 };

typedef struct MacSegment {
    uint64_t offset, size; /* in the file */
    uint32_t addr;         /* in memory */
} MacSegment;

static bool kernel_error(const char *what, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "kernel '%s' %s", machine_config.kernel, what);
    return false;
}

static bool check_elf(const ElfFile *e, GError **error)
{
    if (e->little) {
        return kernel_error("is little-endian, and a Macintosh is big-endian", error);
    }
    if (e->machine != (e->is64 ? EM_PPC64 : EM_PPC)) {
        return kernel_error("is not for PowerPC", error);
    }
    return !e->is64 || ppc_is_64bit(cpu_get(0)) || kernel_error("is for 64-bit processors (-cpu 970fx in myna-system-ppc64)", error);
}

/* A Linux that knows neither the platform nor the processor says nothing and does nothing. */
static bool check_linux(const ElfFile *e, GError **error)
{
    if (!memmem(e->data, e->size, "Linux version ", 14)) {
        return true;
    }
    if (!memmem(e->data, e->size, "PowerMac", 8)) {
        return kernel_error("is a Linux kernel for another machine: it does not know 'PowerMac'", error);
    }
    return e->is64 || !ppc_is_64bit(cpu_get(0)) || memmem(e->data, e->size, "PPC970", 6) ||
           kernel_error("is a Linux kernel for 32-bit processors (-cpu 7400)", error);
}

/* Returns where its memory ends; 0: it does not fit. */
static uint64_t add_segment(Mac *mac, const ElfSegment *s)
{
    uint64_t addr = LOAD_ADDR + (s->virt & ADDRESS_BITS);
    MacSegment segment = { s->offset, s->file_size, addr };

    if (s->size > machine_config.ram_size || addr + s->size > machine_config.ram_size) {
        return 0;
    }
    g_array_append_val(mac->segments, segment);
    return addr + s->size;
}

static bool read_elf(Mac *mac, const char *data, gsize size, uint64_t *end, GError **error)
{
    g_autoptr(GArray) segments = NULL;
    ElfFile e;

    if (!elf_open(&e, data, size)) {
        return kernel_error("is no ELF program, which is what a Macintosh's firmware starts", error);
    }
    if (!check_elf(&e, error) || !check_linux(&e, error)) {
        return false;
    }
    segments = elf_segments(&e);
    if (!segments) {
        return kernel_error("is damaged", error);
    }
    for (guint i = 0; i < segments->len; i++) {
        uint64_t segment_end = add_segment(mac, &g_array_index(segments, ElfSegment, i));

        if (!segment_end) {
            return kernel_error("does not fit into memory", error);
        }
        *end = MAX(*end, segment_end);
    }
    return segments->len || kernel_error("has nothing to load", error);
}

static void place(uint32_t addr, GBytes *bytes)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);

    memory_write(memory_system(), addr, data, size);
}

/* A running kernel has moved and used what was there. */
static void lay_out(void *opaque)
{
    Mac *mac = opaque;
    const uint8_t *file = g_bytes_get_data(mac->kernel, NULL);
    const char *append = machine_config.append ? machine_config.append : "";

    memory_fill(memory_system(), mac->kernel_addr, 0, mac->kernel_size);
    for (guint i = 0; i < mac->segments->len; i++) {
        const MacSegment *s = &g_array_index(mac->segments, MacSegment, i);

        memory_write(memory_system(), s->addr, file + s->offset, s->size);
    }
    if (mac->initrd) {
        place(mac->initrd_addr, mac->initrd);
    }
    memory_write(memory_system(), mac->cmdline_addr, append, strlen(append) + 1);
}

static bool read_initrd(Mac *mac, uint64_t at, GError **error)
{
    char *data;
    gsize size;

    if (!machine_config.initrd) {
        return true;
    }
    if (!kernel_read_file("initial RAM disk", machine_config.initrd, &data, &size, error)) {
        return false;
    }
    mac->initrd = g_bytes_new_take(data, size);
    mac->initrd_addr = at;
    if (at + size > machine_config.ram_size) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "initial RAM disk '%s' does not fit into memory", machine_config.initrd);
        return false;
    }
    return true;
}

bool mac_load_kernel(Mac *mac, GError **error)
{
    uint64_t end = 0;
    char *data;
    gsize size;

    if (!machine_config.kernel) {
        if (machine_config.initrd || machine_config.append) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s needs -kernel", machine_config.initrd ? "-initrd" : "-append");
            return false;
        }
        return true;
    }
    if (!kernel_read_file("kernel", machine_config.kernel, &data, &size, error)) {
        return false;
    }
    mac->kernel = g_bytes_new_take(data, size);
    mac->segments = g_array_new(FALSE, FALSE, sizeof(MacSegment));
    if (!read_elf(mac, data, size, &end, error)) {
        return false;
    }
    mac->kernel_addr = LOAD_ADDR;
    mac->kernel_size = end - LOAD_ADDR;
    end = round_up(end + GAP, GUEST_PAGE_SIZE);
    if (!read_initrd(mac, end, error)) {
        return false;
    }
    mac->cmdline_addr = round_up(end + (mac->initrd ? g_bytes_get_size(mac->initrd) : 0), GUEST_PAGE_SIZE);
    machine_on_reset(lay_out, mac);
    return true;
}
