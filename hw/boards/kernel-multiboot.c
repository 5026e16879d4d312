/*
 * Direct start of multiboot kernels (version 1 of the specification, 0.6.96).
 *
 * Everything is laid out here; the boot ROM only copies it, adds what the BIOS says about memory,
 * and jumps. Modules follow the kernel, each on a page of its own; the information structure with
 * what it points to is in low memory.
 */
#include "core/machine.h"
#include "hw/boards/kernel-internal.h"
#include "hw/nvram/fw_cfg.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <elf.h>

enum { PAGE = 4096, MIB = 1 << 20 };

/* The header in the image. */
enum { HEADER_WITHIN = 8192, HEADER_SIZE = 12, ADDRESSES_SIZE = 32 };
#define HEADER_MAGIC 0x1badb002
enum { WANTS_VIDEO = 1 << 2, HAS_ADDRESSES = 1 << 16, MUST_UNDERSTAND = 0xffff };
enum { KNOWN_FLAGS = 3 | WANTS_VIDEO }; /* pages for modules, and memory: always so */

/* The information structure, and what we keep behind it. */
enum { INFO_MEMORY = 1, INFO_CMDLINE = 4, INFO_MODULES = 8, INFO_MMAP = 0x40, INFO_LOADER = 0x200 };
enum {
    INFO_FLAGS_AT = 0, INFO_MEM_LOWER_AT = 4, INFO_MEM_UPPER_AT = 8, INFO_CMDLINE_AT = 16,
    INFO_MODS_COUNT_AT = 20, INFO_MODS_ADDR_AT = 24, INFO_MMAP_ADDR_AT = 48, INFO_LOADER_AT = 64,
    MMAP_AT = 0x80, MMAP_ROOM = 64 * 24, /* as pc-bios/multiboot.S */
    MODULES_AT = MMAP_AT + MMAP_ROOM, MODULE_SIZE = 16, INFO_MAX = 0x40000,
};

typedef struct Image {
    uint64_t start, end; /* in guest memory, with what is cleared */
    uint32_t entry;
    GByteArray *bytes;
} Image;

static const uint8_t *find_header(const uint8_t *file, size_t size)
{
    for (size_t at = 0; at + HEADER_SIZE <= MIN(size, HEADER_WITHIN); at += 4) {
        const uint8_t *header = file + at;
        uint32_t flags = load_le32(header + 4);

        if (load_le32(header) == HEADER_MAGIC && load_le32(header + 8) + flags + HEADER_MAGIC == 0 &&
            (!(flags & HAS_ADDRESSES) || at + ADDRESSES_SIZE <= size)) {
            return header;
        }
    }
    return NULL;
}

bool multiboot_probe(const uint8_t *file, size_t size)
{
    return find_header(file, size) != NULL;
}

static bool fail(GError **error, const char *why)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "multiboot kernel '%s' %s", machine_config.kernel,
                why);
    return false;
}

/* Makes room for start .. end, as zeros. */
static bool reserve(Image *image, uint64_t low_ram, GError **error)
{
    if (image->end <= image->start || image->end > low_ram) {
        return fail(error, "does not fit into memory");
    }
    image->bytes = g_byte_array_new();
    g_byte_array_set_size(image->bytes, image->end - image->start);
    memset(image->bytes->data, 0, image->bytes->len);
    return true;
}

/* By the addresses of the header, for formats that we need not know. */
static bool load_flat(Image *image, const uint8_t *file, size_t size, const uint8_t *header,
                      uint64_t low_ram, GError **error)
{
    uint32_t header_addr = load_le32(header + 12), load_addr = load_le32(header + 16);
    uint32_t load_end = load_le32(header + 20), bss_end = load_le32(header + 24);
    uint64_t at = header - file, length;

    if (header_addr < load_addr || header_addr - load_addr > at) {
        return fail(error, "has a load address outside of its file");
    }
    at -= header_addr - load_addr;
    length = load_end ? (uint64_t)load_end - load_addr : size - at;
    if ((load_end && load_end < load_addr) || length > size - at) {
        return fail(error, "is shorter than its header says");
    }
    image->start = load_addr;
    image->end = MAX(load_addr + length, bss_end);
    image->entry = load_le32(header + 28);
    if (!reserve(image, low_ram, error)) {
        return false;
    }
    memcpy(image->bytes->data, file + at, length);
    return true;
}

