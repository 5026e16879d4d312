/*
 * Intel 8255x Fast Ethernet (EtherExpress PRO/100): registers, EEPROM, transceiver and the family's members.
 *
 * Intel 8255x 10/100 Mbps Ethernet Controller Family Open Source Software Developer Manual, chapter 6.
 */
#include "hw/net/i8255x.h"

#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { SCB_STATUS = 0, SCB_STAT = 1, SCB_COMMAND = 2, SCB_MASK = 3, SCB_POINTER = 4, PORT = 8, EEPROM = 0x0e,
       MDI = 0x10, GENERAL_STATUS = 0x1d, REGISTERS = 64 };
enum { MASK_ALL = 1, MASK_SWI = 2 };
enum { PIN_CLOCK = 1, PIN_CS = 2, PIN_IN = 4, PIN_OUT = 8 };
enum { PORT_RESET, PORT_SELF_TEST, PORT_SELECTIVE_RESET, PORT_DUMP };
enum { PHY_CONTROL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_ADVERTISE, PHY_PARTNER, PHY_EXPANSION, PHY_ADDRESS = 1 };
#define MDI_READY 0x10000000u

static void i8255x_update(Device *dev)
{
    I8255x *e = (I8255x *)dev;
    uint8_t stat = e->s.stat;

    stat &= ~(e->s.mask & 0xf0); /* CX, FR, CNA and RNR have a mask bit each, at their own place */
    pci_set_intx(&e->pci, stat && !(e->s.mask & MASK_ALL));
}

void i8255x_raise(I8255x *e, uint8_t stat)
{
    e->s.stat |= stat;
    i8255x_update(&e->pci.dev);
}

/* ---- EEPROM and transceiver ---- */

static Microwire eeprom(I8255x *e)
{
    return (Microwire){ e->s.eeprom, 6, e->s.eeprom_wires };
}

static void fill_eeprom(I8255x *e)
{
    uint16_t *w = e->s.eeprom, sum = 0;

    memset(w, 0, sizeof(e->s.eeprom));
    for (int i = 0; i < 3; i++) {
        w[i] = load_le16(e->nic.mac + 2 * i);
    }
    w[3] = 0x0203; /* no compatibility hacks */
    w[5] = 0x0201; /* controller and connector */
    w[6] = 0x4701; /* transceiver: 82555 at address 1 */
    w[10] = 0x4000;
    w[11] = e->pci.info->subsystem;
    w[12] = e->pci.info->subsystem_vendor;
    for (int i = 0; i < 63; i++) {
        sum += w[i];
    }
    w[63] = 0xbaba - sum;
}

void i8255x_link_changed(void *opaque, bool up)
{
    I8255x *e = opaque;

    e->s.phy[PHY_STATUS] = 0x7809 | (up ? 0x0024 : 0);
    e->s.phy[PHY_PARTNER] = up ? 0x41e1 : 0;
    e->s.phy[PHY_EXPANSION] = up ? 0x0001 : 0;
    e->s.plain[GENERAL_STATUS] = up ? 7 : 0; /* full duplex, 100 Mbit/s, link */
}

static void reset_phy(I8255x *e)
{
    memset(e->s.phy, 0, sizeof(e->s.phy));
    e->s.phy[PHY_CONTROL] = 0x3000;
    e->s.phy[PHY_ID1] = 0x02a8; /* Intel 82555 */
    e->s.phy[PHY_ID2] = 0x0154;
    e->s.phy[PHY_ADVERTISE] = 0x05e1;
    i8255x_link_changed(e, nic_link_up(&e->nic));
}

static void write_mdi(I8255x *e, uint32_t value)
{
    unsigned reg = value >> 16 & 31, address = value >> 21 & 31, op = value >> 26 & 3;

    if (op == 2) {
        value = (value & 0xffff0000) | (address == PHY_ADDRESS ? e->s.phy[reg] : 0);
    } else if (op == 1 && address == PHY_ADDRESS) {
        if (reg == PHY_CONTROL && (value & 0x8000)) {
            reset_phy(e);
        } else if (reg == PHY_CONTROL) {
            e->s.phy[reg] = value & 0x7dff & ~0x0200; /* negotiation is over at once */
        } else if (reg > PHY_ID2 && reg != PHY_PARTNER && reg != PHY_EXPANSION) {
            e->s.phy[reg] = value;
        }
    }
    e->s.mdi = value | MDI_READY;
    if (value & 1 << 29) {
        i8255x_raise(e, STAT_MDI);
    }
}

/* ---- resets and self test ---- */

/* The selective reset keeps the configuration, the bases and the masks. */
static void reset_units(I8255x *e)
{
    e->s.cu_state = CU_IDLE;
    e->s.ru_state = RU_IDLE;
    e->s.stat = 0;
    timer_cancel(e->more);
    i8255x_update(&e->pci.dev);
}

