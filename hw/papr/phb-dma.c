/*
 * RTAS calls that make and remove windows for the accesses of PCI devices.
 *
 * LoPAPR 1.1, 7.4.12. A bridge has room for two: one in the first two GiB of its bus, where the default one is, another far above.
 */
#include "hw/papr/phb.h"

enum { PAGES_4K = 1, PAGES_64K = 2, PAGES_16M = 4 }; /* as the query tells sizes */
#define LOW_END (UINT64_C(2) << 30) /* where memory of devices begins on the bus */

static Device *bridge_of(const PaprRtas *call)
{
    return phb_find(call->args[1], call->args[2]);
}

static bool is_open(Device *bridge, unsigned n)
{
    return papr_tce_size(phb_dma_window(bridge, n)) != 0;
}

/* function, bridge -> windows that may be made, pages of the largest, sizes of pages, sizes for migration. */
static int32_t query(void *opaque, PaprRtas *call)
{
    Device *bridge = bridge_of(call);
    unsigned available = 0;

    if (!bridge) {
        return RTAS_BAD;
    }
    for (unsigned n = 0; n < PHB_DMA_WINDOWS; n++) {
        available += !is_open(bridge, n);
    }
    call->rets[1] = available;
    call->rets[2] = available ? PAPR_TCE_MAX_PAGES : 0;
    call->rets[3] = PAGES_4K | PAGES_64K | PAGES_16M;
    call->rets[4] = 0;
    return RTAS_OK;
}

/* function, bridge, bits of a page, bits of the window -> number, first address. */
static int32_t create(void *opaque, PaprRtas *call)
{
    Device *bridge = bridge_of(call);
    uint32_t page_bits = call->args[3], bits = call->args[4];

    if (!bridge || page_bits > 24 || bits < page_bits || bits - page_bits >= 32) {
        return RTAS_BAD;
    }
    for (unsigned n = PHB_DMA_WINDOWS; n-- > 0;) {
        PaprTce *tce = phb_dma_window(bridge, n);
        uint64_t start = n ? PHB_DMA_HIGH : 0;

        if (is_open(bridge, n) || (!n && UINT64_C(1) << bits > LOW_END)) {
            continue;
        }
        if (!papr_tce_set_window(tce, start, page_bits, 1u << (bits - page_bits))) {
            return RTAS_BAD;
        }
        call->rets[1] = papr_tce_liobn(tce);
        call->rets[2] = start >> 32;
        call->rets[3] = start;
        return RTAS_OK;
    }
    return RTAS_HARDWARE;
}

typedef struct Search {
    uint32_t liobn;
    PaprTce *found;
} Search;

static void look(Device *dev, void *opaque)
{
    Search *search = opaque;

    for (unsigned n = 0; dev->type == &spapr_pci_host_bridge_type && n < PHB_DMA_WINDOWS; n++) {
        if (papr_tce_liobn(phb_dma_window(dev, n)) == search->liobn) {
            search->found = phb_dma_window(dev, n);
        }
    }
}

/* number. */
static int32_t remove_window(void *opaque, PaprRtas *call)
{
    Search search = { .liobn = call->args[0] };

    device_for_each(look, &search);
    if (!search.found || !papr_tce_size(search.found)) {
        return RTAS_BAD;
    }
    papr_tce_set_window(search.found, papr_tce_start(search.found), 12, 0);
    return RTAS_OK;
}

/* function, bridge: as after a reset. */
static int32_t reset(void *opaque, PaprRtas *call)
{
    Device *bridge = bridge_of(call);

    if (!bridge) {
        return RTAS_BAD;
    }
    papr_tce_set_window(phb_dma_window(bridge, 0), 0, 12, phb_layout(bridge).dma_size >> 12);
    papr_tce_set_window(phb_dma_window(bridge, 1), PHB_DMA_HIGH, 12, 0);
    return RTAS_OK;
}

void phb_dma_init(void)
{
    papr_rtas_add("ibm,query-pe-dma-window", 3, 5, query, NULL);
    papr_rtas_add("ibm,create-pe-dma-window", 5, 4, create, NULL);
    papr_rtas_add("ibm,remove-pe-dma-window", 1, 1, remove_window, NULL);
    papr_rtas_add("ibm,reset-pe-dma-window", 3, 1, reset, NULL);
}
