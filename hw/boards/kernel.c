/*
 * Direct start of a kernel: reads the files, lays them out in guest memory, and leaves the copying
 * to a boot ROM of ours.
 *
 * Linux is described by its Documentation/arch/x86/boot.rst: a real-mode part with a header full
 * of facts, then the kernel proper. The rest of that layout is ours:
 *
 *     10000  real-mode part, its heap and stack     20000  command line
 *     100000 kernel                                 top of memory (as the header allows): initrd
 */
#include "hw/boards/kernel.h"

#include "core/machine.h"
#include "hw/boards/kernel-internal.h"
#include "hw/nvram/fw_cfg.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/huge-pages.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, PAGE = 4096, MIB = 1 << 20 };

/* Offsets in the real-mode part. */
enum {
    SETUP_SECTS = 0x1f1, VID_MODE = 0x1fa, OLD_MAGIC = 0x20, OLD_CMDLINE = 0x22, BOOT_FLAG = 0x1fe,
    HEADER = 0x202, VERSION = 0x206, TYPE_OF_LOADER = 0x210, LOADFLAGS = 0x211,
    RAMDISK_IMAGE = 0x218, RAMDISK_SIZE = 0x21c, HEAP_END = 0x224, CMDLINE_POINTER = 0x228,
    INITRD_ADDR_MAX = 0x22c, CMDLINE_LIMIT = 0x238, PREF_ADDRESS = 0x258, INIT_SIZE = 0x260,
    HEADER_END = 0x264,
};
enum { LOADED_HIGH = 1, CAN_USE_HEAP = 0x80 };
enum { OLD_CMDLINE_MAGIC = 0xa33f, LOADER_ID = 0xb0, SETUP_SECTS_OLD = 4 };
#define HEADER_MAGIC    0x53726448 /* "HdrS" */
#define OLD_INITRD_MAX  0x37ffffff
#define LOW_TABLES_ROOM MIB /* the BIOS keeps tables at the end of memory */

/* Memory whose pages are there: huge ones, one for each 512, or all at once, as a fault for each takes longer. */
static void *map_room(size_t size)
{
    size_t align = size >= HUGE_PAGE ? HUGE_PAGE : 4096;
    void *room = NULL;

    if (posix_memalign(&room, align, round_up(size, align)) != 0) {
        return NULL;
    }
    if (align == HUGE_PAGE) {
        madvise(room, round_up(size, align), MADV_HUGEPAGE); /* a wish */
    } else {
        touch_pages(room, round_up(size, align));
    }
    return room;
}

/*
 * A large file in one go. False, without a word, if that is not to be; `data` is freed like GLib's. A pipe is not even
 * opened: whoever writes into it would find its reader gone.
 */
static bool read_large(const char *path, char **data, gsize *size)
{
    enum { LARGE = 64 * 1024 };
    struct stat st;
    int fd = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *room = NULL;
    gsize n = 0;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= LARGE && (room = map_room(st.st_size))) {
        ssize_t got = 1;

        while (n < (gsize)st.st_size && got > 0) {
            got = read(fd, (char *)room + n, st.st_size - n);
            n += MAX(got, 0);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    if (!n || n < (gsize)st.st_size) {
        free(room);
        return false;
    }
    *data = room;
    *size = n;
    return true;
}

bool kernel_read_file(const char *what, const char *path, char **data, gsize *size, GError **error)
{
    g_autoptr(GError) inner = NULL;

    if (read_large(path, data, size) || g_file_get_contents(path, data, size, &inner)) {
        return true;
    }
    /* GLib's message names the file its own way. */
    if (g_error_matches(inner, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s '%s' does not exist", what, path);
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read %s '%s': %s", what, path,
                    inner->message);
    }
    return false;
}

static void add_bytes(Device *fw_cfg, const KernelItem *item, uint32_t addr, GBytes *bytes)
{
    fw_cfg_add_u32(fw_cfg, item->addr, addr);
    fw_cfg_add_u32(fw_cfg, item->size, g_bytes_get_size(bytes));
    fw_cfg_add_bytes(fw_cfg, item->data, bytes);
}

void kernel_add_item(Device *fw_cfg, const KernelItem *item, uint32_t addr, const void *data,
                     size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);

    add_bytes(fw_cfg, item, addr, bytes);
}

