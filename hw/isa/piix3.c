/*
 * PIIX3: the PCI to ISA bridge, which routes PCI interrupts and resets the machine.
 *
 * Intel 82371FB/82371SB (PIIX/PIIX3) data sheet (order 290550).
 */
#include "hw/isa/piix3.h"

#include "core/machine.h"

enum { REG_PIRQ = 0x60, PIRQ_OFF = 0x80 };
enum { RESET_FULL = 0x02, RESET_NOW = 0x04 };

#define PIIX3_STATE(FIELD, ARRAY)           \
    ARRAY(bool, pirq, 4, false)             \
    FIELD(uint8_t, reset_control, 0)

DEFINE_STATE(Piix3State, PIIX3_STATE);

typedef struct Piix3 {
    PciDevice pci;
    Piix3State s;
    Line *irqs[16];
} Piix3;

/* Several PIRQs may share an ISA input: it is high while any of them is. */
static void piix3_update(Device *dev)
{
    Piix3 *piix = (Piix3 *)dev;
    uint16_t high = 0, routed = 0;

    for (int n = 0; n < 4; n++) {
        uint8_t route = piix->pci.config[REG_PIRQ + n];

        if (!(route & PIRQ_OFF)) {
            routed |= 1 << (route & 15);
            high |= piix->s.pirq[n] << (route & 15);
        }
    }
    for (int irq = 3; irq < 16; irq++) {
        if (routed >> irq & 1) {
            line_set(piix->irqs[irq], high >> irq & 1);
        }
    }
}

void piix3_set_pirq(void *opaque, int n, bool level)
{
    Piix3 *piix = opaque;

    piix->s.pirq[n] = level;
    piix3_update(&piix->pci.dev);
}

void piix3_connect(Device *dev, Line *const irqs[16])
{
    for (int i = 0; i < 16; i++) {
        ((Piix3 *)dev)->irqs[i] = irqs[i];
    }
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset < REG_PIRQ + 4 && offset + size > REG_PIRQ) {
        Piix3 *piix = (Piix3 *)pci;

        for (int irq = 3; irq < 16; irq++) { /* inputs that lose their route fall */
            if (irq != 8 && irq != 13 && (piix->s.pirq[0] | piix->s.pirq[1] | piix->s.pirq[2] | piix->s.pirq[3])) {
                line_set(piix->irqs[irq], false);
            }
        }
        piix3_update(&pci->dev);
    }
}

/* CF9h, reset control: bit 2 going up resets (section 2.3.3). */
uint8_t piix3_read_reset(Device *dev)
{
    return ((Piix3 *)dev)->s.reset_control;
}

void piix3_write_reset(Device *dev, uint8_t value)
{
    Piix3 *piix = (Piix3 *)dev;

    if (value & RESET_NOW) {
        machine_request_reset(SHUTDOWN_GUEST);
        return;
    }
    piix->s.reset_control = value & RESET_FULL;
}

static bool piix3_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x7000, .class_rev = 0x060100 << 8,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    Piix3 *piix = (Piix3 *)dev;
    PciDevice *pci = &piix->pci;

    pci->multifunction = true; /* IDE, USB and power management share the package */
    pci_device_init(pci, &info);
    pci->config[0x04] = 0x07;
    pci->config[0x07] = 0x02;
    pci->writable[0x04] = 0x08;
    for (int i = 0; i < 4; i++) {
        pci->writable[REG_PIRQ + i] = 0x8f;
    }
    for (int i = 0x4c; i <= 0x4f; i++) { /* recovery timers, chip selects */
        pci->writable[i] = 0xff;
    }
    pci->config[0x4c] = 0x4d;
    pci->config[0x4e] = 0x03;
    pci->writable[0x69] = 0xfe; /* top of ISA memory */
    pci->writable[0x70] = pci->writable[0x82] = pci->writable[0xa0] = 0xff;
    pci->config[0x69] = 0x02;
    pci->config[0x70] = 0x80;
    pci->config_written = config_written;
    return true;
}

static void piix3_reset(Device *dev)
{
    for (int i = 0; i < 4; i++) {
        ((Piix3 *)dev)->pci.config[REG_PIRQ + i] = PIRQ_OFF;
    }
}

static const Prop piix3_props[] = {
    PCI_PROPS(Piix3),
    { 0 },
};

const DeviceType piix3_type = {
    .name = "PIIX3",
    .about = "Intel PIIX3 ISA bridge",
    .bus = "pci",
    .size = sizeof(Piix3),
    .state_at = offsetof(Piix3, s),
    .state = Piix3State_fields,
    .props = piix3_props,
    .realize = piix3_realize,
    .reset = piix3_reset,
    .update = piix3_update,
};
