# A firmware that reads a virtio disk at PCI device 4 (of before virtio 1, 256 entries) and counts the messages of its MSI-X vector, which
# it masks and rewrites meanwhile. It leaves through isa-debug-exit (port 0x501) with 0x10, or with the number of what failed.
# The disk's first doubleword is 0x61746164. Data: 0x600 and 0x604 interrupts of both vectors.
        .code16
        .text
        .globl  start
        .include "protected.inc"

        .set    FUNCTION, 0x80002000
        .set    PORTS, 0xc000           # BAR 0
        .set    TABLE, 0xe0000000       # BAR 1
        .set    PENDING, TABLE + 0x800
        .set    DESC, 0x100000
        .set    AVAIL, DESC + 0x1000
        .set    USED, DESC + 0x2000
        .set    HEADER, 0x110000
        .set    DATA, 0x111000
        .set    DONE, 0x112000
        .set    ROUNDS, 100

        .macro  leave number
        mov     $\number, %al
        mov     $0x501, %dx
        out     %al, %dx
99:     jmp     99b
        .endm

        .macro  config offset, value
        mov     $FUNCTION + \offset, %eax
        mov     $0xcf8, %dx
        out     %eax, %dx
        mov     $\value, %eax
        mov     $0xcfc, %dx
        out     %eax, %dx
        .endm

        .macro  port offset, value, register
        mov     $PORTS + \offset, %dx
        mov     $\value, %eax
        out     \register, %dx
        .endm

start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        movl    $0, 0x600
        movl    $0, 0x604
        mov     $0xff, %al
        out     %al, $0x21
        out     %al, $0xa1
        protected_mode
        all_gates unexpected
        gate    0x40 on_first
        gate    0x41 on_second
        lidt    idt_pointer + 0xf0000
        movl    $0x1ff, 0xfee000f0

# the function, and its vectors
        config  0x10, PORTS
        config  0x14, TABLE
        config  0x04, 7
        mov     $0x34, %ecx
1:      call    read_config
        movzbl  %al, %ecx
        test    %ecx, %ecx
        jnz     2f
        leave   1
2:      call    read_config
        cmp     $0x11, %al
        je      3f
        inc     %ecx                    # the next one's place is behind it
        call    read_config_byte
        mov     %eax, %ecx
        jmp     2b
3:      or      $0x80000000, %eax       # MSI-X on
        out     %eax, %dx
        movl    $0xfee00000, TABLE
        movl    $0, TABLE + 4
        movl    $0x40, TABLE + 8
        movl    $0, TABLE + 12

# the queue
        mov     $DESC, %edi
        mov     $0x13000 / 4, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $HEADER, DESC
        movl    $16, DESC + 8
        movl    $0x10001, DESC + 12
        movl    $DATA, DESC + 16
        movl    $512, DESC + 24
        movl    $0x20003, DESC + 28
        movl    $DONE, DESC + 32
        movl    $1, DESC + 40
        movl    $2, DESC + 44
        port    0x12, 0, %al
        port    0x12, 3, %al
        port    0x04, 0, %eax
        port    0x0e, 0, %ax
        mov     $PORTS + 0x0c, %dx
        in      %dx, %ax
        cmp     $256, %ax
        je      1f
        leave   2
1:      port    0x16, 0, %ax
        port    0x08, DESC >> 12, %eax
        port    0x12, 7, %al

# 3: an interrupt for each request
        xor     %ebx, %ebx
1:      call    request
        sti
2:      pause
        cmp     %ebx, 0x600
        jb      2b
        cli
        ja      3f
        cmpl    $0x61746164, DATA
        jne     3f
        movl    $0, DATA
        cmpb    $0, DONE
        jne     3f
        cmp     $ROUNDS, %ebx
        jb      1b
        jmp     4f
3:      leave   3

# 4: a masked vector's waits
4:      movl    $1, TABLE + 12
        call    request
        sti
1:      pause
        cmp     %bx, USED + 2
        jne     1b
2:      testl   $1, PENDING
        jz      2b
        cli
        cmpl    $ROUNDS, 0x600
        je      3f
        leave   4
3:      movl    $0, TABLE + 12
        sti
1:      pause
        cmp     %ebx, 0x600
        jb      1b
        cli
        testl   $1, PENDING
        jz      1f
        leave   4

# 5: another message in the same vector, without a mask
1:      movl    $0x41, TABLE + 8
        call    request
        sti
1:      pause
        cmpl    $1, 0x604
        jb      1b
        cli
        cmpl    $ROUNDS + 1, 0x600
        je      1f
        leave   5
1:      leave   0x10

# One read of the disk; EBX counts them.
request:
        movb    $0xff, DONE
        inc     %ebx
        mov     %bx, AVAIL + 2
        port    0x10, 0, %ax
        ret

# ECX: an offset; EAX: what is there, with DX at the data port.
read_config:
        mov     $FUNCTION, %eax
        or      %ecx, %eax
        mov     $0xcf8, %dx
        out     %eax, %dx
        mov     $0xcfc, %dx
        in      %dx, %eax
        ret

read_config_byte:
        push    %ecx
        and     $~3, %ecx
        call    read_config
        pop     %ecx
        and     $3, %ecx
        shl     $3, %ecx
        shr     %cl, %eax
        movzbl  %al, %eax
        ret

on_first:
        incl    0x600
        movl    $0, 0xfee000b0
        return

on_second:
        incl    0x604
        movl    $0, 0xfee000b0
        return

unexpected:
        leave   6

        gate_routine
        tables
