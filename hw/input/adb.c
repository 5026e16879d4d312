/*
 * Apple Desktop Bus: commands to devices by address, and polls of those that have something to say.
 *
 * Guide to the Macintosh Family Hardware (Apple 1990), chapter 8.
 */
#include "hw/input/adb.h"

#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { CMD_RESET = 0x0, CMD_FLUSH = 0x1, CMD_LISTEN = 0x8, CMD_TALK = 0xc };
enum { ID_REGISTER = 3, ID_SERVICE = 0x20, ID_EXCEPTION = 0x40 };
/* Handler ids that are orders. */
enum { HANDLER_ADDRESS = 0x00, HANDLER_ACTIVATED = 0xfd, HANDLER_MOVE = 0xfe, HANDLER_SELF_TEST = 0xff };

struct AdbBus {
    Bus bus; /* first: a Bus of kind "adb" is one of these */
    void (*has_data)(void *opaque);
    void *opaque;
};

static AdbDevice *device_at(AdbBus *adb, int index)
{
    return g_ptr_array_index(adb->bus.devices, index);
}

static AdbDevice *find(AdbBus *adb, int address)
{
    for (guint i = 0; i < adb->bus.devices->len; i++) {
        if (*device_at(adb, i)->address == address) {
            return device_at(adb, i);
        }
    }
    return NULL;
}

/* Register 3: where the device is and what it speaks; writing it may change both. */
static void listen_id(AdbDevice *dev, const uint8_t *data)
{
    switch (data[1]) {
    case HANDLER_ADDRESS:
    case HANDLER_MOVE:
        *dev->address = data[0] & 15;
        break;
    case HANDLER_ACTIVATED: /* its activator, a key or button, is not held down */
    case HANDLER_SELF_TEST:
        break;
    default:
        if (dev->ops->takes_handler(data[1])) {
            *dev->handler = data[1];
        }
    }
}

static int talk(AdbDevice *dev, int reg, uint8_t *answer)
{
    if (reg == ID_REGISTER) {
        answer[0] = ID_EXCEPTION | ID_SERVICE | *dev->address;
        answer[1] = *dev->handler;
        return 2;
    }
    return dev->ops->talk(dev, reg, answer);
}

int adb_request(AdbBus *adb, const uint8_t *command, int size, uint8_t *answer)
{
    int address = command[0] >> 4, order = command[0] & 15, reg = order & 3, n;
    AdbDevice *dev = find(adb, address);

    trace("adb_request", "command %02x to address %d", command[0], address);
    if (order == CMD_RESET) {
        for (guint i = 0; i < adb->bus.devices->len; i++) {
            device_reset(&device_at(adb, i)->dev);
        }
        return 0;
    }
    if (!dev) {
        return -1;
    }
    switch (order & 12) {
    case CMD_TALK:
        n = talk(dev, reg, answer);
        return n ? n : -1;
    case CMD_LISTEN:
        if (reg != ID_REGISTER) {
            dev->ops->listen(dev, reg, command + 1, size - 1);
        } else if (size >= 3) {
            listen_id(dev, command + 1);
        }
        return 0;
    default:
        if (order == CMD_FLUSH) {
            dev->ops->flush(dev);
        }
        return 0;
    }
}

static bool wants_poll(AdbDevice *dev, uint16_t mask)
{
    return (mask >> *dev->address & 1) && dev->ops->has_data(dev);
}

bool adb_has_data(AdbBus *adb, uint16_t mask)
{
    for (guint i = 0; i < adb->bus.devices->len; i++) {
        if (wants_poll(device_at(adb, i), mask)) {
            return true;
        }
    }
    return false;
}

int adb_poll(AdbBus *adb, uint16_t mask, uint8_t *packet)
{
    for (guint i = 0; i < adb->bus.devices->len; i++) {
        AdbDevice *dev = device_at(adb, i);
        int n = wants_poll(dev, mask) ? dev->ops->talk(dev, 0, packet + 1) : 0;

        if (n > 0) {
            packet[0] = *dev->address << 4 | CMD_TALK;
            return 1 + n;
        }
    }
    return 0;
}

void adb_device_tell(AdbDevice *dev)
{
    AdbBus *adb = (AdbBus *)dev->dev.bus;

    if (adb && adb->has_data) {
        adb->has_data(adb->opaque);
    }
}

static bool attach(Bus *bus, Device *dev, GError **error)
{
    if (bus->devices->len >= 14) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "bus '%s' has no address left for '%s'", bus->name, dev->id);
        return false;
    }
    return true;
}

AdbBus *adb_bus_new(Device *owner, void (*has_data)(void *opaque), void *opaque)
{
    AdbBus *adb = g_new0(AdbBus, 1);

    bus_init(&adb->bus, "adb", "adb.0", owner);
    adb->bus.attach = attach;
    adb->has_data = has_data;
    adb->opaque = opaque;
    return adb;
}

Bus *adb_bus_bus(AdbBus *adb)
{
    return &adb->bus;
}

bool adb_bus_add_defaults(AdbBus *adb, GError **error)
{
    return device_realize(device_new(&adb_keyboard_type, NULL), &adb->bus, error) &&
           device_realize(device_new(&adb_mouse_type, NULL), &adb->bus, error);
}
