/*
 * Kernels of embedded boards: U-Boot's images (uImage) and 32-bit ELF programs, and what goes into memory beside them.
 *
 * A uImage begins with 64 bytes of big-endian words: magic, checksum of the header, time, size, load address, entry,
 * checksum of the data; then bytes: operating system, processor, kind, compression; a name of 32 bytes.
 */
#include "hw/boards/elf.h"
#include "hw/boards/embedded.h"
#include "hw/boards/kernel-internal.h"
#include "util/bits.h"
#include "util/error.h"

#include <elf.h>
#include <string.h>
#include <zlib.h>

enum { UIMAGE_MAGIC = 0x27051956, UIMAGE_HEADER = 64, UIMAGE_PPC = 7, UIMAGE_KERNEL = 2 };
enum { MAGIC = 0, HEADER_SUM = 4, SIZE = 12, LOAD = 16, ENTRY = 20, DATA_SUM = 24, ARCH = 29, KIND = 30, COMPRESSION = 31 };
enum { PLAIN, GZIP };
enum { GAP = 4 << 20, MIB = 1 << 20 }; /* GAP: for what a kernel has beyond its file */

static bool refuse(const char *what, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "kernel '%s' %s", machine_config.kernel, what);
    return false;
}

static bool add_piece(Embedded *e, uint64_t addr, GBytes *bytes, uint64_t size, GError **error)
{
    EmbeddedPiece piece = { addr, bytes };

    if (addr > machine_config.ram_size || size > machine_config.ram_size - addr) {
        g_bytes_unref(bytes);
        return refuse("does not fit into memory", error);
    }
    g_array_append_val(e->pieces, piece);
    e->kernel_end = MAX(e->kernel_end, addr + size);
    return true;
}

/* ---- U-Boot's images ---- */

