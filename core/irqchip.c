/* Which interrupt controllers do the work: the devices' own emulation, or the engine's. */
#include "core/irqchip.h"

#include "core/device.h"
#include "core/irqwire.h"

const IrqchipOps *irqchip;

static void fetch(Device *dev, void *opaque)
{
    device_fetch(dev);
}

/* Devices that are nowhere but here have lines that are as they should be already. */
static void hand_over(Device *dev, void *opaque)
{
    if (dev->type->fetch) {
        dev->type->update(dev);
    }
}

void irqchip_switch(const IrqchipOps *ops)
{
    irq_wires_cut(); /* what they sent is in the state that is fetched */
    device_for_each(fetch, NULL);
    irqchip = ops;
    device_for_each(hand_over, NULL);
    irq_wires_join();
}
