/*
 * EHCI's schedules: queue heads and the transfers in them.
 *
 * Enhanced Host Controller Interface Specification 1.0, sections 3.5 and 3.6 (queue heads and their
 * descriptors), 4.8 to 4.10 (how they are executed).
 */
#include "hw/usb/ehci.h"

#include "util/bits.h"
#include "util/log.h"

enum { LINK_END = 1, LINK_ITD = 0 << 1, LINK_QH = 1 << 1, LINK_SITD = 2 << 1, LINK_FSTN = 3 << 1, LINK_TYPE = 3 << 1 };
enum { TOKEN_XACT = 1 << 3, TOKEN_BABBLE = 1 << 4, TOKEN_HALTED = 1 << 6, TOKEN_ACTIVE = 1 << 7,
       TOKEN_CERR = 3 << 10, TOKEN_IOC = 1 << 15 };
enum { QH_HEAD = 1 << 15 };
enum { QTD_NEXT, QTD_ALT, QTD_TOKEN, QTD_BUFFER };
#define PAGES          5
#define MAX_VISITS     1024 /* queue heads in one pass, more than a schedule can have */
#define MAX_TRANSFERS  512  /* descriptors that one visit to a queue retires */
#define MAX_SHARE      (EHCI_PASS / 4) /* of a pass' budget for one visit: others get their turn */

/* A queue head as it lies in memory: 12 words, of which the controller writes the last 9. */
typedef struct Qh {
    uint32_t at;
    uint32_t link, endpoint, caps, current;
    uint32_t overlay[8]; /* next, alternate, token, buffers */
} Qh;

static void read_words(Ehci *e, uint32_t at, uint32_t *words, int count)
{
    pci_dma_read(&e->pci, at, words, count * 4);
    for (int i = 0; i < count; i++) {
        words[i] = load_le32(&words[i]);
    }
}

static void write_words(Ehci *e, uint32_t at, const uint32_t *words, int count)
{
    uint8_t raw[12 * 4];

    for (int i = 0; i < count; i++) {
        store_le32(raw + i * 4, words[i]);
    }
    pci_dma_write(&e->pci, at, raw, count * 4);
}

/* Moves bytes between e->data and the pages, from the place that the descriptor has come to. */
static void copy_data(Ehci *e, const uint32_t *overlay, unsigned size, bool to_memory)
{
    unsigned page = overlay[QTD_TOKEN] >> 12 & 7, offset = overlay[QTD_BUFFER] & 0xfff, done = 0;

    while (done < size && page < PAGES) {
        unsigned n = MIN(size - done, 4096 - offset);
        uint32_t at = (overlay[QTD_BUFFER + page] & ~0xfffu) + offset;

        if (to_memory) {
            pci_dma_write(&e->pci, at, e->data + done, n);
        } else {
            pci_dma_read(&e->pci, at, e->data + done, n);
        }
        done += n;
        offset = 0;
        page++;
    }
}

/* Bytes from there to the end of the last page. */
static unsigned room(const uint32_t *overlay)
{
    unsigned page = overlay[QTD_TOKEN] >> 12 & 7, offset = overlay[QTD_BUFFER] & 0xfff;

    return page < PAGES ? (PAGES - page) * 4096 - offset : 0;
}

static void advance(uint32_t *overlay, unsigned size)
{
    unsigned page = overlay[QTD_TOKEN] >> 12 & 7, offset = (overlay[QTD_BUFFER] & 0xfff) + size;
    unsigned left = (overlay[QTD_TOKEN] >> 16 & 0x7fff) - size;

    page = MIN(page + offset / 4096, PAGES - 1);
    overlay[QTD_BUFFER] = (overlay[QTD_BUFFER] & ~0xfffu) | offset % 4096;
    overlay[QTD_TOKEN] = (overlay[QTD_TOKEN] & 0x80008fff) | page << 12 | left << 16;
}

