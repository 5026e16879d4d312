/* What all network cards share: an address, a backend and its link. */
#include "hw/net/nic.h"

#include "hw/net/frame.h"

#include <string.h>

bool nic_attach(Nic *nic, const NetFrontend *frontend, void *opaque, GError **error)
{
    static const uint8_t none[6];

    if (memcmp(nic->mac, none, sizeof(none)) == 0) {
        net_pick_mac(nic->mac);
    } else {
        net_note_mac(nic->mac);
    }
    return !nic->net || net_attach(nic->net, frontend, opaque, error);
}

void nic_detach(Nic *nic)
{
    if (nic->net) {
        net_detach(nic->net);
    }
}

bool nic_link_up(const Nic *nic)
{
    return !nic->net || net_link_up(nic->net);
}

bool nic_writable(const Nic *nic)
{
    return !nic->net || net_writable(nic->net);
}

void nic_send(Nic *nic, const uint8_t *frame, size_t size)
{
    uint8_t padded[FRAME_MIN];

    if (size < FRAME_MIN) {
        memset(padded, 0, sizeof(padded));
        memcpy(padded, frame, size);
        frame = padded;
        size = FRAME_MIN;
    }
    net_send(nic->net, frame, size);
}
