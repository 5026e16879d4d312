/* The standard VGA on PCI: linear framebuffer, Bochs registers in ports and in memory. */
#include "hw/display/vga.h"
#include "hw/pci/pci.h"
#include "util/error.h"

typedef struct VgaPci {
    PciDevice pci;
    Vga vga;
    uint32_t vram_mb;
    bool big_endian; /* at reset */
    Region *mmio;
} VgaPci;

static const PciInfo vga_info = {
    .vendor = 0x1234,
    .device = 0x1111,
    .class_rev = 0x030000 << 8 | 0x02,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .rom = "vgabios-stdvga.bin",
};

/* What the register at 604h holds, in either byte order. */
#define ENDIAN_IS_LITTLE 0x1e1e1e1eu
#define ENDIAN_IS_BIG    0xbebebebeu

enum { MMIO_PORTS = 0x400, MMIO_VBE = 0x500, MMIO_EXT = 0x600, MMIO_ENDIAN = 0x604 };

/* BAR 2: ports 3C0-3DF at 400h, the Bochs registers as 16-bit words at 500h, an id at 600h. */
static uint64_t mmio_read(void *opaque, PhysAddr offset, unsigned size)
{
    VgaPci *dev = opaque;

    if (offset >= MMIO_PORTS && offset < MMIO_PORTS + 0x20) {
        return vga_port_read(&dev->vga, offset - MMIO_PORTS + 0x10, 1);
    }
    if (offset >= MMIO_VBE && offset < MMIO_VBE + VBE_REGS * 2) {
        return vbe_read(&dev->vga, (offset - MMIO_VBE) / 2) >> (offset & 1) * 8;
    }
    switch (offset & ~3) {
    case MMIO_EXT:
        return 8u >> (offset & 3) * 8; /* the size of this block in bytes */
    case MMIO_ENDIAN:
        return (dev->vga.s.big_endian ? ENDIAN_IS_BIG : ENDIAN_IS_LITTLE) >> (offset & 3) * 8;
    default:
        return size == 1 ? 0xff : 0xffff;
    }
}

static void mmio_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    VgaPci *dev = opaque;

    if (offset >= MMIO_PORTS && offset < MMIO_PORTS + 0x20) {
        vga_port_write(&dev->vga, offset - MMIO_PORTS + 0x10, value & 0xff, 1);
        if (size == 2) {
            vga_port_write(&dev->vga, offset + 1 - MMIO_PORTS + 0x10, value >> 8, 1);
        }
    } else if (offset >= MMIO_VBE && offset < MMIO_VBE + VBE_REGS * 2 && !(offset & 1)) {
        vbe_write(&dev->vga, (offset - MMIO_VBE) / 2, value);
    } else if (offset == MMIO_ENDIAN) {
        if ((uint8_t)value == (uint8_t)ENDIAN_IS_BIG || (uint8_t)value == (uint8_t)ENDIAN_IS_LITTLE) {
            dev->vga.s.big_endian = (uint8_t)value == (uint8_t)ENDIAN_IS_BIG;
        }
        dev->vga.redraw = true;
    }
}

static const RegionOps mmio_ops = { mmio_read, mmio_write, 1, 2, ENDIAN_LITTLE };

static bool vga_pci_realize(Device *dev, GError **error)
{
    VgaPci *v = (VgaPci *)dev;

    if (v->vram_mb < 1 || v->vram_mb > 256 || (v->vram_mb & (v->vram_mb - 1))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "VGA: vgamem_mb=%u is not a power of two from 1 to 256", v->vram_mb);
        return false;
    }
    pci_device_init(&v->pci, &vga_info);
    if (!vga_init(&v->vga, dev->id, v->vram_mb, pci_bus_memory(v->pci.bus),
                  pci_bus_ports(v->pci.bus), error)) {
        return false;
    }
    v->mmio = region_new_io("vga-mmio", &mmio_ops, v, 4096);
    pci_register_bar(&v->pci, 0, PCI_BAR_MEM32 | PCI_BAR_PREFETCH, v->vga.vram);
    pci_register_bar(&v->pci, 2, PCI_BAR_MEM32, v->mmio);
    return pci_load_rom(&v->pci, error);
}

static void vga_pci_reset(Device *dev)
{
    VgaPci *v = (VgaPci *)dev;

    v->vga.s.big_endian = v->big_endian;
    vga_reset(&v->vga);
}

static bool vga_pci_loaded(Device *dev, GError **error)
{
    VgaRegs *s = &((VgaPci *)dev)->vga.s;

    s->seq_index &= 7;
    s->gr_index &= 15;
    s->dac_step %= 3;
    vga_reset(&((VgaPci *)dev)->vga);
    return true;
}

static const Prop vga_pci_props[] = {
    PCI_PROPS(VgaPci),
    PROP(VgaPci, vram_mb, "vgamem_mb", PROP_U32, "16", "video memory in MiB, a power of two"),
    PROP(VgaPci, big_endian, "big-endian-framebuffer", PROP_BOOL, "off", "byte order of pixels at reset"),
    { 0 },
};

const DeviceType vga_type = {
    .name = "VGA",
    .about = "standard VGA with Bochs VBE",
    .bus = "pci",
    .user = true,
    .size = sizeof(VgaPci),
    .state_at = offsetof(VgaPci, vga.s),
    .state = vga_fields,
    .props = vga_pci_props,
    .realize = vga_pci_realize,
    .reset = vga_pci_reset,
    .post_load = vga_pci_loaded,
};
