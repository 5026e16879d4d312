/* What the PC boards share: memory, processors, the chips of an AT, and firmware. */
#ifndef HW_BOARDS_PC_H
#define HW_BOARDS_PC_H

#include "core/cpu.h"
#include "core/machine.h"
#include "hw/acpi/tables.h"
#include "hw/intr/ioapic.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"
#include "hw/timer/ticks.h"

/* What of a chip set firmware and tables have to know. */
typedef struct PcChipset {
    const char *name;        /* of the board, for people */
    uint64_t low_ram_max;    /* the rest is above 4 GiB */
    bool express;            /* Q35, otherwise 440FX */
    uint16_t gpe_base;       /* of general purpose events; express: in the power management block */
    uint8_t gpe_length;
} PcChipset;

typedef struct Pc {
    const PcChipset *chipset;
    Region *ram;
    uint64_t low_ram, high_ram; /* bytes below and above 4 GiB */
    Region *rom_space; /* where ROMs go: PCI memory, or all memory without PCI */
    Device *i8042;
    Device *pic_master, *pic_slave, *pit, *rtc, *dma, *speaker, *fw_cfg;
    Device *fdc;
    Device *ioapic; /* NULL: no APICs */
    Device *hpet;   /* or NULL */
    Line *hpet_inputs[IOAPIC_PINS]; /* its ends of inputs that it shares; NULL: none but its own */
    Device *pm;     /* power management, or NULL */
    PciBus *pci;    /* or NULL */
    AcpiPlaces acpi_places; /* as the tables have them */
    bool has_pci;
    bool finished;  /* CMOS and fw_cfg have been filled */
    Ticks *ticks;         /* of interrupt 0 */
    Line *irqs[ISA_IRQS]; /* the ISA interrupts as devices see them */
} Pc;

/* Each is one step of a board; the order is that of the list. */
bool pc_make_memory(Pc *pc, GError **error);
bool pc_make_cpus(Pc *pc, const BoardType *board, GError **error);
bool pc_make_pic(Pc *pc, GError **error);
/* Local APICs if the processors have them, and an I/O APIC; else the 8259 pair is direct. */
bool pc_make_apics(Pc *pc, const BoardType *board, GError **error);
/* Splits each ISA interrupt in two: one for PCI (and nobody else), one that stays in pc->irqs. */
void pc_share_irqs(Pc *pc, Line *pirqs[ISA_IRQS]);
bool pc_make_isa(Pc *pc, Device *owner, GError **error); /* the bus and the chips on it */
bool pc_make_vmport(Pc *pc, GError **error); /* likewise */
bool pc_make_hpet(Pc *pc, GError **error); /* after the ISA bus */
/* Flash, else -bios or the standard one; below 1 MiB only with PCI, whose bridge can hide it. */
bool pc_load_bios(Pc *pc, const char *standard, GError **error);
bool pc_make_fw_cfg(Pc *pc, GError **error);
/* When all devices are there, before the machine's first run. */
void pc_finish(Pc *pc);

/* A device of the board by name on a bus; *made is NULL after a warning if there is no such type. */
bool pc_add(const char *name, Bus *bus, const char *properties, Device **made, GError **error);

/* pc-firmware.c */
void pc_fill_cmos(const Pc *pc);
void pc_set_boot_order(const Pc *pc, const char *order); /* letters; NULL: the usual */
void pc_fill_fw_cfg(Pc *pc);

#endif
