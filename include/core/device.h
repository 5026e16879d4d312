/*
 * A device is a list of state, a table of properties and functions that drive its outputs.
 *
 * Life: device_new (state at reset values, properties at defaults), device_set_property...,
 * bus and line wiring by the board, device_realize (checks properties, maps regions), then
 * reset / run / save / load, device_free.
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "core/state.h"

typedef struct Device Device;
typedef struct Bus Bus;
typedef struct DeviceType DeviceType;

typedef enum PropKind {
    PROP_BOOL,   /* bool: on/off yes/no true/false */
    PROP_U8,
    PROP_U16,
    PROP_U32,
    PROP_U64,
    PROP_I32,
    PROP_SIZE,   /* uint64_t with K/M/G suffixes */
    PROP_STRING, /* char *, owned by the device */
    PROP_MAC,    /* uint8_t[6], all zero: pick one */
    PROP_CHAR,   /* CharBackend *, by id */
    PROP_DRIVE,  /* BlockBackend *, by id of -drive or -blockdev */
    PROP_NETDEV, /* NetBackend *, by id */
    PROP_PCI_ADDR, /* int32_t: slot * 8 + function, -1: pick one; "3" or "3.1" */
} PropKind;

typedef struct Prop {
    const char *name;
    PropKind kind;
    size_t offset; /* of the member in the device's struct */
    const char *initial; /* text; NULL: zero */
    const char *help;
} Prop;

#define PROP(Type, member, spelling, kind, initial, help) \
    { spelling, kind, offsetof(Type, member), initial, help }

struct DeviceType {
    const char *name; /* as -device spells it */
    const char *alias; /* another spelling, or NULL */
    const char *about;
    const char *bus;  /* kind of bus that it sits on: "pci", "isa", "ide", "system" ... */
    bool user;        /* -device may create it */
    bool hotplug;     /* device_add may create it while the machine runs */
    size_t size;      /* of the struct that begins with Device */
    size_t state_at;  /* offset of its state struct */
    StateFields *state; /* may be NULL */
    const Prop *props;  /* ends with a NULL name; may be NULL */
    bool (*realize)(Device *dev, GError **error);
    void (*unrealize)(Device *dev); /* may be NULL: then it cannot be removed */
    void (*reset)(Device *dev);  /* after the state has its reset values; may be NULL */
    bool (*post_load)(Device *dev, GError **error); /* checks what a snapshot brought; may be NULL */
    void (*update)(Device *dev); /* drives lines and timers from the state; may be NULL */
    void (*fetch)(Device *dev);  /* brings home state that an engine keeps (core/irqchip.h); may be NULL */
    /* Further state with a shape of its own (FIFOs, buffers by size) under keys that have a dot,
     * "fifo.data"; may be NULL. */
    void (*save_extra)(Device *dev, GKeyFile *out);
    bool (*load_extra)(Device *dev, GKeyFile *in, GError **error);
    void (*describe)(Device *dev, GString *text); /* `info qtree` details; may be NULL */
};

struct Device {
    const DeviceType *type;
    char *id;  /* unique; "serial0", or what id= said */
    Bus *bus;  /* where it sits, or NULL */
    bool realized;
    int bootindex; /* place in the firmware's boot order, from bootindex=; -1: none */
    void *type_data; /* for a bus's own use */
    GError *bad_default; /* a default of the user's that its property does not take; device_realize tells it */
    GHashTable *ids; /* what pointer properties were set from: property name to text */
};

/* A bus owns the devices on it, in the order they were added. */
struct Bus {
    const char *kind; /* "pci", "isa", ... */
    char *name;       /* "pci.0" */
    Device *owner;    /* the bridge or controller, or NULL */
    GPtrArray *devices;
    /* Checks and places a device (slot, address) before its realize; may be NULL. */
    bool (*attach)(Bus *bus, Device *dev, GError **error);
    void (*detach)(Bus *bus, Device *dev);
    void (*quiesce)(Device *dev); /* before unrealize: the guest reaches it no more; may be NULL */
    /* device_add put it there in a running machine: tells the guest. May be NULL. */
    void (*plugged)(Device *dev);
    /* device_del: asks the guest, which will let it go later (device_unplug); NULL: it goes at once. */
    bool (*unplug_request)(Device *dev, GError **error);
    char *(*address)(Device *dev); /* for `info qtree`; caller frees; may be NULL */
    /* What the bus keeps for each device (PCI: config space). Each may be NULL. */
    void (*reset)(Device *dev); /* before the type's reset, after the state has its reset values */
    void (*save)(Device *dev, GKeyFile *out); /* keys that have a dot: "pci.config" */
    bool (*load)(Device *dev, GKeyFile *in, GError **error);
};

extern const DeviceType *const device_types[]; /* the catalogue, from hw/devices.def; ends with NULL */
const DeviceType *device_type_find(const char *name); /* by name or alias; NULL if none */

Bus *bus_new(const char *kind, const char *name, Device *owner);
void bus_init(Bus *bus, const char *kind, const char *name, Device *owner); /* embedded in a bridge */
/* Frees the devices on it, the last first, and forgets it; bus_free also frees what bus_new made. */
void bus_clear(Bus *bus);
void bus_free(Bus *bus);
void bus_for_each(void (*fn)(Bus *bus, void *opaque), void *opaque);
Bus *bus_find(const char *name);            /* among all buses; NULL if none */
Bus *bus_find_kind(const char *kind);       /* the first of that kind */

/* id NULL: one is made from the type's name. */
Device *device_new(const DeviceType *type, const char *id);
void device_free(Device *dev); /* unrealizes, detaches */
/* Out of the running machine: vCPUs stand meanwhile, and who asked for it hears of it. In the main loop. */
void device_unplug(Device *dev);
typedef void DeviceUnpluggedFn(const char *id);
void device_set_unplugged_fn(DeviceUnpluggedFn *fn);
/* For every device of that type which is made from now on, before its own properties are set. */
void device_add_default(const DeviceType *type, const char *name, const char *value);
bool device_set_property(Device *dev, const char *name, const char *value, GError **error);
/* Sets a pointer property (PROP_CHAR, PROP_DRIVE, PROP_NETDEV) directly. */
void device_set_pointer(Device *dev, const char *name, void *value);
char *device_get_property(Device *dev, const char *name); /* as text; caller frees; or NULL */
char *device_help(const DeviceType *type); /* `-device NAME,help`; caller frees */
/* Attaches to the bus (NULL for system devices) and realizes; registers for reset and snapshots. */
bool device_realize(Device *dev, Bus *bus, GError **error);
void *device_state(Device *dev);
Device *device_find(const char *id);
void device_for_each(void (*fn)(Device *dev, void *opaque), void *opaque);

/* Resolvers that text properties need; the system layer sets them before options are parsed. */
typedef void *PropResolver(const char *id, GError **error);
void device_set_resolver(PropKind kind, PropResolver *fn);

void device_reset(Device *dev);
void devices_reset_all(void);
void device_fetch(Device *dev); /* before its state is looked at */
void device_save(Device *dev, GKeyFile *out);
bool device_load(Device *dev, GKeyFile *in, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Device, device_free)

#endif