/* The BIOS starts ROMs of the "genroms" folder and knows their entries by these names. */
bool kernel_add_rom(Device *fw_cfg, const char *name, GError **error)
{
    g_autofree char *file = g_strdup_printf("myna-%s", name);
    g_autofree char *path = firmware_find(file), *data = NULL;
    g_autofree char *item = g_strdup_printf("genroms/%s", name);
    g_autofree char *order = NULL;
    const char *others = fw_cfg_file_data(fw_cfg, "bootorder", NULL);
    gsize size;

    if (!path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "firmware '%s' not found", file);
        return false;
    }
    if (!kernel_read_file("boot ROM", path, &data, &size, error)) {
        return false;
    }
    order = g_strdup_printf("/rom@%s%s%s", item, others ? "\n" : "", others ? others : "");
    fw_cfg_add_file(fw_cfg, item, data, size);
    fw_cfg_add_file(fw_cfg, "bootorder", order, strlen(order) + 1);
    return true;
}

typedef struct Linux {
    GBytes *file;
    uint8_t *setup; /* the real-mode part, in the file */
    size_t setup_size, kernel_size;
    unsigned version;
    uint32_t setup_addr, kernel_addr, cmdline_addr;
} Linux;

static bool linux_parse(Linux *l, uint8_t *file, size_t size)
{
    unsigned sectors;

    if (size < HEADER_END || load_le16(file + BOOT_FLAG) != 0xaa55) {
        return false;
    }
    if (load_le32(file + HEADER) == HEADER_MAGIC) {
        l->version = load_le16(file + VERSION);
    }
    sectors = file[SETUP_SECTS] ? file[SETUP_SECTS] : SETUP_SECTS_OLD;
    l->setup = file;
    l->setup_size = (sectors + 1) * SECTOR;
    if (l->version < 0x200 || l->setup_size >= size) {
        return false;
    }
    l->kernel_size = size - l->setup_size;
    if (file[LOADFLAGS] & LOADED_HIGH) {
        l->setup_addr = 0x10000;
        l->kernel_addr = MIB;
        l->cmdline_addr = 0x20000;
    } else {
        l->setup_addr = 0x90000;
        l->kernel_addr = 0x10000;
        l->cmdline_addr = 0x99000;
    }
    return true;
}

static void set_video_mode(Linux *l, const char *cmdline)
{
    static const struct {
        const char *name;
        uint16_t mode;
    } names[] = { { "normal", 0xffff }, { "ext", 0xfffe }, { "ask", 0xfffd } };
    const char *vga = g_str_has_prefix(cmdline, "vga=") ? cmdline : strstr(cmdline, " vga=");
    uint16_t mode;

    if (!vga) {
        return;
    }
    vga = strchr(vga, '=') + 1;
    mode = strtoul(vga, NULL, 0);
    for (size_t n = 0; n < G_N_ELEMENTS(names); n++) {
        if (g_str_has_prefix(vga, names[n].name)) {
            mode = names[n].mode;
        }
    }
    store_le16(l->setup + VID_MODE, mode);
}

static bool add_cmdline(Linux *l, Device *fw_cfg, GError **error)
{
    static const KernelItem item = { FW_CFG_CMDLINE_ADDR, FW_CFG_CMDLINE_SIZE,
                                     FW_CFG_CMDLINE_DATA };
    const char *text = machine_config.append ? machine_config.append : "";
    uint32_t limit = l->version >= 0x206 ? load_le32(l->setup + CMDLINE_LIMIT) : 255;
    size_t length = strlen(text);

    if (length > MIN(limit, 0xffff)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "command line of %zu characters is too long: kernel '%s' takes %u", length,
                    machine_config.kernel, limit);
        return false;
    }
    set_video_mode(l, text);
    if (l->version >= 0x202) {
        store_le32(l->setup + CMDLINE_POINTER, l->cmdline_addr);
    } else {
        store_le16(l->setup + OLD_MAGIC, OLD_CMDLINE_MAGIC);
        store_le16(l->setup + OLD_CMDLINE, l->cmdline_addr - l->setup_addr);
    }
    kernel_add_item(fw_cfg, &item, l->cmdline_addr, text, length + 1);
    return true;
}

/* Where the kernel's own memory ends while it starts. */
static uint64_t kernel_end(const Linux *l)
{
    uint64_t end = (uint64_t)l->kernel_addr + l->kernel_size;

    if (l->version >= 0x20a) {
        uint64_t start = MAX(load_le64(l->setup + PREF_ADDRESS), l->kernel_addr);

        end = MAX(end, start + load_le32(l->setup + INIT_SIZE));
    }
    return end;
}

