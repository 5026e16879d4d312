# A firmware that checks what an engine owes a guest, step by step, and leaves through isa-debug-exit (port 0x501) with
# 0x10; with 0x11 if all is well but paging outside of long mode is refused; or with the number of the step that failed. Data:
# 0x600 ticks, 0x604 APIC interrupts, 0x608 faults, 0x60c their error code, 0x610 processors that came up, 0x618 what to leave with.
        .code16
        .text
        .globl start
        .include "protected.inc"

        .macro leave number
        mov     $\number, %al
        mov     $0x501, %dx
        out     %al, %dx
99:     jmp     99b
        .endm

start:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7000, %sp
        mov     $0x600, %di
        mov     $0x20, %cx
        rep stosw

# 1: ports: the clock's register D says that its battery is good; a string of bytes to the POST port
        mov     $0x0d, %al
        out     %al, $0x70
        in      $0x71, %al
        test    $0x80, %al
        jnz     1f
        leave   1
1:      mov     $0x80, %dx
        mov     $300, %cx
        mov     $0x600, %si
        rep outsb

# 2: ROM keeps what it has; RAM takes what it gets
        mov     %cs, %ax
        mov     %ax, %es
        mov     %es:0xfff0, %al
        mov     %al, %ah
        not     %al
        mov     %al, %es:0xfff0
        cmp     %ah, %es:0xfff0
        je      1f
        leave   2
1:      movw    $0x55aa, 0x620
        cmpw    $0x55aa, 0x620
        je      1f
        leave   2
1:
        protected_mode
        all_gates on_fault
        gate    0x20 on_tick
        gate    0x27 on_spurious        # what both controllers say when a request has gone
        gate    0xff on_spurious
        gate    0x40 on_apic
        gate    13 on_error_fault
        gate    14 on_error_fault
        lidt    idt_pointer + 0xf0000

# 3: devices in memory: the APIC's version
        mov     0xfee00030, %eax
        cmp     $0x10, %al
        jae     1f
        leave   3

# 4: ticks of the 8254 through the 8259 wake HLT
1:
        init_8259 0xfe
        mov     $0x34, %al
        out     %al, $0x43
        mov     $0xa9, %al
        out     %al, $0x40
        mov     $0x04, %al
        out     %al, $0x40
        sti
1:      hlt
        cmpl    $3, 0x600
        jb      1b
        cli
        mov     $0xff, %al
        out     %al, $0x21

# 5: the APIC's timer, then an interrupt to itself, held up by the task priority until it is lowered
        movl    $0x1ff, 0xfee000f0
        movl    $0xb, 0xfee003e0
        movl    $0x40, 0xfee00320
        movl    $1000, 0xfee00380
        sti
1:      hlt
        cmpl    $1, 0x604
        jb      1b
        movl    $0xf0, 0xfee00080
        movl    $0x44040, 0xfee00300
        mov     $5000, %ecx
1:      loop    1b                      # without PAUSE, at which a busy host gives its processor away
        cmpl    $1, 0x604
        je      1f
        leave   5
1:      movl    $0, 0xfee00080
1:      cmpl    $2, 0x604
        jb      1b
        cli

# 6: exceptions: an undefined instruction, a selector that is none, a division by zero
        mov     $1f + 0xf0000, %esi
        ud2
1:      cmpl    $1, 0x608
        je      1f
        leave   6
1:      mov     $1f + 0xf0000, %esi
        mov     $0x1000, %eax
        mov     %eax, %fs
1:      cmpl    $2, 0x608
        jne     2f
        cmpl    $0x1000, 0x60c
        je      1f
2:      leave   6
1:      mov     $1f + 0xf0000, %esi
        xor     %ecx, %ecx
        div     %ecx
1:      cmpl    $3, 0x608
        je      1f
        leave   6

# 7: model-specific registers keep their values, the time stamp counter runs
1:      mov     $0x175, %ecx
        mov     $0x12345678, %eax
        xor     %edx, %edx
        wrmsr
        xor     %eax, %eax
        rdmsr
        cmp     $0x12345678, %eax
        je      1f
        leave   7
1:      rdtsc
        mov     %eax, %ebx
        rdtsc
        cmp     %ebx, %eax
        jne     1f
        leave   7

# 8: vector registers survive exits
1:      mov     %cr4, %eax
        or      $0x600, %eax
        mov     %eax, %cr4
        movl    $0xdeadbeef, 0x63c
        movups  0x630, %xmm5
        out     %al, $0x80
        movups  %xmm5, 0x640
        cmpl    $0xdeadbeef, 0x64c
        je      1f
        leave   8

# 9: paging with large pages; a page that is not there
1:      mov     $0x2000, %edi
        mov     $0x83, %eax
        mov     $1024, %ecx
1:      mov     %eax, (%edi)
        add     $0x400000, %eax
        add     $4, %edi
        loop    1b
        movl    $0, 0x2000 + 4 * 100
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     $0x2000, %eax
        mov     %eax, %cr3
        movb    $0x11, 0x618
        mov     $1f + 0xf0000, %esi
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0              # KVM by page tables answers with #GP
        movb    $0x10, 0x618
        movl    $1, 100 << 22 | 0x123
1:      cmpl    $4, 0x608
        jne     2f
        cmpb    $0x11, 0x618
        je      1f
        cmpl    $2, 0x60c
        jne     2f
        mov     %cr2, %eax
        cmp     $(100 << 22 | 0x123), %eax
        je      1f
2:      leave   9

# 10: the other processors come up by INIT and SIPI (there are as many as the clock chip's byte 5f says, less one)
1:      mov     $ap_start + 0xf0000, %esi
        mov     $0x8000, %edi
        mov     $ap_end - ap_start, %ecx
        rep movsb
        movl    $0xc4500, 0xfee00300
        mov     $20000, %ecx
1:      loop    1b
        movl    $0xc4608, 0xfee00300
        mov     $0x5f, %al
        out     %al, $0x70
        xor     %eax, %eax
        in      $0x71, %al
1:      pause
        cmp     %eax, 0x610
        jb      1b

        mov     0x618, %al
        mov     $0x501, %dx
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
        return

on_spurious:
        incl    0x614
        return

on_error_fault:
        popl    0x60c
on_fault:                               # goes on at esi
        incl    0x608
        mov     %esi, (%esp)
        return

        .code16
ap_start:
        xor     %ax, %ax
        mov     %ax, %ds
        lock incl 0x610
1:      cli
        hlt
        jmp     1b
ap_end:

        tables
