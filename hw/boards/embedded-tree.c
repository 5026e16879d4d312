/* Device trees of embedded boards, and the start of a kernel with one (ePAPR 1.1, chapters 3 and 5.4). */
#include "hw/boards/embedded.h"

#include "target/ppc/cpu.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <libfdt.h>
#include <string.h>

enum { EPAPR_MAGIC = 0x45504150, STACK_TOP = 0xfffff8 };

void *embedded_tree_new(void)
{
    void *fdt = g_malloc0(EMBEDDED_TREE_MAX);

    fdt_create(fdt, EMBEDDED_TREE_MAX);
    fdt_finish_reservemap(fdt);
    return fdt;
}

void embedded_tree_finish(void *fdt)
{
    int status = fdt_finish(fdt);

    g_assert(status == 0); /* what boards describe is far smaller than the room */
}

/* ---- what the command line says ---- */

static int node_at(void *fdt, const char *name)
{
    g_autofree char *path = g_strdup_printf("/%s", name);
    int node = fdt_path_offset(fdt, path);

    return node < 0 ? fdt_add_subnode(fdt, 0, name) : node;
}

/* A number of `cells` words, appended to `bytes`. */
static void put_number(GByteArray *bytes, uint64_t value, int cells)
{
    uint8_t word[4];

    for (; cells > 0; cells--) {
        store_be32(word, cells > 2 ? 0 : value >> 32 * (cells - 1));
        g_byte_array_append(bytes, word, sizeof(word));
    }
}

static int put_memory(void *fdt)
{
    g_autoptr(GByteArray) reg = g_byte_array_new();
    int node = node_at(fdt, "memory");

    put_number(reg, 0, fdt_address_cells(fdt, 0));
    put_number(reg, machine_config.ram_size, fdt_size_cells(fdt, 0));
    return node < 0 ? node : fdt_setprop(fdt, node, "reg", reg->data, reg->len);
}

static int put_chosen(const Embedded *e, void *fdt)
{
    int node = node_at(fdt, "chosen"), status = MIN(node, 0);
    uint32_t seed[8];

    for (size_t i = 0; i < G_N_ELEMENTS(seed); i++) {
        seed[i] = g_random_int();
    }
    if (!status && machine_config.append) {
        status = fdt_setprop_string(fdt, node, "bootargs", machine_config.append);
    }
    if (!status && e->initrd) {
        status = fdt_setprop_u32(fdt, node, "linux,initrd-start", e->initrd_addr);
        status = status ? status : fdt_setprop_u32(fdt, node, "linux,initrd-end", e->initrd_addr + g_bytes_get_size(e->initrd));
    }
    return status ? status : fdt_setprop(fdt, node, "rng-seed", seed, sizeof(seed));
}

/* The user's tree instead of the board's; takes neither. */
static void *read_tree(GError **error)
{
    g_autofree char *data = NULL;
    g_autofree void *fdt = g_malloc0(EMBEDDED_TREE_MAX);
    gsize size;

    if (!g_file_get_contents(machine_config.dtb, &data, &size, error)) {
        g_prefix_error(error, "cannot read device tree '%s': ", machine_config.dtb);
        return NULL;
    }
    if (size < sizeof(struct fdt_header) || fdt_check_header(data) || fdt_totalsize(data) > size ||
        fdt_open_into(data, fdt, EMBEDDED_TREE_MAX)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is no device tree, or a damaged one", machine_config.dtb);
        return NULL;
    }
    return g_steal_pointer(&fdt);
}

/* ---- the start ---- */

static void place(uint64_t addr, GBytes *bytes)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);

    memory_write(memory_system(), addr, data, size);
}

/* A running kernel has moved and used what was there. */
static void lay_out(void *opaque)
{
    const Embedded *e = opaque;

    memory_fill(memory_system(), 0, 0, e->tree_addr);
    for (guint i = 0; i < e->pieces->len; i++) {
        const EmbeddedPiece *piece = &g_array_index(e->pieces, EmbeddedPiece, i);

        place(piece->addr, piece->bytes);
    }
    memory_write(memory_system(), e->tree_addr, e->tree, fdt_totalsize(e->tree));
    if (e->initrd) {
        place(e->initrd_addr, e->initrd);
    }
}

static void dump(const void *tree)
{
    g_autoptr(GError) error = NULL;

    if (g_file_set_contents(machine_config.dump_dtb, tree, fdt_totalsize(tree), &error)) {
        log_info("device tree written to '%s'", machine_config.dump_dtb);
    } else {
        log_error("%s", error->message);
    }
    machine_request_exit(error ? 1 : 0);
}

bool embedded_start(Embedded *e, void *tree, GError **error)
{
    e->tree = tree;
    if (machine_config.dtb) {
        g_free(tree);
        e->tree = read_tree(error);
        if (!e->tree) {
            return false;
        }
    } else {
        fdt_open_into(tree, tree, EMBEDDED_TREE_MAX); /* which has room at its end then */
    }
    if (put_memory(e->tree) || put_chosen(e, e->tree)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "device tree '%s' has no room for what belongs there",
                    machine_config.dtb ? machine_config.dtb : e->board->name);
        return false;
    }
    fdt_pack(e->tree);
    if (machine_config.dump_dtb) {
        dump(e->tree);
    }
    ppc_set_reset_state(cpu_get(0), &(PpcResetState){
        .given = true, .pc = e->entry, .map_size = e->map_size,
        .gpr = { [1] = STACK_TOP, [3] = e->tree_addr, [6] = EPAPR_MAGIC, [7] = e->map_size },
    });
    machine_on_reset(lay_out, e);
    return true;
}
