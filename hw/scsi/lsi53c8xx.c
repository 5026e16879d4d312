/* LSI 53C895A and 53C810 SCSI controllers: registers, interrupts, life. */
#include "hw/scsi/lsi.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

static const StateField *LsiState_fields(size_t *count)
{
    typedef LsiState Owner;
    static const StateField rows[] = { LSI_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* ---- interrupts ---- */

void lsi_update(Lsi *l)
{
    uint8_t *reg = l->s.reg;
    bool level;

    reg[ISTAT0] &= ~(ISTAT_DIP | ISTAT_SIP);
    reg[ISTAT0] |= (reg[DSTAT] ? ISTAT_DIP : 0) | (reg[SIST0] || reg[SIST1] ? ISTAT_SIP : 0);
    level = (reg[DSTAT] & reg[DIEN]) || (reg[SIST0] & reg[SIEN0]) || (reg[SIST1] & reg[SIEN1]) ||
            (reg[ISTAT0] & ISTAT_INTF);
    pci_set_intx(&l->pci, level);
}

void lsi_dma_interrupt(Lsi *l, uint8_t dstat)
{
    trace("lsi_interrupt", "%s: DSTAT %02x at %x, DSPS %x", l->pci.dev.id, dstat, lsi_get(l, DSP), lsi_get(l, DSPS));
    l->s.reg[DSTAT] |= dstat;
    l->s.wait = WAIT_STOPPED;
    lsi_update(l);
}

void lsi_scsi_interrupt(Lsi *l, uint8_t sist0, uint8_t sist1)
{
    trace("lsi_interrupt", "%s: SIST %02x %02x at %x", l->pci.dev.id, sist0, sist1, lsi_get(l, DSP));
    l->s.reg[SIST0] |= sist0;
    l->s.reg[SIST1] |= sist1;
    l->s.wait = WAIT_STOPPED;
    lsi_update(l);
}

/* ---- time ---- */

static void slice_over(void *opaque)
{
    Lsi *l = opaque;

    if (l->s.wait == WAIT_SLICE) {
        l->s.wait = WAIT_NOTHING;
        lsi_run(l);
    }
}

/* Drivers measure the chip's clock by it; it does not stop SCRIPTS. */
static void general_timer_over(void *opaque)
{
    Lsi *l = opaque;

    l->s.reg[SIST1] |= SIST1_GEN;
    lsi_update(l);
}

static void write_stime1(Lsi *l, uint8_t value)
{
    l->s.reg[STIME1] = value;
    if (value & 15) {
        timer_set(l->general, clock_now(CLOCK_GUEST) + (INT64_C(108) * NS_PER_US << (value & 15)));
    } else {
        timer_cancel(l->general);
    }
}

/* ---- registers ---- */

static void soft_reset(Lsi *l)
{
    lsi_drop_command(l);
    timer_cancel(l->slice);
    timer_cancel(l->general);
    state_reset(LsiState_fields, &l->s);
    l->s.reg[SCNTL0] = 0xc0;
    l->s.reg[SCNTL2] = 0;
    l->s.reg[SCID] = 7;
    l->s.reg[CTEST3] = 0x00;
    l->s.reg[MACNTL] = l->is_810 ? 0x40 : 0xd0; /* the chip's type */
    lsi_update(l);
}

static void reset_bus(Lsi *l)
{
    lsi_drop_command(l);
    scsi_bus_reset(l->bus);
    lsi_bus_free(l);
    lsi_scsi_interrupt(l, SIST0_RST, 0);
}

static void start(Lsi *l)
{
    if (l->s.wait == WAIT_STOPPED || l->s.wait == WAIT_RESELECT) {
        l->s.moving = l->s.copying = false;
        l->s.wait = WAIT_NOTHING;
        lsi_run(l);
    }
}

uint8_t lsi_read_register(Lsi *l, unsigned reg)
{
    uint8_t value = l->s.reg[reg];

    switch (reg) {
    case DSTAT:
        l->s.reg[reg] = 0;
        lsi_update(l);
        return value | DSTAT_DFE;
    case SIST0:
    case SIST1:
        l->s.reg[reg] = 0;
        lsi_update(l);
        return value;
    case SSTAT0: /* bit 1 is the bus's reset wire */
        return l->s.reg[SCNTL1] & SCNTL1_RST ? 2 : 0;
    case CTEST1:
        return 0xf0; /* the FIFO is empty */
    case CTEST2: /* shows SIGP, and takes it back */
        value = (value & ~0x40) | (l->s.reg[ISTAT0] & ISTAT_SIGP ? 0x40 : 0);
        l->s.reg[ISTAT0] &= ~ISTAT_SIGP;
        return value;
    case SBCL:
        return l->s.connected ? 0x20 | (l->s.ready ? 0x80 : 0) | (l->s.reg[SOCL] & SOCL_ATN) | l->s.phase : 0;
    case STEST4:
        return 0xe0; /* low-voltage differential, clock locked */
    default:
        return value;
    }
}

static void write_istat0(Lsi *l, uint8_t value)
{
    uint8_t *reg = l->s.reg;

    reg[ISTAT0] = (reg[ISTAT0] & 0x0f & ~(value & ISTAT_INTF)) | (value & 0xf0);
    if (value & ISTAT_SRST) {
        soft_reset(l);
        reg[ISTAT0] |= ISTAT_SRST;
        return;
    }
    if (value & ISTAT_ABRT) {
        if (l->s.wait != WAIT_STOPPED) {
            l->s.moving = l->s.copying = false;
            lsi_dma_interrupt(l, DSTAT_ABRT);
        }
    } else if ((value & ISTAT_SIGP) && l->s.wait == WAIT_RESELECT) {
        l->s.wait = WAIT_NOTHING;
        lsi_run(l);
    }
    lsi_update(l);
}

void lsi_write_register(Lsi *l, unsigned reg, uint8_t value)
{
    uint8_t old = l->s.reg[reg];

    switch (reg) {
    case DSTAT:
    case SSTAT0:
    case SSTAT1:
    case SSTAT2:
    case SIST0:
    case SIST1:
    case SBCL:
    case CTEST1:
        return; /* read only */
    case SCNTL1:
        l->s.reg[reg] = (value & ~SCNTL1_CON) | (old & SCNTL1_CON);
        if ((value & SCNTL1_RST) && !(old & SCNTL1_RST)) {
            reset_bus(l);
        }
        return;
    case ISTAT0:
        write_istat0(l, value);
        return;
    case STIME1:
        write_stime1(l, value);
        return;
    case DSP + 3:
        l->s.reg[reg] = value;
        if (!(l->s.reg[DMODE] & DMODE_MAN) && !l->running) {
            start(l);
        }
        return;
    case DCNTL:
        l->s.reg[reg] = value & ~DCNTL_STD;
        if ((value & DCNTL_STD) && !l->running) {
            start(l);
        }
        return;
    default:
        l->s.reg[reg] = value;
        if (reg == DIEN || reg == SIEN0 || reg == SIEN1) {
            lsi_update(l);
        }
    }
}

static uint64_t lsi_read(void *opaque, PhysAddr offset, unsigned size)
{
    return lsi_read_register(opaque, offset & 0xff);
}

static void lsi_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    lsi_write_register(opaque, offset & 0xff, value);
}

static const RegionOps lsi_ops = { lsi_read, lsi_write, 1, 1, ENDIAN_LITTLE };

/* ---- life ---- */

static bool realize(Lsi *l, const PciInfo *info, GError **error)
{
    static int number;

    pci_device_init(&l->pci, info);
    l->io = region_new_io("lsi-io", &lsi_ops, l, 256);
    l->mmio = region_new_io("lsi-mmio", &lsi_ops, l, 1024);
    pci_register_bar(&l->pci, 0, PCI_BAR_IO, l->io);
    pci_register_bar(&l->pci, 1, PCI_BAR_MEM32, l->mmio);
    if (!l->is_810) {
        l->ram = region_new_ram("lsi-ram", LSI_SCRIPT_RAM, error);
        if (!l->ram) {
            return false;
        }
        pci_register_bar(&l->pci, 2, PCI_BAR_MEM32, l->ram);
    }
    l->slice = timer_new(CLOCK_GUEST, slice_over, l);
    l->general = timer_new(CLOCK_GUEST, general_timer_over, l);
    l->bus = scsi_bus_new(&l->pci.dev, &lsi_hba_ops, l);
    return scsi_bus_add_drives(l->bus, number++, error);
}

static bool lsi53c895a_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x1000, .device = 0x0012, .class_rev = 0x010000 << 8, .subsystem_vendor = 0x1000, .subsystem = 0x1000,
        .interrupt_pin = 1,
    };

    return realize((Lsi *)dev, &info, error);
}

