/*
 * The built-in Open Firmware's client interface with many processors: every node of /cpus has its properties, and there is room
 * for those that a client sets.
 *
 * Big-endian, in real mode, started by -kernel without firmware. IEEE 1275-1994, 6.3.
 */
#include <stdint.h>

enum { NOTHING = -1, ROUNDS = 1000 };

typedef int Client(uint32_t *call);
static Client *client;
static uint32_t console;

__asm__(".globl _start\n_start:\n mr 3, 5\n"
        "bl 1f\n1: mflr 9\n addis 2, 9, .TOC.-1b@ha\n addi 2, 2, .TOC.-1b@l\n"
        "addis 1, 2, stack_end@toc@ha\n addi 1, 1, stack_end@toc@l\n addi 1, 1, -256\n"
        "bl first\n"
        ".bss\n.balign 16\n .space 16384\nstack_end:\n .previous\n");

static uint32_t cell(const void *p)
{
    return (uintptr_t)p;
}

/* A service with up to four arguments; its first result. */
static uint32_t service(const char *name, uint32_t count, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    static uint32_t call[8];

    call[0] = cell(name);
    call[1] = count;
    call[2] = 1;
    call[3] = a;
    call[3 + (count > 1)] = count > 1 ? b : call[3];
    call[3 + 2 * (count > 2)] = count > 2 ? c : call[3];
    call[3 + 3 * (count > 3)] = count > 3 ? d : call[3];
    call[3 + count] = NOTHING;
    client(call);
    return call[3 + count];
}

static void put(const char *text)
{
    uint32_t size = 0;

    while (text[size]) {
        size++;
    }
    service("write", 3, console, cell(text), size, 0);
}

static void put_number(uint32_t n)
{
    char text[12], *at = text + sizeof(text);

    *--at = 0;
    do {
        *--at = '0' + n % 10;
        n /= 10;
    } while (n);
    put(at);
}

static uint32_t find(const char *path)
{
    return service("finddevice", 1, cell(path), 0, 0, 0);
}

void first(Client *entry)
{
    static uint32_t value;
    static char name[] = "test-000";
    uint32_t chosen, whole = 0, set = 0;

    client = entry;
    chosen = find("/chosen");
    service("getprop", 4, chosen, cell("stdout"), cell(&value), sizeof(value));
    console = value;
    for (uint32_t node = service("child", 1, find("/cpus"), 0, 0, 0); node; node = service("peer", 1, node, 0, 0, 0)) {
        whole += service("getproplen", 2, node, cell("reg"), 0, 0) == 4 &&
                 service("getproplen", 2, node, cell("ibm,ppc-interrupt-server#s"), 0, 0) == 4;
    }
    for (uint32_t n = 0; n < ROUNDS; n++) {
        name[5] = '0' + n / 100;
        name[6] = '0' + n / 10 % 10;
        name[7] = '0' + n % 10;
        set += service("setprop", 4, chosen, cell(name), cell(&value), 4) == 4;
    }
    put("CLIENT processors ");
    put_number(whole);
    put(" set ");
    put_number(set);
    put(" done\n");
    service("exit", 0, 0, 0, 0, 0);
    for (;;) {
    }
}
