/* NVMe namespaces: the disks behind a controller. */
#include "hw/nvme/nvme.h"
#include "util/error.h"

static bool choose_number(NvmeNs *ns, GError **error)
{
    Nvme *n = ns->n;

    if (ns->nsid > NVME_MAX_NAMESPACES || (ns->nsid && n->ns[ns->nsid])) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'nvme-ns.nsid': %u is %s", ns->nsid,
                    ns->nsid > NVME_MAX_NAMESPACES ? "more than 256" : "taken");
        return false;
    }
    for (unsigned i = 1; !ns->nsid && i <= NVME_MAX_NAMESPACES; i++) {
        if (!n->ns[i]) {
            ns->nsid = i;
        }
    }
    if (!ns->nsid) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "controller '%s' has 256 namespaces already", n->pci.dev.id);
        return false;
    }
    return true;
}

static bool choose_sizes(NvmeNs *ns, GError **error)
{
    BlockLimits limits;

    block_limits(ns->blk, &limits);
    ns->logical_block = ns->logical_block ? ns->logical_block : limits.logical_block;
    ns->physical_block = MAX(ns->physical_block ? ns->physical_block : limits.physical_block, ns->logical_block);
    if (ns->logical_block < 512 || ns->logical_block > 65536 || (ns->logical_block & (ns->logical_block - 1))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'nvme-ns.logical_block_size': %u is not a power of two from 512 to 65536",
                    ns->logical_block);
        return false;
    }
    ns->shift = __builtin_ctz(ns->logical_block);
    return true;
}

/* The drive's name makes one that is the same at the next start. */
static void choose_names(NvmeNs *ns)
{
    if (!ns->eui64) {
        g_autofree char *name = g_strdup_printf("%s/%u", ns->n->serial, ns->nsid);

        ns->eui64 = UINT64_C(0x525400) << 40 | (uint64_t)(ns->nsid & 0xff) << 32 | g_str_hash(name);
    }
}

static bool parse_uuid(NvmeNs *ns, GError **error)
{
    const char *digit;

    if (!ns->uuid || !*ns->uuid || g_str_equal(ns->uuid, "auto")) {
        g_clear_pointer(&ns->uuid, g_free);
        return true;
    }
    if (!g_uuid_string_is_valid(ns->uuid)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property 'nvme-ns.uuid': '%s' is not a UUID", ns->uuid);
        return false;
    }
    digit = ns->uuid;
    for (int i = 0; i < 16; i++, digit += 2) {
        digit += *digit == '-';
        ns->uuid_bytes[i] = g_ascii_xdigit_value(digit[0]) << 4 | g_ascii_xdigit_value(digit[1]);
    }
    return true;
}

static void note_highest(Nvme *n)
{
    n->highest_ns = NVME_MAX_NAMESPACES;
    while (n->highest_ns && !n->ns[n->highest_ns]) {
        n->highest_ns--;
    }
}

static bool ns_realize(Device *dev, GError **error)
{
    NvmeNs *ns = (NvmeNs *)dev;
    Nvme *n = ns->n = (Nvme *)dev->bus->owner;

    if (!ns->blk) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "nvme-ns: needs drive=");
        return false;
    }
    if (!block_inserted(ns->blk)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "namespace '%s' needs an image file", block_id(ns->blk));
        return false;
    }
    if (!choose_number(ns, error) || !choose_sizes(ns, error) || !parse_uuid(ns, error)) {
        return false;
    }
    choose_names(ns);
    if (n->thread) {
        block_set_iothread(ns->blk, n->thread);
    }
    g_mutex_lock(&n->lock);
    n->ns[ns->nsid] = ns;
    note_highest(n);
    nvme_ns_changed(n, ns->nsid);
    nvme_unlock(n);
    return true;
}

static void ns_unrealize(Device *dev)
{
    NvmeNs *ns = (NvmeNs *)dev;
    Nvme *n = ns->n;

    g_mutex_lock(&n->lock);
    n->ns[ns->nsid] = NULL; /* new commands do not find it */
    g_mutex_unlock(&n->lock);
    block_drain(ns->blk);
    if (n->thread) {
        block_set_iothread(ns->blk, NULL);
    }
    g_mutex_lock(&n->lock);
    note_highest(n);
    nvme_ns_changed(n, ns->nsid);
    nvme_unlock(n);
}

static const Prop ns_props[] = {
    PROP(NvmeNs, blk, "drive", PROP_DRIVE, NULL, "drive or block node with the image"),
    PROP(NvmeNs, nsid, "nsid", PROP_U32, "0", "number from 1, 0: the first free one"),
    PROP(NvmeNs, eui64, "eui64", PROP_U64, "0", "world wide name, 0: made up"),
    PROP(NvmeNs, uuid, "uuid", PROP_STRING, NULL, "UUID"),
    PROP(NvmeNs, logical_block, "logical_block_size", PROP_U32, "0", "bytes, 0: as the drive has"),
    PROP(NvmeNs, physical_block, "physical_block_size", PROP_U32, "0", "bytes, 0: as the drive has"),
    PROP(NvmeNs, discard_granularity, "discard_granularity", PROP_I32, "-1", "bytes, -1: as the image has"),
    { 0 },
};

const DeviceType nvme_ns_type = {
    .name = "nvme-ns",
    .about = "NVMe namespace",
    .bus = NVME_BUS,
    .user = true,
    .hotplug = true,
    .size = sizeof(NvmeNs),
    .props = ns_props,
    .realize = ns_realize,
    .unrealize = ns_unrealize,
};