static void reset_chip(I8255x *e)
{
    e->s.mask = 0;
    e->s.pointer = e->s.cu_base = e->s.ru_base = e->s.cu_at = e->s.ru_at = e->s.dump = 0;
    e->s.mdi = MDI_READY;
    e->s.multicast = 0;
    memset(e->s.counter, 0, sizeof(e->s.counter));
    memcpy(e->s.address, e->nic.mac, 6);
    i8255x_default_config(e);
    reset_units(e);
}

static void i8255x_reset(Device *dev)
{
    I8255x *e = (I8255x *)dev;

    fill_eeprom(e);
    reset_phy(e);
    reset_chip(e);
}

static void write_port(I8255x *e, uint32_t value)
{
    static const uint8_t passed[8] = { 0x00, 0x00, 0x00, 0x80, 0, 0, 0, 0 }; /* the ROM's sum, no failures */

    switch (value & 15) {
    case PORT_RESET:
        reset_chip(e);
        break;
    case PORT_SELF_TEST:
        pci_dma_write(&e->pci, value & ~15u, passed, sizeof(passed));
        break;
    case PORT_SELECTIVE_RESET:
        reset_units(e);
        break;
    default: /* a dump of the chip's insides, for its makers */
        guest_error(e->pci.dev.id, "PORT: no command %x", value & 15);
    }
}

/* ---- registers ---- */

static void command_cu(I8255x *e, unsigned command)
{
    switch (command) {
    case 0:
        break;
    case 1:
        i8255x_start_cu(e, e->s.pointer);
        break;
    case 2:
    case 10: /* static resume */
        i8255x_resume_cu(e);
        break;
    case 4:
        e->s.dump = e->s.pointer;
        break;
    case 5:
    case 7:
        i8255x_dump_counters(e, command == 7);
        break;
    case 6:
        e->s.cu_base = e->s.pointer;
        break;
    default:
        guest_error(e->pci.dev.id, "command unit: no command %u", command);
    }
}

static uint8_t read_byte(I8255x *e, unsigned reg)
{
    const I8255xState *s = &e->s;
    Microwire m = eeprom(e);

    switch (reg) {
    case SCB_STATUS:
        return s->cu_state << 6 | s->ru_state << 2;
    case SCB_STAT:
        return s->stat;
    case SCB_COMMAND: /* commands are accepted at once */
        return 0;
    case SCB_MASK:
        return s->mask;
    case SCB_POINTER: case SCB_POINTER + 1: case SCB_POINTER + 2: case SCB_POINTER + 3:
        return s->pointer >> (reg - SCB_POINTER) * 8;
    case EEPROM:
        return s->eeprom_pins | (microwire_data(&m) ? PIN_OUT : 0);
    case MDI: case MDI + 1: case MDI + 2: case MDI + 3:
        return s->mdi >> (reg - MDI) * 8;
    default:
        return s->plain[reg];
    }
}

static uint64_t i8255x_read(void *opaque, PhysAddr offset, unsigned size)
{
    I8255x *e = opaque;
    uint32_t value = 0;

    for (unsigned i = 0; i < size && offset + i < REGISTERS; i++) {
        value |= (uint32_t)read_byte(e, offset + i) << i * 8;
    }
    return value;
}

static void write_byte(I8255x *e, unsigned reg, uint8_t value)
{
    I8255xState *s = &e->s;
    Microwire m = eeprom(e);
    unsigned shift = reg % 4 * 8;

    switch (reg) {
    case SCB_STAT:
        s->stat &= ~value;
        break;
    case SCB_COMMAND:
        command_cu(e, value >> 4);
        i8255x_command_ru(e, value & 7);
        break;
    case SCB_MASK:
        s->mask = value & ~MASK_SWI;
        s->stat |= value & MASK_SWI ? STAT_SWI : 0;
        break;
    case SCB_POINTER: case SCB_POINTER + 1: case SCB_POINTER + 2: case SCB_POINTER + 3:
        s->pointer = (s->pointer & ~(0xffu << shift)) | (uint32_t)value << shift;
        break;
    case EEPROM:
        s->eeprom_pins = value & (PIN_CLOCK | PIN_CS | PIN_IN);
        microwire_drive(&m, value & PIN_CS, value & PIN_CLOCK, value & PIN_IN);
        break;
    case PORT: case PORT + 1: case PORT + 2: /* acts when the last byte comes */
        s->plain[reg] = value;
        break;
    case PORT + 3:
        s->plain[reg] = value;
        write_port(e, load_le32(s->plain + PORT));
        break;
    case MDI: case MDI + 1: case MDI + 2:
        s->mdi = (s->mdi & ~(0xffu << shift)) | (uint32_t)value << shift;
        break;
    case MDI + 3:
        write_mdi(e, (s->mdi & 0xffffff) | (uint32_t)value << 24);
        break;
    case 0x18: case 0x19: case 0x1a: case 0x1c: /* early interrupts, flow control, general control */
        s->plain[reg] = value;
        break;
    case 0x1b: /* power management: events clear when written with one */
        s->plain[reg] &= ~value;
        break;
    }
}

