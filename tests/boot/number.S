# A firmware whose only check fails, and has a number that an exit status has no room for.

        .include "checks.inc"

        .code16
        .globl  start
start:  cli
        protected_mode
        mov     $0x90, %bl
        jmp     fail
        verdict
        tables