static bool add_initrd(Linux *l, Device *fw_cfg, uint64_t low_ram, GError **error)
{
    static const KernelItem item = { FW_CFG_INITRD_ADDR, FW_CFG_INITRD_SIZE,
                                     FW_CFG_INITRD_DATA };
    const char *path = machine_config.initrd;
    g_autoptr(GBytes) bytes = NULL;
    g_autofree char *data = NULL;
    uint64_t end = l->version >= 0x203 ? load_le32(l->setup + INITRD_ADDR_MAX) : OLD_INITRD_MAX;
    uint64_t addr;
    gsize size;

    if (!path) {
        fw_cfg_add_u32(fw_cfg, FW_CFG_INITRD_ADDR, 0);
        fw_cfg_add_u32(fw_cfg, FW_CFG_INITRD_SIZE, 0);
        return true;
    }
    if (!kernel_read_file("initrd", path, &data, &size, error)) {
        return false;
    }
    end = MIN(end + 1, low_ram - MIN(low_ram, LOW_TABLES_ROOM));
    addr = size < end ? (end - size) & -PAGE : 0;
    if (addr < kernel_end(l)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "initrd '%s' of %zu KiB is too large for %" G_GUINT64_FORMAT
                    " MiB of memory with this kernel",
                    path, size / 1024, machine_config.ram_size / MIB);
        return false;
    }
    store_le32(l->setup + RAMDISK_IMAGE, addr);
    store_le32(l->setup + RAMDISK_SIZE, size);
    bytes = g_bytes_new_take(g_steal_pointer(&data), size);
    add_bytes(fw_cfg, &item, addr, bytes);
    return true;
}

static bool linux_load(Linux *l, Device *fw_cfg, uint64_t low_ram, GError **error)
{
    static const KernelItem setup = { FW_CFG_SETUP_ADDR, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA };
    static const KernelItem kernel = { FW_CFG_KERNEL_ADDR, FW_CFG_KERNEL_SIZE,
                                       FW_CFG_KERNEL_DATA };
    g_autoptr(GBytes) bytes = NULL;

    if (l->kernel_addr + (uint64_t)l->kernel_size > low_ram) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "kernel '%s' is larger than memory",
                    machine_config.kernel);
        return false;
    }
    l->setup[TYPE_OF_LOADER] = LOADER_ID;
    if (l->version >= 0x201) {
        l->setup[LOADFLAGS] |= CAN_USE_HEAP;
        store_le16(l->setup + HEAP_END, MIN(l->cmdline_addr - l->setup_addr, 0x10000) - SECTOR);
    }
    if (!add_cmdline(l, fw_cfg, error) || !add_initrd(l, fw_cfg, low_ram, error)) {
        return false;
    }
    kernel_add_item(fw_cfg, &setup, l->setup_addr, l->setup, l->setup_size);
    bytes = g_bytes_new_from_bytes(l->file, l->setup_size, l->kernel_size);
    add_bytes(fw_cfg, &kernel, l->kernel_addr, bytes);
    return kernel_add_rom(fw_cfg, "linuxboot.bin", error);
}

bool kernel_load(Device *fw_cfg, uint64_t low_ram, GError **error)
{
    g_autoptr(GBytes) file = NULL;
    Linux l = { 0 };
    char *data;
    gsize size;

    if (!machine_config.kernel) {
        if (machine_config.initrd || machine_config.append) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s needs -kernel",
                        machine_config.initrd ? "-initrd" : "-append");
            return false;
        }
        return true;
    }
    if (!kernel_read_file("kernel", machine_config.kernel, &data, &size, error)) {
        return false;
    }
    file = l.file = g_bytes_new_take(data, size); /* most of it goes on as it is, without a copy */
    if (multiboot_probe((uint8_t *)data, size)) {
        return multiboot_load((uint8_t *)data, size, fw_cfg, low_ram, error);
    }
    if (linux_parse(&l, (uint8_t *)data, size)) {
        return linux_load(&l, fw_cfg, low_ram, error);
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER,
                "'%s' is no kernel that can be started: neither a Linux bzImage nor multiboot",
                machine_config.kernel);
    return false;
}