static void i8255x_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    I8255x *e = opaque;

    /* The mask and the acknowledgement come before a command that is in the same access. */
    for (int i = size - 1; i >= 0 && offset < 4; i--) {
        if (offset + i < 4) {
            write_byte(e, offset + i, value >> i * 8);
        }
    }
    for (unsigned i = 0; i < size; i++) {
        if (offset + i >= 4 && offset + i < REGISTERS) {
            write_byte(e, offset + i, value >> i * 8);
        }
    }
    i8255x_update(&e->pci.dev);
}

static const RegionOps ops = { i8255x_read, i8255x_write, 1, 4, ENDIAN_LITTLE };

/* Where a boot flash would be. */
static uint64_t flash_read(void *opaque, PhysAddr offset, unsigned size)
{
    return UINT64_MAX;
}

static void flash_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
}

static const RegionOps flash_ops = { flash_read, flash_write, 1, 4, ENDIAN_LITTLE };

/* ---- the devices ---- */

static bool realize_as(Device *dev, const PciInfo *info, GError **error)
{
    I8255x *e = (I8255x *)dev;

    pci_device_init(&e->pci, info);
    e->mmio = region_new_io("i8255x-mmio", &ops, e, 4096);
    e->ports = region_new_io("i8255x-io", &ops, e, REGISTERS);
    e->flash = region_new_io("i8255x-flash", &flash_ops, e, 128 * 1024);
    pci_register_bar(&e->pci, 0, PCI_BAR_MEM32, e->mmio);
    pci_register_bar(&e->pci, 1, PCI_BAR_IO, e->ports);
    pci_register_bar(&e->pci, 2, PCI_BAR_MEM32, e->flash);
    e->more = timer_new(CLOCK_GUEST, i8255x_run_cu, e);
    return nic_attach(&e->nic, &i8255x_frontend, e, error) && pci_load_rom(&e->pci, error);
}

static void i8255x_unrealize(Device *dev)
{
    I8255x *e = (I8255x *)dev;

    nic_detach(&e->nic);
    timer_free(e->more);
    region_free(e->mmio);
    region_free(e->ports);
    region_free(e->flash);
}

/* An active unit goes on where the snapshot found it. */
static bool i8255x_post_load(Device *dev, GError **error)
{
    I8255x *e = (I8255x *)dev;

    e->s.cu_state = MIN(e->s.cu_state, CU_ACTIVE);
    timer_set(e->more, clock_now(CLOCK_GUEST));
    return true;
}

static const Prop i8255x_props[] = {
    PCI_PROPS(I8255x),
    NIC_PROPS(I8255x),
    { 0 },
};

/* Members of the family differ in their names as far as drivers can tell. */
#define I8255X(model, text, device_id, rev)                                                                          \
    static bool model##_realize(Device *dev, GError **error)                                                         \
    {                                                                                                                \
        static const PciInfo info = {                                                                                \
            .vendor = 0x8086, .device = device_id, .class_rev = 0x020000 << 8 | (rev), .subsystem_vendor = 0x8086,   \
            .subsystem = 0x0040, .interrupt_pin = 1, .rom = "efi-eepro100.rom",                                      \
        };                                                                                                           \
        return realize_as(dev, &info, error);                                                                        \
    }                                                                                                                \
    const DeviceType model##_type = {                                                                                \
        .name = #model, .about = "Intel " text " Fast Ethernet", .bus = "pci", .user = true, .hotplug = true,        \
        .size = sizeof(I8255x), .state_at = offsetof(I8255x, s), .state = I8255xState_fields, .props = i8255x_props, \
        .realize = model##_realize, .unrealize = i8255x_unrealize, .reset = i8255x_reset,                            \
        .post_load = i8255x_post_load, .update = i8255x_update,                                                      \
    }

I8255X(i82550, "82550", 0x1209, 0x0e);
I8255X(i82551, "82551", 0x1209, 0x0f);
I8255X(i82557a, "82557A", 0x1229, 0x01);
I8255X(i82557b, "82557B", 0x1229, 0x02);
I8255X(i82557c, "82557C", 0x1229, 0x03);
I8255X(i82558a, "82558A", 0x1229, 0x04);
I8255X(i82558b, "82558B", 0x1229, 0x05);
I8255X(i82559a, "82559A", 0x1229, 0x06);
I8255X(i82559b, "82559B", 0x1229, 0x07);
I8255X(i82559c, "82559C", 0x1229, 0x08);
I8255X(i82559er, "82559ER", 0x1209, 0x09);
I8255X(i82562, "82562", 0x1209, 0x0e);
I8255X(i82801, "82801", 0x2449, 0x03);
