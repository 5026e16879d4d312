# A firmware that measures what leaving a guest costs: short loops of one kind of exit each, timed by the time stamp counter. Each
# is repeated, and the fastest turn counts, because whatever else the host does only makes turns slower. On COM1 it prints for
# each "EXITS name count ticks" in hexadecimal, then leaves through isa-debug-exit (port 0x501).
# Data: 0x600 interrupts seen, 0x610 the timer's start, 0x618 the fewest ticks.
        .code16
        .text
        .globl start
        .include "protected.inc"

        .macro measure name turns count
        movl    $-1, 0x618
        mov     $\turns, %ebp
2:      mov     $\count, %esi
        call    begin
1:      call    \name
        dec     %esi
        jnz     1b
        call    finish
        dec     %ebp
        jnz     2b
        mov     $\count, %ebx
        mov     $name_\name + 0xf0000, %esi
        call    report
        .endm

start:
        cli
        xor     %ax, %ax
        mov     %ax, %ss
        mov     $0x7000, %sp
        protected_mode
        all_gates on_interrupt
        gate    0x24 on_serial
        lidt    idt_pointer + 0xf0000
        movl    $0, 0x600
        movl    $0x1ff, 0xfee000f0      # the local APIC is on

        mov     $0x3f9, %dx             # COM1: polled, its interrupt enabled at the port's OUT2
        xor     %al, %al
        out     %al, %dx
        mov     $0x3fc, %dx
        mov     $0x08, %al
        out     %al, %dx
        init_8259 0xef                  # the 8259s: vectors 0x20 and 0x28, only IRQ 4
        movl    $0x700, 0xfee00350      # LINT0 takes them
        sti

        measure port 200 20
        measure string 200 1
        measure memory 200 20
        measure interrupt 50 20
        measure device 200 10
        measure disk 200 1
        mov     $0x501, %dx
        mov     $0x10, %al
        out     %al, %dx
1:      hlt
        jmp     1b

# ---- the loops' bodies; they keep esi and ebp

port:                                   # a byte of the clock chip
        in      $0x71, %al
        ret

string:                                 # 64 bytes to a port that nobody has
        push    %esi
        mov     $0x8000, %esi
        mov     $0x7f0, %edx
        mov     $64, %ecx
        rep outsb
        pop     %esi
        ret

memory:                                 # the HPET's counter
        mov     0xfed000f0, %eax
        ret

interrupt:                              # from the local APIC to itself
        mov     0x600, %ebx
        movl    $0x44040, 0xfee00300
1:      cmp     %ebx, 0x600
        je      1b
        ret

device:                                 # a device's, through the 8259: "transmitter empty" as soon as it is asked for
        mov     0x600, %ebx
        mov     $0x3f9, %dx
        mov     $2, %al
        out     %al, %dx
1:      cmp     %ebx, 0x600
        je      1b
        ret

disk:                                   # a sector of the first IDE disk, by programmed I/O: number ebp
        mov     $0x1f2, %dx
        mov     $1, %al
        out     %al, %dx
        inc     %dx
        mov     %ebp, %eax
        out     %al, %dx
        inc     %dx
        mov     %ah, %al
        out     %al, %dx
        inc     %dx
        xor     %al, %al
        out     %al, %dx
        inc     %dx
        mov     $0xe0, %al
        out     %al, %dx
        inc     %dx
        mov     $0x20, %al
        out     %al, %dx
1:      in      %dx, %al
        and     $0x88, %al
        cmp     $0x08, %al
        jne     1b
        mov     $0x8000, %edi
        mov     $256, %ecx
        mov     $0x1f0, %edx
        rep insw
        ret

        gate_routine

on_interrupt:
        incl    0x600
        movl    $0, 0xfee000b0
        return

on_serial:
        push    %eax
        push    %edx
        mov     $0x3fa, %dx             # what it is, then no more of it
        in      %dx, %al
        mov     $0x3f9, %dx
        xor     %al, %al
        out     %al, %dx
        mov     $0x20, %al
        out     %al, $0x20
        incl    0x600
        pop     %edx
        pop     %eax
        return

# ---- time and text

begin:
        rdtsc
        mov     %eax, 0x610
        mov     %edx, 0x614
        ret

finish:
        rdtsc
        sub     0x610, %eax
        sbb     0x614, %edx
        jnz     1f
        cmp     0x618, %eax
        jae     1f
        mov     %eax, 0x618
1:      ret

report:                                 # name esi, count ebx
        push    %esi
        mov     $intro + 0xf0000, %esi
        call    print
        pop     %esi
        call    print
        mov     %ebx, %eax
        call    print_hex
        mov     $' ', %al
        call    print_char
        mov     0x618, %eax
        call    print_hex
        mov     $'\n', %al

print_char:
        mov     %al, %ah
        mov     $0x3fd, %dx
1:      in      %dx, %al
        test    $0x20, %al
        jz      1b
        mov     %ah, %al
        mov     $0x3f8, %dx
        out     %al, %dx
        ret

print:
        mov     (%esi), %al
        inc     %esi
        test    %al, %al
        jz      1f
        call    print_char
        jmp     print
1:      ret

print_hex:                              # eax
        mov     %eax, %edi
        mov     $8, %ecx
1:      rol     $4, %edi
        mov     %edi, %eax
        and     $15, %eax
        add     $'0', %al
        cmp     $'9', %al
        jbe     2f
        add     $'a' - '0' - 10, %al
2:      call    print_char
        loop    1b
        ret

intro:          .asciz "EXITS "
name_port:      .asciz "port "
name_string:    .asciz "string "
name_memory:    .asciz "memory "
name_interrupt: .asciz "interrupt "
name_device:    .asciz "device "
name_disk:      .asciz "disk "
        tables
