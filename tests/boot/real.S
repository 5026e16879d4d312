# A firmware that goes through corners of real mode. It leaves through isa-debug-exit (port 0x501) with 0x10, or with the number of
# what failed.
        .set    FRAME, 0x7000

        .macro  leave_with number
        mov     $\number, %al
        mov     $0x501, %dx
        out     %al, %dx
9:      jmp     9b
        .endm

        .code16
        .text
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss

# 1: ENTER of all levels copies the frame pointers: each word of the outer frames holds its own address
        xor     %si, %si                # level
        mov     $enters, %bx
next:   mov     $FRAME - 0x80, %di
        mov     $0x40, %cx
1:      mov     %di, (%di)
        add     $2, %di
        loop    1b
        mov     $FRAME, %bp
        mov     $FRAME - 0x100, %sp
        jmp     *%bx
entered:
        mov     $FRAME - 0x102, %di     # twice: the second frame has the first one's pointers
        cmpw    $FRAME, (%di)
        jne     bad
        mov     %si, %ax                # bytes below the old SP
        add     %ax, %ax
        add     $2, %ax
        mov     $FRAME - 0x100, %cx
        sub     %ax, %cx
        sub     %ax, %cx
        sub     $8, %cx
        cmp     %cx, %sp
        jne     bad
        cmp     $1, %si
        jbe     2f
        mov     %si, %cx
        dec     %cx
        mov     $FRAME - 2, %ax
1:      sub     $2, %di
        cmp     %ax, (%di)
        jne     bad
        sub     $2, %ax
        loop    1b
        cmpw    $FRAME - 0x102, -2(%di)
        jne     bad
2:      add     $enter_1 - enters, %bx
        inc     %si
        cmp     $32, %si
        jne     next

# 2: a row of POPF, each of which may want the helper
        mov     $FRAME, %sp
        mov     $24, %cx
1:      push    $0x4002
        loop    1b
        .rept   24
        popf
        .endr
        pushf
        pop     %ax
        and     $0x7fd5, %ax
        cmp     $0x4000, %ax
        je      1f
        leave_with 2
1:      leave_with 0x10
bad:    leave_with 1

enters: .set    n, 0
        .rept   32
        enter   $4, $n
        enter   $4, $n
        jmp     entered
        .if     n == 0
enter_1:
        .endif
        .set    n, n + 1
        .endr