static bool lsi53c810_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x1000, .device = 0x0001, .class_rev = 0x010000 << 8, .interrupt_pin = 1,
    };

    ((Lsi *)dev)->is_810 = true;
    return realize((Lsi *)dev, &info, error);
}

static void lsi_unrealize(Device *dev)
{
    Lsi *l = (Lsi *)dev;

    lsi_drop_command(l);
    scsi_bus_free(l->bus);
    timer_free(l->slice);
    timer_free(l->general);
}

static void lsi_reset(Device *dev)
{
    soft_reset((Lsi *)dev);
}

static void lsi_update_device(Device *dev)
{
    lsi_update((Lsi *)dev);
}

/* A command that a snapshot interrupts is lost, as by a target that fails: its driver tries again. */
static bool lsi_loaded(Device *dev, GError **error)
{
    Lsi *l = (Lsi *)dev;
    bool lost = l->s.connected && (l->s.busy || l->s.wait == WAIT_PHASE);

    l->s.message_size = MIN(l->s.message_size, LSI_MESSAGE_MAX);
    lsi_drop_command(l);
    if (l->s.wait > WAIT_SLICE || l->s.phase > PHASE_MESSAGE_IN) {
        l->s.wait = WAIT_STOPPED;
        l->s.phase = 0;
    }
    if (l->s.ready && (l->s.phase == PHASE_DATA_IN || l->s.phase == PHASE_DATA_OUT)) {
        lost = true;
    }
    if (lost) {
        l->s.moving = l->s.copying = false;
        lsi_bus_free(l);
        lsi_scsi_interrupt(l, SIST0_UDC, 0);
    } else if (l->s.wait == WAIT_NOTHING || l->s.wait == WAIT_SLICE) {
        l->s.wait = WAIT_SLICE;
        timer_set(l->slice, clock_now(CLOCK_GUEST) + NS_PER_MS);
    }
    return true;
}

static const Prop lsi_props[] = {
    PCI_PROPS(Lsi),
    { 0 },
};

#define LSI_TYPE(spelling, short_name, text, realize_fn) \
    {                                                    \
        .name = spelling,                                \
        .alias = short_name,                             \
        .about = text,                                   \
        .bus = "pci",                                    \
        .user = true,                                    \
        .hotplug = true,                                 \
        .size = sizeof(Lsi),                             \
        .state_at = offsetof(Lsi, s),                    \
        .state = LsiState_fields,                        \
        .props = lsi_props,                              \
        .realize = realize_fn,                           \
        .unrealize = lsi_unrealize,                      \
        .reset = lsi_reset,                              \
        .post_load = lsi_loaded,                         \
        .update = lsi_update_device,                     \
    }

const DeviceType lsi53c895a_type = LSI_TYPE("lsi53c895a", "lsi", "LSI 53C895A SCSI controller", lsi53c895a_realize);
const DeviceType lsi53c810_type = LSI_TYPE("lsi53c810", NULL, "LSI 53C810 SCSI controller", lsi53c810_realize);