static bool load_elf(Image *image, const uint8_t *file, size_t size, uint64_t low_ram,
                     GError **error)
{
    const Elf32_Ehdr *elf = (const Elf32_Ehdr *)file;
    const Elf32_Phdr *segments;

    if (size < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG)) {
        return fail(error, "is no ELF file and has no load addresses");
    }
    if (elf->e_ident[EI_CLASS] != ELFCLASS32 || elf->e_machine != EM_386) {
        return fail(error, "is not for the i386, which multiboot starts in");
    }
    if (elf->e_phentsize != sizeof(*segments) ||
        elf->e_phoff + (uint64_t)elf->e_phnum * sizeof(*segments) > size) {
        return fail(error, "has damaged program headers");
    }
    segments = (const Elf32_Phdr *)(file + elf->e_phoff);
    image->start = UINT64_MAX;
    for (int n = 0; n < elf->e_phnum; n++) {
        const Elf32_Phdr *p = segments + n;

        if (p->p_type != PT_LOAD || !p->p_memsz) {
            continue;
        }
        if ((uint64_t)p->p_offset + p->p_filesz > size || p->p_filesz > p->p_memsz) {
            return fail(error, "is shorter than its program headers say");
        }
        image->start = MIN(image->start, p->p_paddr);
        image->end = MAX(image->end, (uint64_t)p->p_paddr + p->p_memsz);
        /* Entries are virtual addresses, but paging is off. */
        if (elf->e_entry - p->p_vaddr < p->p_memsz && elf->e_entry >= p->p_vaddr) {
            image->entry = elf->e_entry - p->p_vaddr + p->p_paddr;
        }
    }
    if (!reserve(image, low_ram, error)) {
        return false;
    }
    if (!image->entry) {
        image->entry = elf->e_entry;
    }
    for (int n = 0; n < elf->e_phnum; n++) {
        const Elf32_Phdr *p = segments + n;

        if (p->p_type == PT_LOAD && p->p_memsz) {
            memcpy(image->bytes->data + (p->p_paddr - image->start), file + p->p_offset,
                   p->p_filesz);
        }
    }
    return true;
}

/* "a,b": files; each may have arguments after a blank; ",," is a comma. */
static GPtrArray *split_modules(const char *text)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    GString *one = g_string_new(NULL);

    for (const char *p = text; p && *p; p++) {
        if (*p == ',' && p[1] != ',') {
            g_ptr_array_add(list, g_string_free(one, false));
            one = g_string_new(NULL);
        } else {
            p += *p == ',';
            g_string_append_c(one, *p);
        }
    }
    if (one->len) {
        g_ptr_array_add(list, g_strdup(one->str));
    }
    g_string_free(one, true);
    return list;
}

static uint32_t append_text(GByteArray *info, const char *text)
{
    uint32_t at = info->len;

    g_byte_array_append(info, (const uint8_t *)text, strlen(text) + 1);
    return at;
}

static void set_number(GByteArray *info, size_t at, uint32_t value)
{
    store_le32(info->data + at, value);
}

/* Reads the modules one after the other, as they are from address on, and lists them in info. */
static GByteArray *load_modules(GPtrArray *list, GByteArray *info, uint64_t base, uint64_t address,
                                uint64_t low_ram, GError **error)
{
    g_autoptr(GByteArray) all = g_byte_array_new();

    for (guint n = 0; n < list->len; n++) {
        const char *text = g_ptr_array_index(list, n);
        g_autofree char *path = g_strndup(text, strcspn(text, " ")), *data = NULL;
        size_t record = MODULES_AT + n * MODULE_SIZE;
        uint64_t start = address + all->len;
        gsize size;

        if (!kernel_read_file("module", path, &data, &size, error)) {
            return NULL;
        }
        if (start + size + MIB > low_ram) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER,
                        "module '%s' is too large for %" G_GUINT64_FORMAT " MiB of memory", path,
                        machine_config.ram_size / MIB);
            return NULL;
        }
        g_byte_array_append(all, (uint8_t *)data, size);
        while (all->len % PAGE) {
            g_byte_array_append(all, (const uint8_t *)"", 1);
        }
        set_number(info, record, start);
        set_number(info, record + 4, start + size);
        set_number(info, record + 8, base + append_text(info, text));
        set_number(info, record + 12, 0);
    }
    return g_steal_pointer(&all);
}

