/* An IDE channel on the ISA bus: PIO only. */
#include "hw/ide/ide.h"
#include "hw/isa/isa.h"

typedef struct IsaIde {
    IsaDevice isa;
    uint32_t control_port, index;
    IdeChannel *ch;
} IsaIde;

static bool isa_ide_realize(Device *dev, GError **error)
{
    IsaIde *ide = (IsaIde *)dev;

    ide->ch = ide_channel_new(dev, ide->index, isa_irq(ide->isa.irq), NULL, NULL, error);
    if (!ide->ch) {
        return false;
    }
    isa_add_ports(ide_channel_command(ide->ch), ide->isa.iobase);
    isa_add_ports(ide_channel_control(ide->ch), ide->control_port);
    return true;
}

static void isa_ide_reset(Device *dev)
{
    ide_channel_reset(((IsaIde *)dev)->ch);
}

static void isa_ide_save(Device *dev, GKeyFile *out)
{
    g_autofree char *id = g_strconcat(dev->id, ".channel", NULL);

    ide_channel_save(((IsaIde *)dev)->ch, out, id);
}

static bool isa_ide_load(Device *dev, GKeyFile *in, GError **error)
{
    g_autofree char *id = g_strconcat(dev->id, ".channel", NULL);

    return ide_channel_load(((IsaIde *)dev)->ch, in, id, error);
}

static const Prop isa_ide_props[] = {
    ISA_PROPS(IsaIde, "0x1f0", "14", "255"),
    PROP(IsaIde, control_port, "iobase2", PROP_U32, "0x3f6", "port of the control register"),
    PROP(IsaIde, index, "index", PROP_U32, "0", "number of the channel: drives 2 * index and up"),
    { 0 },
};

const DeviceType isa_ide_type = {
    .name = "isa-ide",
    .about = "IDE channel on the ISA bus",
    .bus = "isa",
    .user = true,
    .size = sizeof(IsaIde),
    .props = isa_ide_props,
    .realize = isa_ide_realize,
    .reset = isa_ide_reset,
    .save_extra = isa_ide_save,
    .load_extra = isa_ide_load,
};
