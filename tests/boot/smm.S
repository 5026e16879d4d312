# A firmware that enters system management mode by port B2h of a 440FX machine and compares what the mode is like with what it
# should be. It leaves through isa-debug-exit (port 0x501) with 0x10; or with the number of the check that failed.
#
# Memory: 0x1000 IDT, 0x7000 stack, 0x500 what handlers leave, 0x38000 the first handler, 0xa8000 the one in SMRAM.

        .set    SEEN, 0x500             # passes of the handler
        .set    NMIS, 0x504             # NMIs so far
        .set    NMIS_IN, 0x508          # the same, as the handler saw it after asking for one
        .set    RIP_IN, 0x50c           # saved instruction pointer
        .set    REVISION, 0x510
        .set    HANDLER_CR0, 0x514
        .set    UNDEFINED, 0x518        # #UDs so far
        .set    MODE, 0x51c             # what the handler is to do
        .set    DS_BASE, 0x520

        .include "checks.inc"

        .code16
        .text
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x7000, %sp
        protected_mode
        all_gates unexpected
        gate    2 nmi
        gate    6 undefined
        lidtl   idt_pointer + 0xf0000
        xor     %eax, %eax
        mov     $0x500, %edi
        mov     $16, %ecx
        rep stosl

# Power management of the PIIX4 (1.3): ports at 600h, SMIs for port B2h; SMRAM of the 440FX open.
        mov     $0x80000b40, %eax
        mov     $0x601, %ecx
        call    config
        mov     $0x80000b80, %eax
        mov     $1, %ecx
        call    config
        mov     $0x80000b58, %eax
        mov     $0x02000000, %ecx
        call    config
        mov     $0x628, %dx
        mov     $1, %eax
        out     %eax, %dx
        mov     $0x4a, %bl
        call    smram
        mov     $first + 0xf0000, %esi
        mov     $0x38000, %edi
        mov     $first_end - first, %ecx
        rep movsb
        mov     $handler + 0xf0000, %esi
        mov     $0xa8000, %edi
        mov     $handler_end - handler, %ecx
        rep movsb
        mov     $0x0a, %bl
        call    smram

        mov     $1, %bl                 # SMRAM is closed: what is seen is no code of ours
        mov     handler + 0xf0000, %eax
        cmp     %eax, 0xa8000
        je      fail

        mov     $2, %bl                 # the base moves to A0000, and registers come back
        mov     $0x12345678, %ecx
        mov     $0xcafef00d, %esi
        mov     $0, %al
        out     %al, $0xb2
        cmp     $0x12345678, %ecx
        jne     fail
        cmp     $0xcafef00d, %esi
        jne     fail
        cmpl    $1, SEEN
        jne     fail

        mov     $3, %bl                 # the handler in SMRAM runs before the next instruction
        movl    $0, MODE
        mov     $1, %al
        out     %al, $0xb2
after:  mov     SEEN, %edx
        cmp     $2, %edx
        jne     fail
        mov     $4, %bl                 # and was told where it interrupted
        cmpl    $after + 0xf0000, RIP_IN
        jne     fail
        mov     $5, %bl                 # real mode, flat
        testl   $0x80000001, HANDLER_CR0
        jnz     fail
        mov     $6, %bl                 # protected mode is back
        mov     %cr0, %eax
        test    $1, %al
        jz      fail
        mov     $7, %bl
        cmpl    $0x5a5a5a5a, DS_BASE    # its 32-bit store over a flat DS
        jne     fail

        mov     $8, %bl                 # an NMI waits for RSM
        movl    $1, MODE
        out     %al, $0xb2
        cmpl    $0, NMIS_IN
        jne     fail
        mov     $9, %bl
        mov     $100000, %ecx
1:      cmpl    $0, NMIS
        loope   1b
        cmpl    $1, NMIS
        jne     fail

        mov     $10, %bl                # the port write is done again, once
        movl    $2, MODE
        movl    $0, SEEN
        out     %al, $0xb2
        cmpl    $2, SEEN
        jne     fail

        mov     $11, %bl                # RSM is for the mode alone
        cmpl    $0, UNDEFINED
        jne     fail
        rsm
        cmpl    $1, UNDEFINED
        jne     fail

        mov     $12, %bl                # with paging, and CR4 set
        mov     $0x100000, %edi         # 4 MiB pages as they are
        mov     $0x83, %eax