/* At most as much as fits into memory from the load address on. */
static GBytes *unpack(const uint8_t *data, size_t size, uint64_t limit, GError **error)
{
    enum { GZIP_WINDOW = 15 + 16, CHUNK = 64 << 10 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    z_stream z = { .next_in = (uint8_t *)data, .avail_in = size };
    uint8_t chunk[4096];
    int status = inflateInit2(&z, GZIP_WINDOW);

    while (status == Z_OK && out->len <= limit) {
        z.next_out = chunk;
        z.avail_out = sizeof(chunk);
        status = inflate(&z, Z_NO_FLUSH);
        g_byte_array_append(out, chunk, sizeof(chunk) - z.avail_out);
    }
    inflateEnd(&z);
    if (status == Z_OK) {
        refuse("does not fit into memory", error);
        return NULL;
    }
    if (status != Z_STREAM_END) {
        refuse("is damaged: its compressed data end early or make no sense", error);
        return NULL;
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

static bool check_uimage(const uint8_t *data, size_t size, GError **error)
{
    uint8_t header[UIMAGE_HEADER];

    memcpy(header, data, sizeof(header));
    store_be32(header + HEADER_SUM, 0);
    if (crc32(0, header, sizeof(header)) != load_be32(data + HEADER_SUM)) {
        return refuse("is damaged: the checksum of its header is wrong", error);
    }
    if (data[ARCH] != UIMAGE_PPC) {
        return refuse("is a U-Boot image for another processor, not for PowerPC", error);
    }
    if (data[KIND] != UIMAGE_KERNEL) {
        return refuse("is a U-Boot image of something else than a kernel", error);
    }
    if (data[COMPRESSION] != PLAIN && data[COMPRESSION] != GZIP) {
        return refuse("is a U-Boot image compressed with something else than gzip", error);
    }
    if (load_be32(data + SIZE) > size - UIMAGE_HEADER) {
        return refuse("is cut short", error);
    }
    if (crc32(0, data + UIMAGE_HEADER, load_be32(data + SIZE)) != load_be32(data + DATA_SUM)) {
        return refuse("is damaged: the checksum of its data is wrong", error);
    }
    return true;
}

static bool load_uimage(Embedded *e, GBytes *file, GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    uint32_t addr, length;
    GBytes *bytes;

    if (!check_uimage(data, size, error)) {
        return false;
    }
    addr = load_be32(data + LOAD);
    length = load_be32(data + SIZE);
    e->entry = load_be32(data + ENTRY);
    if (addr >= machine_config.ram_size) {
        return refuse("does not fit into memory", error);
    }
    bytes = data[COMPRESSION] == GZIP ? unpack(data + UIMAGE_HEADER, length, machine_config.ram_size - addr, error)
                                      : g_bytes_new_from_bytes(file, UIMAGE_HEADER, length);
    return bytes && add_piece(e, addr, bytes, g_bytes_get_size(bytes), error);
}

/* ---- ELF ---- */

static bool load_elf(Embedded *e, GBytes *file, GError **error)
{
    g_autoptr(GArray) segments = NULL;
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    uint16_t machine;
    ElfFile elf;

    if (data[EI_DATA] != ELFDATA2MSB) {
        return refuse("is little-endian, and this machine is big-endian", error);
    }
    machine = load_be16(data + offsetof(Elf32_Ehdr, e_machine));
    if (data[EI_CLASS] != ELFCLASS32 || machine != EM_PPC) {
        return refuse(machine == EM_PPC64 ? "is for a 64-bit PowerPC, and this machine's is 32-bit" : "is not for PowerPC", error);
    }
    if (!elf_open(&elf, data, size) || !(segments = elf_segments(&elf))) {
        return refuse("is damaged", error);
    }
    e->entry = elf.entry;
    for (guint i = 0; i < segments->len; i++) {
        const ElfSegment *s = &g_array_index(segments, ElfSegment, i);

        if (elf.entry >= s->virt && elf.entry - s->virt < s->size) { /* execution begins without the kernel's own mapping */
            e->entry = s->phys + (elf.entry - s->virt);
        }
        if (!add_piece(e, s->phys, g_bytes_new_from_bytes(file, s->offset, s->file_size), s->size, error)) {
            return false;
        }
    }
    return e->pieces->len || refuse("has nothing to load", error);
}

/* ---- any ---- */

static bool has_text(const Embedded *e, const char *text)
{
    for (guint i = 0; i < e->pieces->len; i++) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(g_array_index(e->pieces, EmbeddedPiece, i).bytes, &size);

        if (size && memmem(data, size, text, strlen(text))) {
            return true;
        }
    }
    return false;
}

/* Linux looks for a board's name in the tree's root: a kernel without that name says nothing and does nothing. */
static bool check_board(const Embedded *e, GError **error)
{
    g_autofree char *why = NULL;

    if (machine_config.dtb || !has_text(e, "Linux version ") || has_text(e, e->compatible)) {
        return true;
    }
    why = g_strdup_printf("is a Linux kernel for another machine: it does not know '%s'", e->compatible);
    return refuse(why, error);
}

static bool load_kernel(Embedded *e, GError **error)
{
    g_autoptr(GBytes) file = NULL;
    const uint8_t *data;
    gsize size;
    char *text;
    bool loaded;

    if (!kernel_read_file("kernel", machine_config.kernel, &text, &size, error)) {
        return false;
    }
    file = g_bytes_new_take(text, size);
    data = g_bytes_get_data(file, NULL);
    e->pieces = g_array_new(FALSE, FALSE, sizeof(EmbeddedPiece));
    if (size >= UIMAGE_HEADER && load_be32(data + MAGIC) == UIMAGE_MAGIC) {
        loaded = load_uimage(e, file, error);
    } else if (size >= sizeof(Elf32_Ehdr) && memcmp(data, ELFMAG, SELFMAG) == 0) {
        loaded = load_elf(e, file, error);
    } else {
        loaded = refuse("is neither a U-Boot image (uImage) nor an ELF program", error);
    }
    if (!loaded || !check_board(e, error)) {
        return false;
    }
    return e->entry < e->map_size || refuse("begins beyond what is mapped for it", error);
}

/* The tree before the initial RAM disk: kernels map only the first megabytes before they have read it. */
static bool place_rest(Embedded *e, GError **error)
{
    uint64_t end;
    gsize size = 0;
    char *data;

    e->tree_addr = round_up(e->kernel_end + GAP, MIB);
    e->initrd_addr = end = e->tree_addr + EMBEDDED_TREE_MAX;
    if (machine_config.initrd) {
        if (!kernel_read_file("initial RAM disk", machine_config.initrd, &data, &size, error)) {
            return false;
        }
        e->initrd = g_bytes_new_take(data, size);
        end += size;
    }
    if (end > machine_config.ram_size) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s '%s' does not fit into %u MiB of memory",
                    e->initrd ? "initial RAM disk" : "kernel", e->initrd ? machine_config.initrd : machine_config.kernel,
                    (unsigned)(machine_config.ram_size >> 20));
        return false;
    }
    return true;
}

bool embedded_load(Embedded *e, GError **error)
{
    if (machine_config.bios) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine '%s' has no firmware: -bios has no place there", e->board->name);
        return false;
    }
    if (!machine_config.kernel) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine '%s' has no firmware: it needs -kernel", e->board->name);
        return false;
    }
    return load_kernel(e, error) && place_rest(e, error);
}
