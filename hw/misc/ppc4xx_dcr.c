/*
 * CPR0, SDR0, SDRAM0 and EBC0 of the 440EP: clocks, pins, memory and peripheral bus. Software reads back what it wrote; only the
 * memory's banks say something of the machine.
 *
 * PPC440EP Embedded Processor User's Manual: indirect DCRs, a pair of address and data register for each unit.
 */
#include "hw/misc/ppc4xx_dcr.h"

enum { CPR, SDR, SDRAM, EBC, UNITS };
enum { REGISTERS = 0x500, SDR_HIGH = 0x4000, BANKS = 4, BANK_FIRST = 0x40 };

#define PPC4XX_DCR_STATE(FIELD, ARRAY)        \
    ARRAY(uint32_t, address, UNITS, 0)        \
    ARRAY(uint32_t, value, UNITS * REGISTERS, 0)

DEFINE_STATE(Ppc4xxDcrState, PPC4XX_DCR_STATE);

typedef struct Ppc4xxDcr {
    Device dev;
    Ppc4xxDcrState s;
    uint64_t ram_size;
    Region *region;
} Ppc4xxDcr;

/* SDR0 has a second group from SDR_HIGH on. NULL: there is nothing. */
static uint32_t *selected(Ppc4xxDcr *dcr, unsigned unit)
{
    uint32_t address = dcr->s.address[unit];

    if (unit == SDR && address >= SDR_HIGH) {
        address = address - SDR_HIGH + 0x100;
        return address < REGISTERS ? &dcr->s.value[unit * REGISTERS + address] : NULL;
    }
    return address < 0x100 ? &dcr->s.value[unit * REGISTERS + address] : NULL;
}

static uint64_t dcr_read(void *opaque, PhysAddr offset, unsigned size)
{
    Ppc4xxDcr *dcr = opaque;
    unsigned unit = offset / 8;
    const uint32_t *value = selected(dcr, unit);

    if (!(offset & 4)) {
        return dcr->s.address[unit];
    }
    return value ? *value : 0;
}

static void dcr_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ppc4xxDcr *dcr = opaque;
    unsigned unit = offset / 8;
    uint32_t *to = selected(dcr, unit);

    if (!(offset & 4)) {
        dcr->s.address[unit] = value;
    } else if (to) {
        *to = value;
    }
}

static const RegionOps dcr_ops = { dcr_read, dcr_write, 4, 4, ENDIAN_LITTLE };

Region *ppc4xx_dcr_region(Device *dev)
{
    return ((Ppc4xxDcr *)dev)->region;
}

static bool dcr_realize(Device *dev, GError **error)
{
    Ppc4xxDcr *dcr = (Ppc4xxDcr *)dev;

    dcr->region = region_new_io("ppc4xx-dcr", &dcr_ops, dcr, PPC4XX_DCRS * 4);
    return true;
}

/* Memory banks as firmware would leave them: base, size as a power of two from 4 MiB on, enabled. */
static void dcr_reset(Device *dev)
{
    enum { SIZE_SHIFT = 17, LARGEST = 6, ENABLED = 1 };
    Ppc4xxDcr *dcr = (Ppc4xxDcr *)dev;
    uint64_t base = 0;

    for (int n = 0; n < BANKS; n++) {
        int size = LARGEST;

        while (size > 0 && UINT64_C(0x400000) << size > dcr->ram_size - base) {
            size--;
        }
        if (UINT64_C(0x400000) << size > dcr->ram_size - base) {
            break;
        }
        dcr->s.value[SDRAM * REGISTERS + BANK_FIRST + 4 * n] = base | size << SIZE_SHIFT | ENABLED;
        base += UINT64_C(0x400000) << size;
    }
}

static const Prop dcr_props[] = {
    PROP(Ppc4xxDcr, ram_size, "ram-size", PROP_SIZE, "0", "memory that the banks describe"),
    { 0 },
};

const DeviceType ppc4xx_dcr_type = {
    .name = "ppc4xx-dcr",
    .about = "clock, pin, memory and bus configuration of the 440EP",
    .bus = "system",
    .size = sizeof(Ppc4xxDcr),
    .state_at = offsetof(Ppc4xxDcr, s),
    .state = Ppc4xxDcrState_fields,
    .props = dcr_props,
    .realize = dcr_realize,
    .reset = dcr_reset,
};