1:      mov     %eax, (%edi)
        add     $4, %edi
        add     $0x400000, %eax
        jnc     1b
        mov     $0x100000, %eax
        mov     %eax, %cr3
        mov     $0x10, %eax
        mov     %eax, %cr4
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        movl    $0, MODE
        movl    $0, HANDLER_CR0
        mov     $0xe9, %al
        out     %al, $0xb2
        testl   $0x80000001, HANDLER_CR0
        jnz     fail
        mov     %cr0, %eax
        test    %eax, %eax
        jns     fail
        mov     %cr4, %eax
        cmp     $0x10, %eax
        jne     fail

        mov     $13, %bl                # a process' port write, done again, at two addresses of its page
        orl     $4, 0x100000            # the first 4 MiB are for all
        mov     0x100000, %eax
        mov     %eax, 0x100400          # and seen at 40000000h too
        mov     %cr3, %eax
        mov     %eax, %cr3
        mov     $process + 0xf0000, %esi
        mov     $0x120100, %edi
        mov     $process_end - process, %ecx
        rep movsb
        mov     $0x174, %ecx            # SYSENTER comes back
        mov     $8, %eax
        xor     %edx, %edx
        wrmsr
        inc     %ecx
        mov     $0x7000, %eax
        wrmsr
        pushf
        orl     $0x3000, (%esp)         # IOPL
        popf
        mov     $0x120100, %esi
        mov     $6, %edi                # times, by turns
again_process:
        movl    $2, MODE
        movl    $0, SEEN
        mov     $0x176, %ecx
        mov     $back + 0xf0000, %eax
        xor     %edx, %edx
        wrmsr
        mov     %esi, %edx
        mov     $0x6000, %ecx
        sysexit
back:   cmpl    $2, SEEN
        jne     fail
        xor     $0x40000000, %esi
        dec     %edi
        jnz     again_process
        verdict

config: mov     $0xcf8, %dx             # the register at address eax becomes ecx
        out     %eax, %dx
        mov     $0xcfc, %dx
        mov     %ecx, %eax
        out     %eax, %dx
        ret

smram:  mov     $0xcf8, %dx             # SMRAM control becomes bl
        mov     $0x80000070, %eax
        out     %eax, %dx
        mov     $0xcfe, %dx
        mov     %bl, %al
        out     %al, %dx
        ret

process:
        out     %al, $0xb2
        sysenter
process_end:

unexpected:
        mov     $0x7f, %bl
        jmp     fail
nmi:    incl    NMIS
        iret
undefined:
        incl    UNDEFINED
        addl    $2, (%esp)
        iret
        gate_routine
        tables

# At SMBASE + 8000h, in the mode's own real mode: DS is flat. The base is at FEF8h or FF00h of the segment.
        .code16
first:  movl    $SEEN, %ebx
        addr32 incl %ds:(%ebx)
        mov     %cs:0xfefc, %eax
        movl    $REVISION, %ebx
        addr32 mov %eax, %ds:(%ebx)
        cmpb    $0x64, %al
        je      1f
        movl    $0xa0000, %cs:0xfef8
        rsm
1:      movl    $0xa0000, %cs:0xff00
        rsm
first_end:

handler:
        movl    $SEEN, %ebx
        addr32 incl %ds:(%ebx)
        mov     %cr0, %eax
        movl    $HANDLER_CR0, %ebx
        addr32 mov %eax, %ds:(%ebx)
        mov     %cs:0xff78, %eax        # RIP, or EIP
        cmpb    $0x64, %cs:0xfefc
        je      1f
        mov     %cs:0xfff0, %eax
1:      movl    $RIP_IN, %ebx
        addr32 mov %eax, %ds:(%ebx)
        movl    $DS_BASE, %ebx
        movl    $0x5a5a5a5a, %eax
        addr32 mov %eax, %ds:(%ebx)
        movl    $MODE, %ebx
        addr32 mov %ds:(%ebx), %eax
        cmp     $1, %eax
        je      ask_nmi
        cmp     $2, %eax
        je      again
        rsm
ask_nmi:
        movl    $0xfee00300, %ebx       # the local APIC: to itself
        movl    $0x00044400, %eax
        addr32 mov %eax, %ds:(%ebx)
        mov     $1000, %ecx
1:      loop    1b
        movl    $NMIS, %ebx
        addr32 mov %ds:(%ebx), %eax
        movl    $NMIS_IN, %ebx
        addr32 mov %eax, %ds:(%ebx)
        rsm
again:  xor     %eax, %eax              # the next time it is not asked for
        addr32 mov %eax, %ds:(%ebx)
        cmpb    $0x64, %cs:0xfefc
        je      1f
        movw    $0xff, %cs:0xff00
        rsm
1:      movb    $0xff, %cs:0xfec8
        rsm
handler_end:
