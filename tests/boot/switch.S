# A firmware that never stops computing and doing I/O, for a machine that changes its engine meanwhile: it tells on the first
# serial port of each tick of the 8254 (t) and of the APIC's timer (a), compares sums that it keeps in registers, in memory
# and in a vector register, and leaves through isa-debug-exit (port 0x501) when it is sent a q: with 0x10, or with the number
# of what went wrong. Data: 0x600 ticks, 0x604 of the APIC, 0x610 the sum, 0x620 vector.
        .code16
        .text
        .globl start
        .include "protected.inc"

        .macro  say char
        mov     $0x3f8, %dx
        mov     $\char, %al
        out     %al, %dx
        .endm

start:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x600, %di
        mov     $0x20, %cx
        rep stosw
        protected_mode
        all_gates on_fault
        gate    0x20 on_tick
        gate    0x27 on_spurious
        gate    0xff on_spurious
        gate    0x40 on_apic
        lidt    idt_pointer + 0xf0000

        init_8259 0xfe                  # 8259: vectors from 20, the timer only
        mov     $0x34, %al              # 8254: 50 Hz
        out     %al, $0x43
        mov     $0x37, %al
        out     %al, $0x40
        mov     $0x5d, %al
        out     %al, $0x40
        movl    $0x1ff, 0xfee000f0      # APIC: on, periodic timer, 20 ms
        movl    $0xb, 0xfee003e0
        movl    $0x20040, 0xfee00320
        movl    $20000000, 0xfee00380
        mov     %cr4, %eax
        or      $0x600, %eax
        mov     %eax, %cr4
        movl    $0xdeadbeef, 0x62c
        movups  0x620, %xmm5

        xor     %ebx, %ebx              # the sum in a register
        xor     %ebp, %ebp              # ticks told, of the 8254
        xor     %esi, %esi              # and of the APIC
        sti
round:  mov     $100, %ecx
1:      imul    $69069, %ebx, %ebx
        inc     %ebx
        mov     0x610, %eax
        imul    $69069, %eax, %eax
        inc     %eax
        mov     %eax, 0x610
        loop    1b
        cmp     %ebx, 0x610
        mov     $1, %al
        jne     leave
        movups  %xmm5, 0x630
        cmpl    $0xdeadbeef, 0x63c
        mov     $2, %al
        jne     leave
        cmp     %ebp, 0x600
        je      1f
        mov     0x600, %ebp
        say     't'
1:      cmp     %esi, 0x604
        je      1f
        mov     0x604, %esi
        say     'a'
1:      mov     $0x3fd, %dx
        in      %dx, %al
        test    $1, %al
        jz      round
        mov     $0x3f8, %dx
        in      %dx, %al
        cmp     $'q', %al
        jne     round
        mov     $0x10, %al
leave:  mov     $0x501, %dx
        out     %al, %dx
1:      jmp     1b

        gate_routine

on_tick:
        incl    0x600
        push    %eax
        mov     $0x20, %al
        out     %al, $0x20
        pop     %eax
        return

on_apic:
        incl    0x604
        movl    $0, 0xfee000b0
on_spurious:
        return

on_fault:
        mov     $3, %al
        jmp     leave

        tables