/* Low memory for the information that the kernel does not overwrite; 0: none. */
static uint64_t place_info(const Image *image)
{
    uint64_t low = 0x10000, high = 0x50000; /* both end before the BIOS' data at 9fc00 */

    if (image->start >= low + INFO_MAX) {
        return low;
    }
    return image->start >= high + INFO_MAX || image->end <= high ? high : 0;
}

static GByteArray *new_info(uint64_t base, GPtrArray *modules, uint64_t low_ram)
{
    GByteArray *info = g_byte_array_new();
    g_autofree char *cmdline = NULL;
    uint32_t flags = INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_LOADER;
    const char *append = machine_config.append;

    cmdline = g_strconcat(machine_config.kernel, append ? " " : "", append, NULL);
    g_byte_array_set_size(info, MODULES_AT + modules->len * MODULE_SIZE);
    memset(info->data, 0, info->len);
    set_number(info, INFO_FLAGS_AT, flags | (modules->len ? INFO_MODULES : 0));
    set_number(info, INFO_MEM_LOWER_AT, 639);
    set_number(info, INFO_MEM_UPPER_AT, (low_ram - MIB) / 1024);
    set_number(info, INFO_CMDLINE_AT, base + append_text(info, cmdline));
    set_number(info, INFO_MODS_COUNT_AT, modules->len);
    set_number(info, INFO_MODS_ADDR_AT, base + MODULES_AT);
    set_number(info, INFO_MMAP_ADDR_AT, base + MMAP_AT);
    set_number(info, INFO_LOADER_AT, base + append_text(info, "Myna"));
    return info;
}

static bool load_image(Image *image, const uint8_t *file, size_t size, uint64_t low_ram,
                       GError **error)
{
    const uint8_t *header = find_header(file, size);
    uint32_t flags = load_le32(header + 4);

    if (flags & MUST_UNDERSTAND & ~KNOWN_FLAGS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "multiboot kernel '%s' needs features that are not known: flags %x",
                    machine_config.kernel, flags);
        return false;
    }
    if (flags & WANTS_VIDEO) {
        log_warn("multiboot kernel '%s' gets no graphics mode", machine_config.kernel);
    }
    return flags & HAS_ADDRESSES ? load_flat(image, file, size, header, low_ram, error)
                                 : load_elf(image, file, size, low_ram, error);
}

bool multiboot_load(const uint8_t *file, size_t size, Device *fw_cfg, uint64_t low_ram,
                    GError **error)
{
    static const KernelItem kernel_item = { FW_CFG_KERNEL_ADDR, FW_CFG_KERNEL_SIZE,
                                            FW_CFG_KERNEL_DATA };
    static const KernelItem modules_item = { FW_CFG_INITRD_ADDR, FW_CFG_INITRD_SIZE,
                                             FW_CFG_INITRD_DATA };
    static const KernelItem info_item = { FW_CFG_SETUP_ADDR, FW_CFG_SETUP_SIZE,
                                          FW_CFG_SETUP_DATA };
    g_autoptr(GPtrArray) modules = split_modules(machine_config.initrd);
    g_autoptr(GByteArray) info = NULL, data = NULL, bytes = NULL;
    Image image = { 0 };
    uint64_t base, modules_at;

    if (!load_image(&image, file, size, low_ram, error)) {
        if (image.bytes) {
            g_byte_array_unref(image.bytes);
        }
        return false;
    }
    bytes = image.bytes;
    base = place_info(&image);
    if (!base) {
        return fail(error, "leaves no low memory for the boot information");
    }
    info = new_info(base, modules, low_ram);
    modules_at = MAX(round_up(image.end, PAGE), MIB);
    data = load_modules(modules, info, base, modules_at, low_ram, error);
    if (!data) {
        return false;
    }
    if (info->len > INFO_MAX) {
        return fail(error, "has too long a command line");
    }
    kernel_add_item(fw_cfg, &kernel_item, image.start, bytes->data, bytes->len);
    kernel_add_item(fw_cfg, &modules_item, modules_at, data->data, data->len);
    kernel_add_item(fw_cfg, &info_item, base, info->data, info->len);
    fw_cfg_add_u32(fw_cfg, FW_CFG_KERNEL_ENTRY, image.entry);
    return kernel_add_rom(fw_cfg, "multiboot.bin", error);
}
