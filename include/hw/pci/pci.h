/* PCI bus, configuration space and base address registers. */
#ifndef HW_PCI_PCI_H
#define HW_PCI_PCI_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

#define PCI_SLOT(devfn)      ((devfn) >> 3)
#define PCI_FUNC(devfn)      ((devfn)&7)
#define PCI_DEVFN(slot, fn)  ((slot) << 3 | (fn))

typedef struct PciBus PciBus;
typedef struct PciDevice PciDevice;

typedef enum PciBarKind { PCI_BAR_IO = 1, PCI_BAR_MEM32 = 0, PCI_BAR_MEM64 = 4, PCI_BAR_PREFETCH = 8 } PciBarKind;

typedef struct PciBar {
    Region *region; /* borrowed */
    uint64_t size;
    uint8_t kind;
    uint64_t mapped; /* current address, or UINT64_MAX */
} PciBar;

/* Identity and constant config bytes of a type of function. */
typedef struct PciInfo {
    uint16_t vendor, device;
    uint32_t class_rev; /* class code << 8 | revision */
    uint16_t subsystem_vendor, subsystem;
    uint8_t interrupt_pin; /* 0 none, 1 A .. 4 D */
    const char *rom;       /* default option ROM file name, or NULL */
} PciInfo;

#define PCI_CONFIG_SIZE 256

/* The state of the config space belongs to the bus layer, which saves and resets it. */
struct PciDevice {
    Device dev;
    PciBus *bus;
    int devfn;          /* from addr=, or picked */
    bool multifunction;
    char *romfile;      /* romfile= property; "" for none */
    uint32_t rombar;
    const PciInfo *info;
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t writable[PCI_CONFIG_SIZE];  /* bits that config writes may change */
    uint8_t clear_on_1[PCI_CONFIG_SIZE]; /* bits that writing 1 clears */
    uint8_t reset_config[PCI_CONFIG_SIZE]; /* as it was after realize */
    PciBar bars[7]; /* [6] is the ROM */
    PciBus *secondary; /* of a bridge: the bus behind it */
    bool intx;
    bool leaving; /* the guest was asked to give it up */
    bool ejected; /* the guest gave it up: it is there no more, and freed soon */
    /* Set by the device before pci_device_init returns, may be NULL. */
    uint32_t (*config_read)(PciDevice *pci, unsigned offset, unsigned size);
    /* After the common write: old bytes are gone; react to what changed. */
    void (*config_written)(PciDevice *pci, unsigned offset, unsigned size);
    void (*bars_changed)(PciDevice *pci);
    uint8_t msi_cap, msix_cap; /* offsets, 0: none */
    struct PciMsix *msix; /* hw/pci/msi.c's */
};

/* Rows that every PciDevice type puts at the head of its property list; member: its PciDevice. */
#define PCI_PROPS_IN(Type, member)                                                                    \
    PROP(Type, member.devfn, "addr", PROP_PCI_ADDR, "-1", "slot[.function] on the bus"),              \
        PROP(Type, member.multifunction, "multifunction", PROP_BOOL, "off",                           \
             "other functions share the slot"),                                                       \
        PROP(Type, member.romfile, "romfile", PROP_STRING, NULL, "option ROM file, empty for none"),  \
        PROP(Type, member.rombar, "rombar", PROP_U32, "1", "0: hide the option ROM")
#define PCI_PROPS(Type) PCI_PROPS_IN(Type, pci)

/* First thing in a type's realize: fills the header from info. */
void pci_device_init(PciDevice *pci, const PciInfo *info);
/* region is borrowed, its size a power of two. index 0-5. */
void pci_register_bar(PciDevice *pci, int index, PciBarKind kind, Region *region);
bool pci_load_rom(PciDevice *pci, GError **error); /* romfile or info->rom; missing default is no error */
/* Returns the offset of a new capability of `size` bytes. */
uint8_t pci_add_capability(PciDevice *pci, uint8_t id, uint8_t size);
void pci_device_reset_common(PciDevice *pci); /* the bus calls it before the type's reset */

void pci_set_intx(PciDevice *pci, bool level);
/* The guest gave the function up, once: it vanishes for it now and is freed soon, by the main loop. */
void pci_eject(PciDevice *pci);

/* DMA: honours the bus-master enable bit; false if it is off. */
bool pci_dma_read(PciDevice *pci, PhysAddr addr, void *buf, uint64_t size);
bool pci_dma_write(PciDevice *pci, PhysAddr addr, const void *buf, uint64_t size);
bool pci_bus_master(const PciDevice *pci);
/* A function's write or message is on this thread's stack, and so is perhaps what it did before: it must not be reset now. */
bool pci_dma_writing(void);
void pci_dma_count_writing(int by);
/* As memory_map, where the function's accesses lead; does not look at the bus-master bit. */
void *pci_dma_map(PciDevice *pci, PhysAddr addr, uint64_t *size, bool is_write, RamBlock **ram, uint64_t *offset);
/* As dma_list_add; after false the list may have a part of it. */
struct DmaList;
bool pci_dma_list_add(PciDevice *pci, struct DmaList *list, PhysAddr addr, uint64_t size, bool is_write);
/*
 * A host bridge that translates what its functions access: where `addr` leads, and how many bytes from there lie
 * together; false: nowhere. Messages (MSI) are not translated.
 */
typedef bool PciTranslate(void *opaque, PhysAddr addr, bool is_write, PhysAddr *phys, uint64_t *left);

/* Host bridges: a bus with the map from (devfn, pin 0-3) to interrupt input number. */
typedef int PciMapIrq(PciDevice *pci, int pin);
PciBus *pci_bus_new(const char *name, Device *owner, Region *memory, Region *ports,
                    PciMapIrq *map_irq, LineFn *set_irq, void *irq_opaque, int irq_count);
/* The bus behind a bridge, named after it; memory and ports are what the bridge shows parts of. */
PciBus *pci_bus_new_behind(const char *name, PciDevice *bridge, Region *memory, Region *ports);
/* The host's bus only, before functions are on it. */
void pci_bus_set_translate(PciBus *bus, PciTranslate *translate, void *opaque);
void pci_bus_set_slots(PciBus *bus, int slots); /* 32 unless set; 1: a link to one device */
PciDevice *pci_bus_bridge(const PciBus *bus); /* NULL: it is the host's */
uint8_t pci_bus_number(const PciBus *bus);    /* as the guest set it; 0 is the host's */
void pci_bus_set_first_slot(PciBus *bus, int slot); /* where functions without an address of their own go from */
Bus *pci_bus_bus(PciBus *bus);
Region *pci_bus_memory(PciBus *bus); /* what functions on the bus are mapped into */
Region *pci_bus_ports(PciBus *bus);
PciDevice *pci_bus_device(PciBus *bus, int devfn);
/* As configuration accesses on the host's bus find it, behind bridges too; NULL: nothing answers. */
PciDevice *pci_find_function(PciBus *bus, uint8_t busno, int devfn);
uint32_t pci_config_read(PciBus *bus, uint8_t busno, int devfn, unsigned offset, unsigned size);
void pci_config_write(PciBus *bus, uint8_t busno, int devfn, unsigned offset, uint32_t value,
                      unsigned size);
/* The routing of PIRQs changed: re-evaluates all levels. */
void pci_bus_update_irqs(PciBus *bus);
/* What guests have put above 4 GiB, of functions and of windows of bridges; false: nothing. */
bool pci_bus_high_window(PciBus *bus, uint64_t *first, uint64_t *last);
char *pci_describe(void); /* `info pci`; caller frees */

#endif
