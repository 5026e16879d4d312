/* Runs a case on the host and translated, compares, makes a difference small, prints it as a vector. */
#ifndef TESTS_INSN_ORACLE_COMPARE_H
#define TESTS_INSN_ORACLE_COMPARE_H

#include "generate.h"
#include "guest.h"

typedef struct Instance {
    const Case *one;
    OracleState before, host, guest;
    /* host_data: where the host stored something, or the guest differs. */
    uint8_t data[ORACLE_DATA_SIZE], host_data[ORACLE_DATA_SIZE], guest_data[ORACLE_DATA_SIZE];
    bool host_stored;
} Instance;

/* The case's bytes are in place on both sides; the instance has before and data. */
void compare_run_host(Instance *i);
bool compare_run_guest(Instance *i, GuestEngine how); /* true: as on the host */
/* Prints the instance as a line for tests/insn/x86/vectors.vec, and what differs. */
void compare_report(Instance *i, GuestEngine how, GString *out);

/* Whether the guest's state and data are those of a vector. */
bool compare_vector(const Instance *i, uint32_t flags_mask);

#endif
