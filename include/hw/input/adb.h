/* The Apple Desktop Bus: keyboards and mice that answer to addresses. */
#ifndef HW_INPUT_ADB_H
#define HW_INPUT_ADB_H

#include "core/device.h"

typedef struct AdbBus AdbBus;
typedef struct AdbDevice AdbDevice;

enum { ADB_DATA_MAX = 8, ADB_PACKET_MAX = 1 + ADB_DATA_MAX };

typedef struct AdbOps {
    /* Fills up to ADB_DATA_MAX bytes of register 0-2; returns how many, 0: no answer. */
    int (*talk)(AdbDevice *adb, int reg, uint8_t *out);
    void (*listen)(AdbDevice *adb, int reg, const uint8_t *data, int size);
    void (*flush)(AdbDevice *adb);
    bool (*has_data)(AdbDevice *adb);
    bool (*takes_handler)(uint8_t handler);
} AdbOps;

/* The rows that every device of the bus has first in its state. */
#define ADB_STATE(FIELD, ADDRESS, HANDLER) \
    FIELD(uint8_t, address, ADDRESS)       \
    FIELD(uint8_t, handler, HANDLER)

struct AdbDevice {
    Device dev;
    const AdbOps *ops;
    uint8_t *address, *handler; /* in the state */
};

extern const DeviceType adb_keyboard_type, adb_mouse_type;

/* has_data: a device began to have something to say. */
AdbBus *adb_bus_new(Device *owner, void (*has_data)(void *opaque), void *opaque);
Bus *adb_bus_bus(AdbBus *adb);
/* The two devices that each Macintosh has. */
bool adb_bus_add_defaults(AdbBus *adb, GError **error);
/* One command with its data; returns the number of bytes of the answer, at most ADB_DATA_MAX, -1: nobody answered. */
int adb_request(AdbBus *adb, const uint8_t *command, int size, uint8_t *answer);
/* The first device of `mask` with something to say: its command byte, then its data. 0: none. */
int adb_poll(AdbBus *adb, uint16_t mask, uint8_t *packet);
bool adb_has_data(AdbBus *adb, uint16_t mask);
void adb_device_tell(AdbDevice *adb);

#endif
