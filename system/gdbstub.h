/* The gdb server's parts: packets, the debugger's requests, where the machine stopped. */
#ifndef SYSTEM_GDBSTUB_H
#define SYSTEM_GDBSTUB_H

#include "accel/accel.h"
#include "backends/char.h"

/*
 * Serves gdb on a character device given as "tcp::1234", "unix:PATH", "stdio" ...; "none" ends it.
 * One server at a time. Main loop, machine lock held.
 */
bool gdbstub_start(const char *spec, GError **error);

/* ---- packets: gdbstub-packet.c ---- */

#define GDB_PACKET_SIZE 0x4000

typedef struct GdbLink {
    CharBackend *chr;
    GString *packet;  /* being received, without its frame */
    GString *last;    /* sent, with its frame, until gdb acknowledges it */
    enum { GDB_IDLE, GDB_DATA, GDB_SUM1, GDB_SUM2 } state;
    bool escaped;     /* the last byte was } */
    uint8_t sum, claimed;
    bool no_ack;
    void (*handle)(const char *packet, size_t size); /* zero-terminated too */
    void (*interrupt)(void); /* Ctrl-C */
} GdbLink;

void gdb_link_reset(GdbLink *link);
void gdb_link_receive(GdbLink *link, const uint8_t *data, size_t size);
void gdb_send(GdbLink *link, const char *packet);
void gdb_send_bytes(GdbLink *link, const char *packet, size_t size); /* escapes what must be */

void gdb_put_hex(GString *out, const void *data, size_t size);
/* Pairs of digits; returns how many bytes there were, at most size. */
size_t gdb_get_hex(const char *text, uint8_t *data, size_t size);
/* A number in hexadecimal; moves *text behind it. False if there is none. */
bool gdb_get_number(const char **text, uint64_t *value);
/* The same after the character, as ",1000". */
bool gdb_get_after(const char **text, char separator, uint64_t *value);

/* ---- the server: gdbstub.c ---- */

typedef struct GdbServer {
    GdbLink link;
    int current;       /* CPU that g, m ... work on; index */
    bool attached;     /* somebody is connected */
    bool running;      /* gdb waits for a stop reply */
    bool physical;     /* m and M reach physical memory */
    Cpu *stepping;     /* the CPU that steps, or NULL */
} GdbServer;

extern GdbServer gdb;

void gdb_resume(Cpu *step); /* NULL: no CPU steps */
void gdb_interrupt(void);
void gdb_detach(void);
/* The reply to '?', and to what resumed the machine. */
char *gdb_stop_reply(void);
void gdb_on_cpu(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data);

/* ---- requests: gdbstub-cmd.c, gdbstub-memory.c, gdbstub-query.c ---- */

void gdb_handle_packet(const char *packet, size_t size);
void gdb_read_registers(void);
void gdb_write_registers(const char *text);
void gdb_read_register(const char *text);
void gdb_write_register(const char *text);
void gdb_read_memory(const char *text);
void gdb_write_memory(const char *text, size_t size, bool binary);
void gdb_query(const char *text);
void gdb_set(const char *text);

/* ---- breakpoints: gdbstub-break.c ---- */

typedef enum GdbResult { GDB_OK, GDB_FAILED, GDB_UNKNOWN } GdbResult;

GdbResult gdb_insert(int type, VirtAddr addr, uint64_t size);
GdbResult gdb_remove(int type, VirtAddr addr, uint64_t size);
bool gdb_has_breakpoint(VirtAddr addr);
void gdb_remove_all(void);

#endif
