/*
 * Files of the pseries board: firmware, kernel and initial RAM disk, and where they go.
 *
 * Linux kernels are ELF files (System V ABI, chapter 4) that run wherever they are put; these go to 4 MiB, above SLOF.
 */
#include "hw/boards/elf.h"
#include "hw/boards/kernel-internal.h"
#include "hw/boards/pseries.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <elf.h>
#include <string.h>

enum { KERNEL_AT = 0x400000, INITRD_ALIGN = 0x20000, FIRMWARE_ROOM = 0x400000 };
#define PHYSICAL UINT64_C(0x0fffffff) /* of the addresses that kernels are linked to */
#define LINUX_32BIT UINT64_C(0xc0000000) /* what 32-bit ones are linked to */

/* Part of a file, and where in memory it goes; the rest up to `size` is zero. */
typedef struct KernelSegment {
    uint64_t addr, offset, file_size, size;
} KernelSegment;

static GBytes *read_bytes(const char *what, const char *path, GError **error)
{
    char *data;
    gsize size;

    return kernel_read_file(what, path, &data, &size, error) ? g_bytes_new_take(data, size) : NULL;
}

/* ---- the kernel ---- */

static bool refuse(const char *why, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "kernel '%s' %s", machine_config.kernel, why);
    return false;
}

static bool check_elf(const ElfFile *e, GError **error)
{
    if (e->machine != EM_PPC64 && e->machine != EM_PPC) {
        return refuse("is for another processor, not for PowerPC", error);
    }
    if (e->machine == EM_PPC && e->little) {
        return refuse("is 32-bit and little-endian, which no PowerPC machine runs", error);
    }
    /* What is inside of a zImage.pseries has 64 bits; its beginning, which runs where it lies, has 32. */
    return e->machine == EM_PPC64 || e->entry < LINUX_32BIT ||
           refuse("is a Linux kernel for 32-bit processors, such as a Macintosh's, not for this board's", error);
}

static bool add_segment(Pseries *m, const ElfSegment *from, GError **error)
{
    KernelSegment seg = {
        .addr = KERNEL_AT + (from->phys & PHYSICAL), .offset = from->offset, .file_size = from->file_size, .size = from->size,
    };

    if (seg.addr > machine_config.ram_size || seg.size > machine_config.ram_size - seg.addr) {
        return refuse("does not fit into memory", error);
    }
    m->kernel_size = MAX(m->kernel_size, seg.addr + seg.size - KERNEL_AT);
    g_array_append_val(m->segments, seg);
    return true;
}

static bool load_kernel(Pseries *m, GError **error)
{
    g_autoptr(GArray) segments = NULL;
    const void *data;
    gsize size;
    ElfFile e;

    m->kernel = read_bytes("kernel", machine_config.kernel, error);
    if (!m->kernel) {
        return false;
    }
    data = g_bytes_get_data(m->kernel, &size);
    if (!elf_open(&e, data, size)) {
        return refuse("is no ELF file: the pseries board starts vmlinux or zImage.pseries", error);
    }
    if (!check_elf(&e, error)) {
        return false;
    }
    segments = elf_segments(&e);
    if (!segments) {
        return refuse("is cut short", error);
    }
    m->segments = g_array_new(FALSE, FALSE, sizeof(KernelSegment));
    m->kernel_addr = KERNEL_AT;
    m->kernel_little = e.little;
    m->kernel_entry = KERNEL_AT + (e.entry & PHYSICAL);
    for (guint i = 0; i < segments->len; i++) {
        if (!add_segment(m, &g_array_index(segments, ElfSegment, i), error)) {
            return false;
        }
    }
    return m->segments->len || refuse("has nothing to load", error);
}

static bool load_initrd(Pseries *m, GError **error)
{
    gsize size;

    m->initrd = read_bytes("initrd", machine_config.initrd, error);
    if (!m->initrd) {
        return false;
    }
    size = g_bytes_get_size(m->initrd);
    m->initrd_addr = round_up(m->kernel_addr + m->kernel_size, INITRD_ALIGN);
    if (m->initrd_addr + size > MIN(machine_config.ram_size - PSERIES_TREE_MAX, UINT32_MAX)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "initrd '%s' of %zu KiB does not fit into %" G_GUINT64_FORMAT " MiB of memory",
                    machine_config.initrd, size / 1024, machine_config.ram_size >> 20);
        return false;
    }
    return true;
}

/* ---- the firmware ---- */

/* It is an image of memory from 0 on, which processors enter at 100h; SLOF's has a header before that. */
static bool check_firmware(GBytes *firmware, const char *path, GError **error)
{
    static const char magic[] = "magic123";
    enum { MAGIC_AT = 0x28, ENTRY = 0x100 };
    gsize size;
    const uint8_t *data = g_bytes_get_data(firmware, &size);
    const char *why = NULL;

    if (size > FIRMWARE_ROOM) {
        why = "is larger than 4 MiB";
    } else if (size >= SELFMAG && !memcmp(data, ELFMAG, SELFMAG)) {
        why = "is an ELF file, not an image of memory";
    } else if (size < ENTRY + 4 || !load_be32(data + ENTRY)) {
        why = "has no code at 100h, where processors begin";
    }
    if (why) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "firmware '%s' %s", path, why);
        return false;
    }
    if (memcmp(data + MAGIC_AT, magic, strlen(magic))) {
        log_warn("firmware '%s' has no header of SLOF; processors begin at 100h in it all the same", path);
    }
    return true;
}

static bool load_firmware(Pseries *m, GError **error)
{
    const char *name = machine_config.bios ? machine_config.bios : "slof.bin";
    g_autofree char *path = firmware_find(name);

    if (!path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "firmware '%s' not found (Debian package qemu-system-data); -machine x-vof=on with -kernel does without",
                    name);
        return false;
    }
    m->firmware = read_bytes("firmware", path, error);
    return m->firmware && check_firmware(m->firmware, path, error);
}

bool pseries_load_files(Pseries *m, GError **error)
{
    if (!machine_config.kernel && (machine_config.initrd || machine_config.append)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s needs -kernel", machine_config.initrd ? "-initrd" : "-append");
        return false;
    }
    if ((machine_config.kernel && !load_kernel(m, error)) || (machine_config.initrd && !load_initrd(m, error))) {
        return false;
    }
    if (m->own_firmware) {
        if (!m->kernel) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine x-vof=on needs -kernel: it has no firmware to boot from disks");
            return false;
        }
        return true;
    }
    return load_firmware(m, error);
}

static void place(uint64_t addr, GBytes *bytes)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);

    memory_write(memory_system(), addr, data, size);
}

void pseries_place_files(const Pseries *m)
{
    const uint8_t *kernel = m->kernel ? g_bytes_get_data(m->kernel, NULL) : NULL;

    for (guint i = 0; kernel && i < m->segments->len; i++) {
        const KernelSegment *seg = &g_array_index(m->segments, KernelSegment, i);

        memory_write(memory_system(), seg->addr, kernel + seg->offset, seg->file_size);
        memory_fill(memory_system(), seg->addr + seg->file_size, 0, seg->size - seg->file_size);
    }
    if (m->initrd) {
        place(m->initrd_addr, m->initrd);
    }
    if (m->firmware) {
        place(0, m->firmware);
    }
}
