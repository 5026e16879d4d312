/* spapr-nvram: memory that survives power-off, read and written by RTAS (LoPAPR 1.1, 7.3.1). */
#include "backends/block.h"
#include "hw/nvram/battery.h"
#include "hw/nvram/chrp.h"
#include "hw/papr/nvram.h"
#include "hw/papr/vio.h"
#include "util/bits.h"
#include "util/error.h"

enum { DEFAULT_SIZE = 64 << 10, MIN_SIZE = 8 << 10, MAX_SIZE = 1 << 20, SECTOR = 512 };

typedef struct Nvram {
    VioDevice vio;
    VioState s; /* the contents are no state that a reset clears */
    BlockBackend *blk; /* NULL: forgotten with the machine */
    Battery battery;
    uint32_t size;
} Nvram;

/* ---- calls: offset, address, length; how many bytes moved ---- */

static bool in_range(const Nvram *n, const PaprRtas *call)
{
    return call->args[0] < n->size && call->args[2] <= n->size - call->args[0];
}

static int32_t rtas_fetch(void *opaque, PaprRtas *call)
{
    Nvram *n = opaque;

    if (!in_range(n, call)) {
        call->rets[1] = 0;
        return RTAS_BAD;
    }
    memory_write(memory_system(), call->args[1], n->battery.bytes + call->args[0], call->args[2]);
    call->rets[1] = call->args[2];
    return RTAS_OK;
}

static int32_t rtas_store(void *opaque, PaprRtas *call)
{
    Nvram *n = opaque;

    if (!in_range(n, call)) {
        call->rets[1] = 0;
        return RTAS_BAD;
    }
    memory_read(memory_system(), call->args[1], n->battery.bytes + call->args[0], call->args[2]);
    battery_changed(&n->battery);
    call->rets[1] = call->args[2];
    return RTAS_OK;
}

/* ---- settings of the command line ---- */

bool spapr_nvram_prepare(Device *dev, GPtrArray *wanted, GError **error)
{
    enum { SYSTEM_SIZE = 4 << 10 };
    Nvram *n = (Nvram *)dev;
    uint8_t *settings = chrp_find_settings(n->battery.bytes, n->size);

    if (!settings) {
        settings = n->battery.bytes;
        chrp_put_partition(settings, CHRP_SYSTEM, "system", SYSTEM_SIZE);
        chrp_put_partition(settings + SYSTEM_SIZE, CHRP_FREE, "free", n->size - SYSTEM_SIZE);
    }
    if (!chrp_change_settings(settings, NULL, wanted, error)) {
        return false;
    }
    battery_changed(&n->battery);
    return true;
}

/* ---- device ---- */

static void put_props(VioDevice *vio, PaprPutProp *put, void *node)
{
    uint8_t size[4];

    store_be32(size, ((Nvram *)vio)->size);
    put(node, "#bytes", size, sizeof(size));
}

static const VioInfo info = {
    .name = "nvram", .device_type = "nvram", .compatible = "qemu,spapr-nvram", .put_props = put_props,
};

static bool nvram_realize(Device *dev, GError **error)
{
    Nvram *n = (Nvram *)dev;
    uint64_t size = n->blk ? block_size(n->blk) : DEFAULT_SIZE;

    if (size < MIN_SIZE || size > MAX_SIZE || size % SECTOR) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "nvram '%s': its image has %" G_GUINT64_FORMAT
                    " bytes, not 8 KiB to 1 MiB", dev->id, size);
        return false;
    }
    n->size = size;
    if (!battery_init(&n->battery, dev, g_malloc0(size), size, n->blk, error)) {
        return false;
    }
    papr_rtas_add("nvram-fetch", 3, 2, rtas_fetch, n);
    papr_rtas_add("nvram-store", 3, 2, rtas_store, n);
    return vio_init(&n->vio, &info, &n->s, error);
}

static void nvram_reset(Device *dev)
{
    vio_reset(&((Nvram *)dev)->vio);
}

static void nvram_save(Device *dev, GKeyFile *out)
{
    battery_save(&((Nvram *)dev)->battery, out, "nvram.data");
}

static bool nvram_load(Device *dev, GKeyFile *in, GError **error)
{
    return battery_load(&((Nvram *)dev)->battery, in, "nvram.data", error);
}

static const Prop nvram_props[] = {
    VIO_PROPS(Nvram),
    PROP(Nvram, blk, "drive", PROP_DRIVE, NULL, "image of its contents"),
    { 0 },
};

const DeviceType spapr_nvram_type = {
    .name = "spapr-nvram",
    .about = "nonvolatile memory of a logical partition",
    .bus = VIO_BUS,
    .user = true,
    .size = sizeof(Nvram),
    .state_at = offsetof(Nvram, s),
    .state = VioState_fields,
    .props = nvram_props,
    .realize = nvram_realize,
    .reset = nvram_reset,
    .save_extra = nvram_save,
    .load_extra = nvram_load,
};
