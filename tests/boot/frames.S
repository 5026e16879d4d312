# A firmware that says 'R' on port 0x402, from an exception's handler, and then goes round for ever: INT pushes its frame over the code
# that it is in, and its handler puts that back. Who resets it finds it anywhere on this way.
        .set    CODE, 0x8000

        .code16
        .text
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x7000, %sp
        movw    $on_ud, 6 * 4
        mov     %cs, 6 * 4 + 2
        movw    $on_int, 0x21 * 4
        mov     %cs, 0x21 * 4 + 2
        ud2
on_ud:  mov     $'R', %al
        mov     $0x402, %dx
        out     %al, %dx
        movw    $0x06bc, CODE + 6       # mov $CODE + 6, %sp; int $0x21
        movw    $0xcd80, CODE + 8
        movb    $0x21, CODE + 10
on_int: movl    $0x90909090, CODE
        movw    $0x9090, CODE + 4
        ljmp    $0, $CODE
