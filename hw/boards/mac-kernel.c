/*
 * Direct start of a kernel on a Macintosh: an ELF program, laid out in memory where OpenBIOS is told to find it.
 *
 * The firmware starts it at its first byte, as Linux's is its entry. Memory from 16 MiB up: kernel, a gap for what it
 * has beyond its file, initial RAM disk, command line.
 */
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

typedef struct ElfTable {
    uint64_t offset;
    unsigned count, step;
    bool is_64bit;
} ElfTable;

static bool kernel_error(const char *what, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "kernel '%s' %s", machine_config.kernel, what);
    return false;
}

static bool read_header(const uint8_t *data, uint64_t size, ElfTable *table, GError **error)
{
    const Elf32_Ehdr *h32 = (const Elf32_Ehdr *)data;
    const Elf64_Ehdr *h64 = (const Elf64_Ehdr *)data;

    if (size < sizeof(Elf64_Ehdr) || memcmp(data, ELFMAG, SELFMAG) != 0) {
        return kernel_error("is no ELF program, which is what a Macintosh's firmware starts", error);
    }
    if (data[EI_DATA] != ELFDATA2MSB) {
        return kernel_error("is little-endian, and a Macintosh is big-endian", error);
    }
    table->is_64bit = data[EI_CLASS] == ELFCLASS64;
    if (load_be16(&h32->e_machine) != (table->is_64bit ? EM_PPC64 : EM_PPC)) {
        return kernel_error("is not for PowerPC", error);
    }
    if (table->is_64bit && !ppc_is_64bit(cpu_get(0))) {
        return kernel_error("is for 64-bit processors (-cpu 970fx in myna-system-ppc64)", error);
    }
    table->offset = table->is_64bit ? load_be64(&h64->e_phoff) : load_be32(&h32->e_phoff);
    table->count = load_be16(table->is_64bit ? &h64->e_phnum : &h32->e_phnum);
    table->step = load_be16(table->is_64bit ? &h64->e_phentsize : &h32->e_phentsize);
    if (table->step < (table->is_64bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || table->offset > size ||
        table->count * (uint64_t)table->step > size - table->offset) {
        return kernel_error("is damaged", error);
    }
    return true;
}

/* One program header; end is moved up to where its memory ends. */
static bool read_segment(Mac *mac, const uint8_t *p, bool is_64bit, uint64_t file_size, uint64_t *end, GError **error)
{
    const Elf32_Phdr *p32 = (const Elf32_Phdr *)p;
    const Elf64_Phdr *p64 = (const Elf64_Phdr *)p;
    uint64_t offset = is_64bit ? load_be64(&p64->p_offset) : load_be32(&p32->p_offset);
    uint64_t size = is_64bit ? load_be64(&p64->p_filesz) : load_be32(&p32->p_filesz);
    uint64_t memory = is_64bit ? load_be64(&p64->p_memsz) : load_be32(&p32->p_memsz);
    uint64_t addr = LOAD_ADDR + ((is_64bit ? load_be64(&p64->p_vaddr) : load_be32(&p32->p_vaddr)) & ADDRESS_BITS);
    MacSegment segment = { offset, size, addr };

    if (load_be32(&p32->p_type) != PT_LOAD) {
        return true;
    }
    if (offset > file_size || size > file_size - offset || memory < size) {
        return kernel_error("is damaged", error);
    }
    if (memory > machine_config.ram_size || addr + memory > machine_config.ram_size) {
        return kernel_error("does not fit into memory", error);
    }
    g_array_append_val(mac->segments, segment);
    *end = MAX(*end, addr + memory);
    return true;
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
    ElfTable table;
    char *data;
    gsize size;

    if (!machine_config.kernel) {
        return true;
    }
    if (!kernel_read_file("kernel", machine_config.kernel, &data, &size, error)) {
        return false;
    }
    mac->kernel = g_bytes_new_take(data, size);
    mac->segments = g_array_new(FALSE, FALSE, sizeof(MacSegment));
    if (!read_header((uint8_t *)data, size, &table, error)) {
        return false;
    }
    for (unsigned i = 0; i < table.count; i++) {
        if (!read_segment(mac, (uint8_t *)data + table.offset + i * table.step, table.is_64bit, size, &end, error)) {
            return false;
        }
    }
    if (!mac->segments->len) {
        return kernel_error("has nothing to load", error);
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
