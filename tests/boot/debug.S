# A firmware that sets the debug registers and compares the traps it gets with the ones it should.
        .code16
        .text
        .globl start

        .section .rodata
        .balign 2
expected:
        .text

        .macro expect where, bits
        .pushsection .rodata
        .word   \where, \bits
        .popsection
        .endm

start:
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x8000, %sp
        mov     $0x600, %bp             # where the handler writes
        movw    $on_debug, 4
        movw    $0xf000, 6
        movw    $on_int, 4 * 0x20
        movw    $0xf000, 4 * 0x20 + 2
        mov     %cr4, %eax
        or      $8, %al                 # DE
        mov     %eax, %cr4

        mov     $0x80, %eax             # port 0x80, one byte
        mov     %eax, %dr0
        mov     $0x00020401, %eax
        mov     %eax, %dr7
        out     %al, $0x80
after_out:
        expect  after_out, 1
        out     %al, $0x81
        out     %al, $0x7f
        in      $0x80, %al
after_in:
        expect  after_in, 1
        mov     $0x7f, %dx
        out     %ax, %dx                # touches 0x80 too
after_word:
        expect  after_word, 1
        mov     $0x80, %dx
        mov     $2, %cx
        mov     $0x900, %si
        rep outsb
after_rep:
        expect  after_rep-2, 1
        expect  after_rep, 1

        mov     $0x700, %eax            # writes of 0x700 and 0x701
        mov     %eax, %dr1
        mov     $0x00500404, %eax
        mov     %eax, %dr7
        out     %al, $0x80
        movb    $1, 0x6ff
        movb    $1, 0x701
after_write:
        expect  after_write, 2
        movb    $1, 0x702
        mov     0x700, %al
        xor     %ax, %ax
        movl    $1, 0x6fd               # its last byte
after_low:
        expect  after_low, 2

        pushf
        pop     %ax
        or      $0x100, %ax             # a single step ends with the write
        push    %ax
        popf
        incw    0x700
after_step:
        expect  after_step, 0x4002

        mov     $0x6fe, %di
        mov     $4, %cx
        cld
        rep stosw
after_stos:
        expect  after_stos-2, 2

        mov     $0x7ffc, %eax           # where INT pushes CS
        mov     %eax, %dr1
        int     $0x20
        expect  on_int, 2

        xor     %eax, %eax
        mov     %eax, %dr7
        movw    $0, 0x7ffc
        out     %al, $0x80

        mov     $0x600, %si
        mov     $expected, %di
        mov     $(expected_end - expected) / 2, %cx
        mov     $good, %bx
        lea     (%si), %ax
        add     $expected_end - expected, %ax
        cmp     %ax, %bp
        jne     differs
        mov     %cs, %ax
        mov     %ax, %es
        repe cmpsw
        je      print
differs:
        mov     $bad, %bx
print:
        mov     $0x3f8, %dx
1:      mov     %cs:(%bx), %al
        inc     %bx
        out     %al, %dx
        test    %al, %al
        jnz     1b
2:      hlt
        jmp     2b

on_int:
        iret

on_debug:
        push    %eax
        push    %di
        mov     %sp, %di
        mov     %ss:6(%di), %ax
        mov     %ax, (%bp)
        mov     %dr6, %eax
        and     $0xf00f, %ax
        mov     %ax, 2(%bp)
        add     $4, %bp
        andw    $0xfeff, %ss:10(%di)
        xor     %eax, %eax
        mov     %eax, %dr6
        pop     %di
        pop     %eax
        iret

good:   .asciz  "DEBUG-GOOD\n"
bad:    .asciz  "DEBUG-BAD\n"
        .section .rodata
expected_end:
