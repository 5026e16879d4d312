/*
 * The watchdog of the Intel 6300ESB I/O controller hub, function 8086:25ab: two stages, of which the first warns and the
 * second resets.
 *
 * Intel 6300ESB I/O Controller Hub data sheet (order 300641), chapter 16.
 */
#include "hw/pci/pci.h"

#include "core/clock.h"
#include "core/incident.h"
#include "util/bits.h"

enum { CONFIG = 0x60, LOCK = 0x68 }; /* in configuration space */
enum {
    CONFIG_FAST = 1 << 2,      /* the prescaler divides by 2^5, not 2^15 */
    CONFIG_NO_OUTPUT = 1 << 5, /* the second stage does nothing */
    LOCK_LOCKED = 1 << 0, LOCK_ENABLE = 1 << 1, LOCK_FREE_RUNNING = 1 << 2,
};
enum { TIMER1 = 0x00, TIMER2 = 0x04, STATUS = 0x08, RELOAD = 0x0c, BAR_SIZE = 0x10 };
enum { STATUS_STAGE1 = 1, RELOAD_NOW = 0x100, RELOAD_TIMEOUT = 0x200 };
enum { PRELOAD_MASK = 0xfffff, CLOCK_HZ = 33000000 };

#define ESB_STATE(FIELD, ARRAY)                                                            \
    ARRAY(uint32_t, preload, 2, 0xfffff)                                                   \
    FIELD(uint8_t, stage, 0)     /* 0: stands */                                           \
    FIELD(int64_t, deadline, 0)  /* of the stage, ns of CLOCK_GUEST */                     \
    FIELD(uint8_t, unlock, 0)    /* how much of the sequence that precedes a write came */ \
    FIELD(bool, status, false)   /* the first stage has passed */

DEFINE_STATE(EsbState, ESB_STATE);

/* What a reset leaves: it says why there was one. */
#define ESB_KEPT(FIELD, ARRAY) FIELD(bool, timed_out, false)

DEFINE_STATE(EsbKept, ESB_KEPT);

typedef struct Esb {
    PciDevice pci;
    EsbState s;
    EsbKept kept;
    Region *bar;
    Timer *timer;
} Esb;

static void esb_update(Device *dev)
{
    Esb *wd = (Esb *)dev;

    wd->pci.writable[LOCK] = wd->pci.config[LOCK] & LOCK_LOCKED ? 0 : LOCK_LOCKED | LOCK_ENABLE | LOCK_FREE_RUNNING;
    if (wd->s.stage) {
        timer_set(wd->timer, wd->s.deadline);
    } else {
        timer_cancel(wd->timer);
    }
}

static void start_stage(Esb *wd, int stage)
{
    unsigned shift = wd->pci.config[CONFIG] & CONFIG_FAST ? 5 : 15;

    wd->s.stage = stage;
    wd->s.deadline = clock_now(CLOCK_GUEST) +
                     mul_div((uint64_t)(wd->s.preload[stage - 1] + 1) << shift, NS_PER_SECOND, CLOCK_HZ);
    esb_update(&wd->pci.dev);
}

/* 16.3: the interrupt of stage 1 goes to pins of the hub that no board of ours has; software sees the status. */
static void expired(void *opaque)
{
    Esb *wd = opaque;

    if (wd->s.stage == 1) {
        wd->s.status = true;
        start_stage(wd, 2);
        return;
    }
    if (!(wd->pci.config[CONFIG] & CONFIG_NO_OUTPUT)) {
        wd->kept.timed_out = true;
        wd->s.stage = 0;
        esb_update(&wd->pci.dev);
        incident_watchdog();
    } else if (wd->pci.config[LOCK] & LOCK_FREE_RUNNING) {
        start_stage(wd, 1);
    } else {
        wd->s.stage = 0;
        esb_update(&wd->pci.dev);
    }
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    Esb *wd = (Esb *)pci;
    bool enabled = pci->config[LOCK] & LOCK_ENABLE;

    if (offset > LOCK || offset + size <= LOCK) {
        return;
    }
    if (enabled && !wd->s.stage) {
        start_stage(wd, 1);
    } else if (!enabled) {
        wd->s.stage = 0;
    }
    esb_update(&pci->dev);
}

static uint64_t esb_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Esb *wd = opaque;

    switch (offset & ~3u) {
    case STATUS:
        return wd->s.status ? STATUS_STAGE1 : 0;
    case RELOAD:
        return wd->kept.timed_out ? RELOAD_TIMEOUT : 0;
    default: /* the counters are written only */
        return 0;
    }
}

/* 16.5.1: 80h, then 86h to the reload register, before each write of a protected register. */
static bool unlocked(Esb *wd, PhysAddr offset, uint64_t value)
{
    bool done = wd->s.unlock == 2;

    wd->s.unlock = offset == RELOAD && value == 0x80                         ? 1
                   : offset == RELOAD && value == 0x86 && wd->s.unlock == 1 ? 2
                                                                             : 0;
    return done;
}

static void esb_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Esb *wd = opaque;

    if (offset == STATUS) {
        wd->s.status &= !(value & STATUS_STAGE1);
        return;
    }
    if (!unlocked(wd, offset, value)) {
        return;
    }
    if (offset == TIMER1 || offset == TIMER2) {
        wd->s.preload[offset == TIMER2] = value & PRELOAD_MASK;
    } else if (offset == RELOAD) {
        if (value & RELOAD_TIMEOUT) {
            wd->kept.timed_out = false;
        }
        if ((value & RELOAD_NOW) && wd->pci.config[LOCK] & LOCK_ENABLE) {
            start_stage(wd, 1);
        }
    }
}

static const RegionOps esb_ops = { esb_read, esb_write, 1, 4, ENDIAN_LITTLE, false };

static bool esb_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x25ab, .class_rev = 0x088000 << 8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    Esb *wd = (Esb *)dev;

    state_reset(EsbKept_fields, &wd->kept);
    pci_device_init(&wd->pci, &info);
    wd->pci.writable[CONFIG] = 0x27;
    wd->pci.config_written = config_written;
    wd->timer = timer_new(CLOCK_GUEST, expired, wd);
    wd->bar = region_new_io("i6300esb", &esb_ops, wd, BAR_SIZE);
    pci_register_bar(&wd->pci, 0, PCI_BAR_MEM32, wd->bar);
    return true;
}

static void esb_unrealize(Device *dev)
{
    Esb *wd = (Esb *)dev;

    timer_free(wd->timer);
    region_free(wd->bar);
}

static void esb_reset(Device *dev)
{
    Esb *wd = (Esb *)dev;

    wd->pci.config[CONFIG] = 0;
    wd->pci.config[LOCK] = 0;
}

static bool esb_post_load(Device *dev, GError **error)
{
    Esb *wd = (Esb *)dev;

    wd->s.stage = MIN(wd->s.stage, 2);
    wd->s.unlock = MIN(wd->s.unlock, 2);
    wd->s.preload[0] &= PRELOAD_MASK;
    wd->s.preload[1] &= PRELOAD_MASK;
    return true;
}

static void esb_save(Device *dev, GKeyFile *out)
{
    g_key_file_set_boolean(out, dev->id, "kept.timed_out", ((Esb *)dev)->kept.timed_out);
}

static bool esb_load(Device *dev, GKeyFile *in, GError **error)
{
    ((Esb *)dev)->kept.timed_out = g_key_file_get_boolean(in, dev->id, "kept.timed_out", NULL);
    return true;
}

static const Prop esb_props[] = {
    PCI_PROPS(Esb),
    { 0 },
};

const DeviceType i6300esb_type = {
    .name = "i6300esb", .about = "Intel 6300ESB watchdog", .bus = "pci", .user = true, .hotplug = true,
    .size = sizeof(Esb), .state_at = offsetof(Esb, s), .state = EsbState_fields, .props = esb_props,
    .realize = esb_realize, .unrealize = esb_unrealize, .reset = esb_reset, .update = esb_update,
    .post_load = esb_post_load, .save_extra = esb_save, .load_extra = esb_load,
};