/* The next descriptor of a queue that is not active becomes its overlay; false: there is none. */
static bool fetch(Ehci *e, Qh *qh)
{
    uint32_t *o = qh->overlay, qtd[8], link = o[QTD_NEXT];

    if (o[QTD_TOKEN] & TOKEN_HALTED) {
        return false;
    }
    if ((o[QTD_TOKEN] >> 16 & 0x7fff) && !(o[QTD_ALT] & LINK_END)) {
        link = o[QTD_ALT]; /* after a short packet */
    }
    if (link & LINK_END) {
        return false;
    }
    read_words(e, link & ~31u, qtd, 8);
    if (!(qtd[QTD_TOKEN] & TOKEN_ACTIVE)) {
        return false;
    }
    qh->current = link & ~31u;
    for (int i = 0; i < 8; i++) {
        o[i] = qtd[i];
    }
    return true;
}

static void write_overlay(Ehci *e, const Qh *qh)
{
    uint32_t words[9] = { qh->current };

    for (int i = 0; i < 8; i++) {
        words[i + 1] = qh->overlay[i];
    }
    write_words(e, qh->at + 12, words, 9);
}

/* The descriptor is done: its token goes back to memory, last, because a driver looks for that. */
static void retire(Ehci *e, Qh *qh, uint32_t errors, bool is_short)
{
    uint32_t *token = &qh->overlay[QTD_TOKEN];

    *token = (*token & ~(uint32_t)TOKEN_ACTIVE) | errors;
    if (errors) {
        e->events |= EHCI_STS_ERROR;
        *token &= ~(uint32_t)(errors & TOKEN_XACT ? TOKEN_CERR : 0);
    }
    if ((*token & TOKEN_IOC) || is_short) {
        e->events |= EHCI_STS_INT;
    }
    write_overlay(e, qh);
    write_words(e, qh->current + 8, token, 1);
}

/* Goes on with the active overlay. True: it was retired without an error, and the queue may advance. */
static bool transfer(Ehci *e, Qh *qh, UsbDevice *usb)
{
    static const UsbPid pids[] = { USB_OUT, USB_IN, USB_SETUP, USB_OUT };
    uint32_t *o = qh->overlay;
    UsbPid pid = pids[o[QTD_TOKEN] >> 8 & 3];
    unsigned packet = qh->endpoint >> 16 & 0x7ff;

    for (int i = 0; i < MAX_TRANSFERS; i++) {
        unsigned size = MIN(o[QTD_TOKEN] >> 16 & 0x7fff, room(o));
        int result;

        if (pid != USB_IN) {
            copy_data(e, o, size, false);
            e->budget -= size; /* whether the device wants it or not */
        }
        result = usb ? usb_transfer(usb, pid, qh->endpoint >> 8 & 15, 0, e->data, size) : USB_NO_ANSWER;
        trace("ehci_transfer", "%s addr %u ep %u pid %02x size %u: %d", e->pci.dev.id, qh->endpoint & 0x7f,
              qh->endpoint >> 8 & 15, pid, size, result);
        if (result == USB_NAK) {
            if (i) {
                write_overlay(e, qh);
            }
            return false;
        }
        e->moved = true;
        e->budget -= EHCI_VISIT + (pid == USB_IN ? MAX(result, 0) : 0);
        if (result < 0) {
            retire(e, qh, TOKEN_HALTED | (result == USB_BABBLE      ? TOKEN_BABBLE
                                          : result == USB_NO_ANSWER ? TOKEN_XACT
                                                                    : 0), false);
            return false;
        }
        if (pid == USB_IN) {
            copy_data(e, o, result, true);
        }
        advance(o, result);
        if ((unsigned)result == size) {
            retire(e, qh, 0, false);
            return true;
        }
        if (pid == USB_IN && (result == 0 || !packet || result % packet)) {
            retire(e, qh, 0, true);
            return true;
        }
        if (result == 0) { /* an OUT endpoint that takes nothing */
            return false;
        }
    }
    write_overlay(e, qh);
    return false;
}

