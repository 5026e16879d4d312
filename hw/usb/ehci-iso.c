/*
 * EHCI's isochronous descriptors, for high speed (iTD) and for full speed behind a translator (siTD).
 *
 * Enhanced Host Controller Interface Specification 1.0, sections 3.3, 3.4 and 4.7. Nothing is retried: a
 * device that has no data leaves an empty packet.
 */
#include "hw/usb/ehci.h"

#include "util/bits.h"

enum { ITD_ACTIVE = 1u << 31, ITD_BABBLE = 1 << 29, ITD_XACT = 1 << 28, ITD_IOC = 1 << 15 };
enum { SITD_ACTIVE = 1 << 7, SITD_XACT = 1 << 2, SITD_BABBLE = 1 << 4, SITD_IOC = 1u << 31, SITD_IN = 1u << 31 };
#define MICROFRAMES   8
#define MAX_ITD_DATA  (3 * 1024)
#define MAX_SITD_DATA 1023

static void read_words(Ehci *e, uint32_t at, uint32_t *words, int count)
{
    pci_dma_read(&e->pci, at, words, count * 4);
    for (int i = 0; i < count; i++) {
        words[i] = load_le32(&words[i]);
    }
}

static void write_word(Ehci *e, uint32_t at, uint32_t value)
{
    uint8_t raw[4];

    store_le32(raw, value);
    pci_dma_write(&e->pci, at, raw, sizeof(raw));
}

/* Between e->data and two pages that follow each other in the descriptor. */
static void copy(Ehci *e, uint32_t page, uint32_t next_page, unsigned offset, unsigned size, bool to_memory)
{
    unsigned first = MIN(size, 4096 - offset);

    if (to_memory) {
        pci_dma_write(&e->pci, (page & ~0xfffu) + offset, e->data, first);
        pci_dma_write(&e->pci, next_page & ~0xfffu, e->data + first, size - first);
    } else {
        pci_dma_read(&e->pci, (page & ~0xfffu) + offset, e->data, first);
        pci_dma_read(&e->pci, next_page & ~0xfffu, e->data + first, size - first);
    }
}

static int move(UsbDevice *usb, Ehci *e, bool in, uint8_t endpoint, unsigned size)
{
    int result = usb ? usb_transfer(usb, in ? USB_IN : USB_OUT, endpoint, 0, e->data, size) : USB_NO_ANSWER;

    return result == USB_NAK ? 0 : result;
}

uint32_t ehci_run_itd(Ehci *e, uint32_t at)
{
    uint32_t w[16];
    UsbDevice *usb;

    read_words(e, at, w, 16);
    usb = ehci_find_device(e, w[9] & 0x7f);
    e->budget -= EHCI_VISIT;
    for (int n = 0; n < MICROFRAMES; n++) {
        uint32_t t = w[1 + n];
        unsigned size = MIN(t >> 16 & 0xfff, MAX_ITD_DATA), page = MIN(t >> 12 & 7, 6), offset = t & 0xfff;
        bool in = w[10] & 1 << 11;
        int result;

        if (!(t & ITD_ACTIVE)) {
            continue;
        }
        if (!in) {
            copy(e, w[9 + page], w[9 + MIN(page + 1, 6)], offset, size, false);
        }
        result = move(usb, e, in, w[9] >> 8 & 15, size);
        e->budget -= EHCI_VISIT + size;
        e->moved = true;
        t &= ~(uint32_t)ITD_ACTIVE;
        if (result < 0) {
            t |= result == USB_BABBLE ? ITD_BABBLE : ITD_XACT;
            e->events |= EHCI_STS_ERROR;
        } else if (in) {
            copy(e, w[9 + page], w[9 + MIN(page + 1, 6)], offset, result, true);
            t = (t & ~0x0fff0000u) | (uint32_t)result << 16;
        }
        e->events |= t & ITD_IOC ? EHCI_STS_INT : 0;
        write_word(e, at + 4 + n * 4, t);
    }
    return w[0];
}

uint32_t ehci_run_sitd(Ehci *e, uint32_t at)
{
    uint32_t w[7], status;
    unsigned size;
    bool in;
    int result;

    read_words(e, at, w, 7);
    status = w[3];
    e->budget -= EHCI_VISIT;
    if (!(status & SITD_ACTIVE)) {
        return w[0];
    }
    in = w[1] & SITD_IN;
    size = MIN(status >> 16 & 0x3ff, MAX_SITD_DATA);
    if (!in) {
        copy(e, w[4], w[5], w[4] & 0xfff, size, false);
    }
    result = move(ehci_find_device(e, w[1] & 0x7f), e, in, w[1] >> 8 & 15, size);
    e->moved = true;
    e->budget -= EHCI_VISIT + size;
    status &= ~(uint32_t)SITD_ACTIVE;
    if (result < 0) {
        status |= result == USB_BABBLE ? SITD_BABBLE : SITD_XACT;
        e->events |= EHCI_STS_ERROR;
    } else {
        if (in) {
            copy(e, w[4], w[5], w[4] & 0xfff, result, true);
        }
        status = (status & ~0x03ff0000u) | (size - result) << 16;
    }
    e->events |= status & SITD_IOC ? EHCI_STS_INT : 0;
    write_word(e, at + 12, status);
    return w[0];
}
