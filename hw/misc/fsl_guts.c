/*
 * Global utilities block of the MPC8544E: who the chip is, and the register that resets it.
 *
 * MPC8544E PowerQUICC III Reference Manual, chapter 20.
 */
#include "hw/misc/fsl_guts.h"

#include "core/machine.h"

enum { PORPLLSR = 0x00, DEVDISR = 0x70, PVR = 0xa0, SVR = 0xa4, RSTCR = 0xb0, WINDOW = 0x1000 };
enum { HRESET_REQ = 2 };

#define FSL_GUTS_STATE(FIELD, ARRAY)  \
    FIELD(uint32_t, devdisr, 0)       \
    FIELD(uint32_t, rstcr, 0)

DEFINE_STATE(FslGutsState, FSL_GUTS_STATE);

typedef struct FslGuts {
    Device dev;
    FslGutsState s;
    uint32_t pvr, svr;
    Region *region;
} FslGuts;

static uint64_t guts_read(void *opaque, PhysAddr offset, unsigned size)
{
    const FslGuts *guts = opaque;

    switch (offset) {
    case PORPLLSR: /* core clock twice, system bus eight times the input */
        return 0x00040010;
    case DEVDISR:
        return guts->s.devdisr;
    case PVR:
        return guts->pvr;
    case SVR:
        return guts->svr;
    case RSTCR:
        return guts->s.rstcr;
    default:
        return 0;
    }
}

static void guts_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    FslGuts *guts = opaque;

    if (offset == DEVDISR) {
        guts->s.devdisr = value;
    } else if (offset == RSTCR) {
        guts->s.rstcr = value & ~(uint64_t)HRESET_REQ;
        if (value & HRESET_REQ) {
            machine_request_reset(SHUTDOWN_GUEST);
        }
    }
}

static const RegionOps guts_ops = { guts_read, guts_write, 4, 4, ENDIAN_BIG };

Region *fsl_guts_region(Device *dev)
{
    return ((FslGuts *)dev)->region;
}

static bool guts_realize(Device *dev, GError **error)
{
    FslGuts *guts = (FslGuts *)dev;

    guts->region = region_new_io("fsl-guts", &guts_ops, guts, WINDOW);
    return true;
}

static const Prop guts_props[] = {
    PROP(FslGuts, pvr, "pvr", PROP_U32, "0", "the processor's version"),
    PROP(FslGuts, svr, "svr", PROP_U32, "0", "the chip's version"),
    { 0 },
};

const DeviceType fsl_guts_type = {
    .name = "mpc8544-guts",
    .about = "global utilities of the MPC8544",
    .bus = "system",
    .size = sizeof(FslGuts),
    .state_at = offsetof(FslGuts, s),
    .state = FslGutsState_fields,
    .props = guts_props,
    .realize = guts_realize,
};