/* Works on a queue until it is empty, or has moved `limit` descriptors. Reads it anew. */
static void run_queue(Ehci *e, uint32_t at, int limit, Qh *qh)
{
    uint32_t words[12];
    UsbDevice *usb;
    int floor = MAX(e->budget - MAX_SHARE, 0);

    e->budget -= EHCI_VISIT;
    read_words(e, at, words, 12);
    *qh = (Qh){ .at = at, .link = words[0], .endpoint = words[1], .caps = words[2], .current = words[3] & ~31u };
    for (int i = 0; i < 8; i++) {
        qh->overlay[i] = words[4 + i];
    }
    usb = ehci_find_device(e, qh->endpoint & 0x7f);
    while (limit-- > 0 && e->budget > floor) {
        if (!(qh->overlay[QTD_TOKEN] & TOKEN_ACTIVE)) {
            if (!fetch(e, qh)) {
                return;
            }
            write_overlay(e, qh);
        }
        if (!transfer(e, qh, usb)) {
            return;
        }
    }
}

/* Whether the list still has a queue: a driver may have taken it out, and use its memory for other things. */
static bool has_queue(Ehci *e, uint32_t at, uint32_t wanted)
{
    uint32_t first = at, link;

    for (unsigned n = 0; n < MAX_VISITS && at != wanted; n++, at = link & ~31u) {
        e->budget -= EHCI_VISIT;
        read_words(e, at, &link, 1);
        if ((link & LINK_END) || (link & LINK_TYPE) != LINK_QH || (link & ~31u) == first) {
            return false;
        }
    }
    return at == wanted;
}

/*
 * As in UHCI's list: round after round until one moves nothing; any loop comes to contain the mark. A pass goes on with the queue that
 * the one before had nothing left for.
 */
void ehci_run_async(Ehci *e)
{
    uint32_t at = e->s.async_list & ~31u, mark = LINK_END;
    unsigned next_mark = 1;
    bool moved_before = e->moved, progress = false;

    e->budget = EHCI_PASS;
    if (e->s.async_left && has_queue(e, at, e->s.async_left & ~31u)) {
        at = e->s.async_left & ~31u;
    }
    e->s.async_left = 0;
    for (unsigned n = 0; n < MAX_VISITS; n++) {
        Qh qh;

        if (e->budget <= 0) {
            e->s.async_left = at;
            break;
        }
        if (at == mark) {
            if (!progress) {
                break;
            }
            progress = false;
        }
        if (n + 1 == next_mark) {
            mark = at;
            next_mark *= 2;
            progress = false;
        }
        e->moved = false;
        run_queue(e, at, MAX_TRANSFERS, &qh);
        progress |= e->moved;
        moved_before |= e->moved;
        if ((qh.link & LINK_END) || (qh.link & LINK_TYPE) != LINK_QH) {
            break;
        }
        at = qh.link & ~31u;
    }
    e->moved = moved_before;
}

/* One frame of the periodic list. A queue is visited as often as its mask has microframes. */
void ehci_run_frame(Ehci *e, unsigned frame)
{
    uint32_t link;

    read_words(e, (e->s.periodic_list & ~0xfffu) + (frame & 1023) * 4, &link, 1);
    for (int n = 0; n < MAX_VISITS && !(link & LINK_END) && e->budget > 0; n++) {
        uint32_t at = link & ~31u;
        Qh qh;

        switch (link & LINK_TYPE) {
        case LINK_QH:
            run_queue(e, at, 0, &qh);
            if (qh.caps & 0xff) {
                run_queue(e, at, __builtin_popcount(qh.caps & 0xff), &qh);
            }
            link = qh.link;
            break;
        case LINK_ITD:
            link = ehci_run_itd(e, at);
            break;
        case LINK_SITD:
            link = ehci_run_sitd(e, at);
            break;
        default: /* a node for spanning frames: its path is the normal one */
            e->budget -= EHCI_VISIT;
            read_words(e, at, &link, 1);
            break;
        }
    }
}
